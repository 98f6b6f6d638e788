"""Options of `reproflow check` reach the judge, or are refused where they would have no effect."""

from __future__ import annotations

import json

import pytest

from reproflow import cli


@pytest.mark.parametrize("option", [["--seeds", "3"], ["--steps", "5"], ["--folder", "kept"]])
def test_how_to_train_needs_train(option: list[str], capsys: pytest.CaptureFixture) -> None:
    assert cli.run(["check", "weighting", "uniform", *option]) == 2
    assert "give --train too" in capsys.readouterr().err


def test_a_path_is_judged_in_its_process(capsys: pytest.CaptureFixture) -> None:
    cli.run(["check", "path", "cosine", "--process", "masked", "--json", "-"])
    assert json.loads(capsys.readouterr().out)["process"] == "masked"
