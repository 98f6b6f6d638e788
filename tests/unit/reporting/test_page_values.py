"""Values of the page: what tables sort by, and figures that go in as SVG or PNG."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reproflow.analysis.reading import Missing
from reproflow.reporting import inline_figures
from reproflow.reporting.html import environment

SVG = (
    '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'width="9pt" height="4pt"><metadata><a xmlns:dc="dc:"><dc:description>What is drawn.</dc:description></a>'
    '</metadata><defs><path id="m1" d="M0 0"/></defs><use xlink:href="#m1" clip-path="url(#m1)"/></svg>\n'
)


@pytest.mark.parametrize(
    ("value", "key"), [(0.1, "0.10000000000000001"), (math.nan, ""), (-math.inf, "-inf"), ("elbo", "elbo"), (3, "3")]
)
def test_what_a_cell_sorts_by(value: object, key: str) -> None:
    assert environment().filters["sortable"](value) == key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.svg").write_text(SVG)
    (tmp_path / "figures" / "a.png").write_bytes(b"picture")
    return tmp_path


def test_a_figure_has_ids_of_its_own_and_its_caption(folder: Path) -> None:
    missing: list[Missing] = []
    found = inline_figures.figure(folder, "a", "Title", missing)
    root = ElementTree.fromstring(found["image"])
    assert [each.get("id") for each in root.iter() if each.get("id")] == ["a-m1"]
    assert 'href="#a-m1"' in found["image"]
    assert "url(#a-m1)" in found["image"]
    assert (root.get("aria-label"), root.get("width"), found["caption"]) == ("Title", None, "What is drawn.")
    assert missing == []


def test_a_large_figure_goes_in_as_its_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline_figures, "LARGEST_SVG", len(SVG) - 1)
    found = inline_figures.figure(folder, "a", "Title", [])
    assert found["image"].endswith(f'base64,{base64.b64encode(b"picture").decode()}">')
    assert found["caption"] == "What is drawn."


def test_what_is_not_there_is_named(folder: Path) -> None:
    (folder / "figures" / "broken.svg").write_text("<svg>")
    missing: list[Missing] = []
    for name in ("b", "broken"):
        assert inline_figures.figure(folder, name, "Title", missing)["image"] == ""
    assert [each.file for each in missing] == ["figures/b", "figures/broken"]
    assert missing[0].reason == "not there"
    assert "cannot be read" in missing[1].reason


def test_the_command_of_a_figure() -> None:
    recorded = {"command": "snakemake --cores all --configfile configs/demo.yaml"}
    assert inline_figures.figure_command(recorded, "a") == "reproflow figures --config configs/demo.yaml a"
    assert inline_figures.figure_command({"command": "make demo"}, "a") == "make demo"
