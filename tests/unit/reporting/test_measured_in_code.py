"""What was measured in packages' own code: the committed table fits list and catalogue, and the page says it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from repository import ROOT

from reproflow.judge import published_objectives
from reproflow.reporting import measured_in_code
from reproflow.reporting import published_objectives_page as page
from reproflow.reporting.measured_in_code import Measured

FOLDER = ROOT / "benchmarks" / "field_code"
PAGE = ROOT / "benchmarks" / "results" / "field_code.md"
LISTED = tomllib.loads((FOLDER / "list.toml").read_text())["measured"]
PINS = dict(line.split("==") for line in (FOLDER / "requirements.txt").read_text().split())
LINES = 10


def test_the_committed_table_is_that_of_the_list() -> None:
    rows = [each for found in measured_in_code.read().values() for each in found]
    assert sorted((each.key, each.package, each.how) for each in rows) == sorted(
        (each["key"], each["package"], each["how"]) for each in LISTED
    )
    for each in rows:
        assert each.version == PINS[each.package.replace("flow-matching", "flow_matching")]
        assert all(each.cells)
        assert each.sentence


def test_the_benchmarks_page_and_the_table_are_of_one_run() -> None:
    """Row by row: objective, package and version, how it is called, the answer, the ratio and the findings."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    told = [each for found in measured_in_code.read().values() for each in found]
    keys = [row[0].rpartition("(`")[2].removesuffix("`)") for row in shown]
    assert sorted((key, row[1], row[3], *row[6:]) for key, row in zip(keys, shown, strict=True)) == sorted(
        (each.key, f"{each.package} {each.version}", each.how, *each.cells) for each in told
    )


def test_the_list_names_objectives_of_the_catalogue_and_functions_that_exist() -> None:
    published_objectives.entries([each["key"] for each in LISTED])
    for each in LISTED:
        file, function = each["loss"].split(":")
        assert f"def {function}(model, x1):" in (FOLDER / "adapters" / file).read_text()


@pytest.mark.parametrize("file", sorted((FOLDER / "adapters").glob("*.py")), ids=lambda path: path.stem)
def test_an_adapter_has_ten_lines_at_most(file: Path) -> None:
    for body in re.findall(r"^def .*\n((?:    .*\n)+)", file.read_text(), re.MULTILINE):
        assert len(body.splitlines()) <= LINES


def test_the_page_tells_library_from_script_and_agreement_from_difference() -> None:
    library = Measured("edm", "a", "1.0", "library", "same", "1 1 1", "")
    script = Measured("edm", "b", "2.0", "script", "different", "2 1 0.5", "")
    said = page._in_code([library, script])
    assert "*Measured in code*: a 1.0, as stated (1, 1, 1)." in said
    assert "*Restated from a script*: b 2.0, not as stated, but 2, 1, 0.5 times that at the noise end" in said
    assert (library.cells[0], script.cells[0]) == ("yes", "**no**")
    assert page._in_code([]) == ""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = [Measured("edm", "a", "1.0", "library", "same", "1 1 1", "clamp jvp"), Measured("fm", *"bcdef", "")]
    rows.append(Measured("edm", *"bcdef", ""))
    measured_in_code.write(rows, tmp_path / "x.csv")
    assert measured_in_code.read(tmp_path / "x.csv") == {"edm": rows[::2], "fm": rows[1:2]}
    assert measured_in_code.read(tmp_path / "none.csv") == {}
