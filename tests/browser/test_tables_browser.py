"""The numbers of every table can be seen: results in the shape of the demo, on a desktop, on a phone and on paper.

Run with `bash tests/browser/install.sh && pytest -m browser tests/browser`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devtools import Window, window
from wide_results import write_wide_results

from reproflow.reporting.html import write_report
from reproflow.reporting.tables import write_tables

pytestmark = pytest.mark.browser

PHONE = 390  # paper: A4 on its side within margins of 10 mm
DESKTOP = 1280
PAPER = 1046
# Functions for the page: its boxes with all rows open, a box by its name, the cells that hold a number.
HELPERS = """
for (const each of document.querySelectorAll("section > details")) each.open = true;
const boxes = [...document.querySelectorAll(".box")];
const named = (name) => boxes.find((box) => box.ariaLabel === name);
const own = (box, what) => [...box.querySelectorAll(":scope > table > " + what)];
const cells = (box) => own(box, "tbody > tr > td").filter((cell) => /^[<+−[]?\\d/.test(cell.textContent.trim()));
"""
COVERED = """boxes.map((box) => { const edge = box.getBoundingClientRect();
    return [box.ariaLabel, Math.max(...cells(box).map((cell) => cell.getBoundingClientRect().right)) - edge.right,
            edge.right - innerWidth, cells(box).length]; })"""
# Every number in the text of a cell, and over how many lines it runs.
BROKEN = """boxes.flatMap((box) => cells(box).flatMap((cell) => {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
    for (let text = texts.nextNode(); text; text = texts.nextNode())
        for (const match of text.data.matchAll(/[<+−]?\\d[\\d.]*/g)) {
            const range = document.createRange();
            range.setStart(text, match.index);
            range.setEnd(text, match.index + match[0].length);
            if (new Set([...range.getClientRects()].map((each) => each.top)).size > 1) found.push(match[0]);
        }
    return found; }))"""
# Where head and names stand, relative to their box, once it is scrolled to its far corner.
CORNER = """boxes.map((box) => { box.scrollTo(1e6, 1e6);
    const edge = box.getBoundingClientRect(), head = own(box, "thead")[0].getBoundingClientRect();
    const name = own(box, "tbody > tr").at(-1).cells[0].getBoundingClientRect();
    return { label: box.ariaLabel, right: box.scrollLeft, down: box.scrollTop, head: head.top - edge.top,
             name: name.left - edge.left, width: name.width, inner: box.clientWidth }; })"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report as wide as the demo's, with two rows of a comparison with a baseline."""
    folder = write_wide_results(tmp_path_factory.mktemp("tables") / "wide")
    row = {"what": "eight_gaussians gaussian linear uniform inv_one_minus_t_squared velocity", "metric": "nll_nats"}
    row |= {"before": 1.98, "after": 2.08, "difference": 0.1, "margin": 0.01, "p": 0.01, "detectable": 0.2}
    row |= {"low": -0.0312, "high": 0.2312}
    rows = [row | {"verdict": "worse"}, row | {"metric": "bound_bits_per_dim", "verdict": "not shown"}]
    found = {"baseline": "demo", "run": "demo", "paired": True, "seeds": [3, 3], "alpha": 0.05, "rows": rows}
    (folder / "regression.json").write_text(json.dumps(found | {"exit_code": 4}))
    write_tables(folder)
    return write_report(folder)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with window(tmp_path_factory.mktemp("profile")) as found:
        yield found


def shown(browser: Window, file: Path, width: int, media: str = "") -> Window:
    """The page in a window, with the helpers at hand."""
    browser.open(file, width, media=media)
    browser.evaluate(HELPERS)
    return browser


def test_on_a_desktop_every_number_is_in_view_without_scrolling(browser: Window, file: Path) -> None:
    found = shown(browser, file, DESKTOP).evaluate(COVERED)
    assert len(found) >= 15
    for label, beyond_box, beyond_page, n in found:
        if n:
            assert beyond_box <= 1, label
        assert beyond_page <= 0, label


def test_that_check_sees_numbers_that_are_hidden(browser: Window, file: Path, tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.html"
    narrow.write_text(file.read_text().replace(".name {", ".name { padding-right: 60rem;"))
    assert any(beyond > 1 for _, beyond, *_ in shown(browser, narrow, DESKTOP).evaluate(COVERED))


def test_wide_tables_leave_the_column_of_text(browser: Window, file: Path) -> None:
    widths = """[Math.max(...[...document.querySelectorAll("section > p")].map((p) => p.clientWidth)),
        document.querySelector("section > h2").clientWidth, named("Cells").offsetWidth]"""
    text, column, cells = shown(browser, file, 1600).evaluate(widths)
    assert text < column < cells


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_head_and_names_stay_while_a_table_scrolls(browser: Window, file: Path, width: int) -> None:
    found = shown(browser, file, width).evaluate(CORNER)
    assert sum(box["down"] > 0 for box in found) >= 3
    for box in found:
        assert box["head"] == pytest.approx(1, abs=1), box["label"]  # a pixel of the box's frame
        assert box["name"] == pytest.approx(1, abs=1), box["label"]
        assert box["width"] <= box["inner"] / 2, box["label"]
    if width == PHONE:
        assert sum(box["right"] > 0 for box in found) >= 10


@pytest.mark.parametrize(("width", "media"), [(PHONE, ""), (DESKTOP, ""), (PAPER, "print")])
def test_no_number_runs_over_two_lines(browser: Window, file: Path, width: int, media: str) -> None:
    assert shown(browser, file, width, media).evaluate(BROKEN) == []


def test_that_check_sees_a_number_that_breaks(browser: Window, file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(file.read_text().replace(".num {", "td.num { max-width: 1rem; white-space: normal !important; "
                                               "overflow-wrap: anywhere; } .num {"))  # fmt: skip
    assert shown(browser, broken, PHONE).evaluate(BROKEN)


def test_keys_scroll_a_table_on_a_phone_and_its_names_stay(browser: Window, file: Path) -> None:
    """Tab leads from the filter over the buttons' box to the table; arrows move it, and the last column is reached."""
    page = shown(browser, file, PHONE)
    page.evaluate("document.querySelector('#cells input').focus()")
    page.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Cells"
    page.press("ArrowDown", 3)
    page.press("ArrowRight", 60)
    settled = "new Promise((done) => setTimeout(() => done(%s), 400))"
    box = "named('Cells')"
    far = page.evaluate(settled % f"[{box}.scrollTop, {box}.scrollLeft, {box}.scrollWidth - {box}.clientWidth]")
    assert far[0] > 0
    assert far[1] == pytest.approx(far[2], abs=2)
    edge = f"own({box}, 'tbody > tr')[0].cells[0].getBoundingClientRect().left - {box}.getBoundingClientRect().left"
    assert page.evaluate(edge) == pytest.approx(1, abs=1)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_whatever_scrolls_takes_the_keyboard_and_has_a_name(browser: Window, file: Path, width: int) -> None:
    scrolls = """[...document.querySelectorAll("main *")].filter((e) =>
        ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && e.tagName !== "INPUT")
        .map((e) => [e.tagName, e.tabIndex, e.getAttribute("role"), e.ariaLabel])"""
    found = shown(browser, file, width).evaluate(scrolls)
    assert len(found) >= 15
    for kind, index, role, label in found:
        assert (index, role) == (0, "region"), (kind, label)
        assert label, kind


def test_the_filter_finds_what_is_said_once_above_the_table(browser: Window, file: Path) -> None:
    page = shown(browser, file, DESKTOP)
    rows = page.evaluate('document.querySelectorAll("#cascade tbody tr").length')
    assert rows > 100
    for words, count in (("digits8", f"{rows} of {rows}"), ("digits8 entropyless", f"0 of {rows}")):
        typed = f'i.value = "{words}"; i.dispatchEvent(new Event("input"))'
        page.evaluate(f'{{ const i = document.querySelector("#cascade input"); {typed}; }}')
        assert page.evaluate('document.querySelector("#cascade output").textContent') == count


def test_paper_holds_every_table_whole(browser: Window, file: Path) -> None:
    page = shown(browser, file, PAPER, "print")
    sizes = """boxes.map((b) => [b.ariaLabel, b.scrollWidth - b.clientWidth, b.scrollHeight - b.clientHeight,
        b.getBoundingClientRect().right - innerWidth])"""
    found: list[list[Any]] = page.evaluate(sizes)
    for label, right, down, beyond in found:
        assert max(right, down, beyond) <= 0, label
