"""Parts by process: found by name in the layer's module, refused twice, and named where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from reproflow.foundation import processes
from reproflow.foundation.by_process import ByProcess, module_of
from reproflow.foundation.errors import UsageError
from reproflow.theory.processes import base

PARTS: ByProcess[str] = ByProcess("colour", "reproflow.learning.colours")


def test_a_part_is_found_by_the_process() -> None:
    assert PARTS.register("striped")("red") == PARTS["striped"] == "red"


def test_two_parts_for_a_process_are_refused() -> None:
    PARTS.register("dotted")("red")
    PARTS.register("dotted")("red")
    with pytest.raises(UsageError, match="dotted process has two entries as colour"):
        PARTS.register("dotted")("blue")


@pytest.mark.parametrize("process", ["unheard", "masked"])
def test_a_process_without_the_part_is_named_with_the_module_that_would_enter_it(process: str) -> None:
    with pytest.raises(UsageError, match=rf"{process} process has no colour; reproflow.learning.processes.{process} "):
        PARTS[process]


def test_whether_a_process_has_the_part_is_known_without_an_error() -> None:
    from reproflow.exact.witness import FAMILIES

    known = [process for process in processes.known() if process in FAMILIES]
    assert known == ["gaussian", "masked"]
    assert "unheard" not in FAMILIES


def test_the_module_is_the_layers() -> None:
    assert module_of("reproflow.learning.sampling.samples", "masked") == "reproflow.learning.processes.masked"


def test_only_the_process_that_is_asked_for_is_imported() -> None:
    code = (
        "import json, sys\nfrom reproflow.learning.sampling.samples import SAMPLERS\nSAMPLERS['masked']\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('reproflow.learning.processes.')]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == ["reproflow.learning.processes.masked"]


@pytest.mark.parametrize("name", processes.known())
def test_listed_facts_are_the_declared_ones(name: str) -> None:
    assert asdict(processes.facts(name)) == asdict(base.facts(name))
    assert base.get_process(name).prediction == processes.facts(name).prediction
    assert base.get_process(name).name == name


def test_an_unknown_process_gets_the_nearest() -> None:
    for find in (base.get_process, processes.facts, processes.check):
        with pytest.raises((UsageError, ValueError), match="unknown process 'maskd'; did you mean 'masked'"):
            find("maskd")


def test_a_path_of_one_value_has_two_that_add_up_to_one() -> None:
    told = {name: processes.facts(name).complementary for name in processes.known()}
    assert told == {"gaussian": False, "masked": True, "uniform_tokens": True}
