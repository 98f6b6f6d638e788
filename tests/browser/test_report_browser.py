"""The page in a real browser: nothing is fetched, nothing is wider than a phone, tables sort and filter.

Run with `bash tests/browser/install.sh && pytest -m browser tests/browser`.
"""

from __future__ import annotations

import html
import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from devtools import FLAGS, program
from synthetic_results import write_results

from reproflow.reporting.figures import NAMES, write_figures
from reproflow.reporting.html import write_report
from reproflow.reporting.tables import write_tables

pytestmark = pytest.mark.browser

PHONE = 390
DESKTOP = 1280


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of a whole report."""
    folder = write_results(tmp_path_factory.mktemp("browser") / "synthetic")
    write_figures(folder)
    write_tables(folder)
    return write_report(folder).read_text(encoding="utf-8")


class Requests(http.server.BaseHTTPRequestHandler):
    """Serves `pages` and keeps what was asked for."""

    pages: dict[str, str] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = self.pages.get(self.path, "").encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    """A server on this machine; its pages and the requests it got are `Requests.pages` and `Requests.asked`."""
    Requests.pages.clear()
    Requests.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def chromium(url: str, profile: Path, *arguments: str) -> str:
    """Chromium's standard output for one page."""
    command = [program(), *FLAGS, f"--user-data-dir={profile}", *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def measured(page: str, width: int, script: str, folder: Path) -> dict:
    """What `script` (an expression in `d`, the page's document) gives in a frame `width` pixels wide.

    A frame, because a headless window is never narrower than 500 pixels.
    """
    frame = (
        f'<!doctype html><body style="margin:0"><iframe style="border:0;width:{width}px;height:900px" '
        f'srcdoc="{html.escape(page)}"></iframe><script>onload = () => {{ '
        f'const d = document.querySelector("iframe").contentDocument; '
        f"document.title = JSON.stringify({script}); }}</script>"
    )
    (folder / "frame.html").write_text(frame, encoding="utf-8")
    size = f"--window-size={max(width, 500)},900"
    dom = chromium(f"file://{folder}/frame.html", folder / "profile", size, "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title
    return json.loads(html.unescape(title[1]))


WIDTHS = "{inner: d.documentElement.clientWidth, whole: d.documentElement.scrollWidth}"
ROWS = '[...d.querySelectorAll("#claims-table > tbody > tr")]'


@pytest.mark.parametrize("width", [PHONE, 768, DESKTOP])
def test_page_is_no_wider_than_the_window(page: str, width: int, tmp_path: Path) -> None:
    assert measured(page, width, WIDTHS, tmp_path) == {"inner": width, "whole": width}


def test_the_width_check_sees_a_page_that_is_too_wide(page: str, tmp_path: Path) -> None:
    wide = page.replace("<main>", '<main><p style="width:700px">wide</p>')
    assert measured(wide, PHONE, WIDTHS, tmp_path)["whole"] > PHONE


def test_tables_scroll_within_their_boxes_on_a_phone(page: str, tmp_path: Path) -> None:
    boxes = '[...d.querySelectorAll(".box")].map((b) => [b.clientWidth, b.scrollWidth, getComputedStyle(b).overflowX])'
    found = measured(page, PHONE, f"{{boxes: {boxes}}}", tmp_path)["boxes"]
    assert max(whole - shown for shown, whole, _ in found) > 100
    assert {overflow for *_, overflow in found} == {"auto"}


def test_figures_stay_readable_on_a_phone_and_scroll_within_their_plates(page: str, tmp_path: Path) -> None:
    """The smallest type of a figure is 6.3 points at 605 points' width; on the screen it is not below 7.5 pixels."""
    plates = """[...d.querySelectorAll(".plate")].map((p) => [p.clientWidth, p.scrollWidth,
        p.firstElementChild.getBoundingClientRect().width, getComputedStyle(p).overflowX])"""
    for width in (PHONE, DESKTOP):
        found = measured(page, width, f"{{plates: {plates}}}", tmp_path)["plates"]
        assert len(found) == len(NAMES)
        for shown, whole, image, overflow in found:
            assert image * 6.3 / 605 >= 7.5
            assert shown < width
            assert whole <= shown or overflow == "auto"


def test_cases_stay_inside_their_row(page: str, tmp_path: Path) -> None:
    """The nested table is no row of the ledger, so sorting and filtering leave it in its place."""
    click = 'd.querySelectorAll("#claims-table th button")[4].click()'
    script = f"({click}, {{rows: {ROWS}.length, inner: {ROWS}.filter((r) => r.querySelector('.cases')).length}})"
    assert measured(page, DESKTOP, script, tmp_path) == {"rows": 6, "inner": 6}


def test_the_evidence_of_a_case_is_drawn_on_its_axis(page: str, tmp_path: Path) -> None:
    """The surprise of the synthetic ledger, refuted at 0.3, lies right of its tolerance; LOSS-1 lies left of it."""
    places = """[...d.querySelectorAll("#claim-LOSS-1 .evidence, #claim-LOSS-2 .evidence")].map((e) =>
        [e.querySelector(".measured").cx.baseVal.value, e.querySelector(".tolerance").x1.baseVal.value])"""
    right, wrong = measured(page, DESKTOP, f"{{places: {places}}}", tmp_path)["places"]
    assert right[0] < right[1]
    assert wrong[0] > wrong[1]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("family", "E", 2), ("source", "004 loss formulation", 6), ("status", "surprise", 1), ("status", "undecided", 1)],
)
def test_the_ledger_is_filtered_by_its_lists(page: str, key: str, value: str, expected: int, tmp_path: Path) -> None:
    choose = f"""((s) => {{ s.value = "{value}"; s.dispatchEvent(new Event("input")); }})(
        d.querySelector('select[data-key="{key}"]'))"""
    shown = f"{ROWS}.filter((r) => !r.hidden).length"
    found = measured(page, DESKTOP, f"({choose}, {{shown: {shown}}})", tmp_path)
    assert found["shown"] == expected


def test_the_browser_fetches_the_page_and_nothing_else(page: str, address: str, tmp_path: Path) -> None:
    Requests.pages["/report.html"] = page
    chromium(f"{address}/report.html", tmp_path / "profile", "--dump-dom", "--virtual-time-budget=2000")
    assert Requests.asked == ["/report.html"]


def test_the_request_check_sees_a_request(page: str, address: str, tmp_path: Path) -> None:
    Requests.pages["/report.html"] = page.replace("<main>", '<main><img src="/elsewhere.png" alt="">')
    chromium(f"{address}/report.html", tmp_path / "profile", "--dump-dom", "--virtual-time-budget=2000")
    assert Requests.asked == ["/report.html", "/elsewhere.png"]


def test_a_click_on_a_heading_sorts_by_value_with_gaps_last(page: str, tmp_path: Path) -> None:
    column = '[...d.querySelectorAll("#cells-table th")].findIndex((h) => h.textContent.startsWith("FID"))'
    click = f'd.querySelectorAll("#cells-table th button")[{column}].click()'
    values = f'[...d.querySelectorAll("#cells-table > tbody > tr")].map((r) => r.cells[{column}].dataset.v)'
    found = measured(page, DESKTOP, f"({click}, {{up: {values}, again: ({click}, {values})}})", tmp_path)
    numbers = {key: [float(v) for v in column if v] for key, column in found.items()}
    assert numbers["up"] == sorted(numbers["up"])
    assert numbers["again"] == sorted(numbers["again"], reverse=True)
    assert numbers["up"] != numbers["again"]
    gaps = [[v == "" for v in column] for column in found.values()]
    assert gaps[0] == gaps[1] == sorted(gaps[0])
    assert any(gaps[0])


def test_ids_sort_in_natural_order(page: str, tmp_path: Path) -> None:
    click = 'd.querySelectorAll("#claims-table th button")[0].click()'
    found = measured(page, DESKTOP, f"({click}, {{ids: {ROWS}.map((r) => r.cells[0].textContent.trim())}})", tmp_path)
    assert found["ids"].index("LOSS-2") < found["ids"].index("LOSS-10")


def test_the_filter_keeps_rows_with_all_its_words(page: str, tmp_path: Path) -> None:
    typed = '((i) => { i.value = "loss mc"; i.dispatchEvent(new Event("input")); })(d.querySelector("[data-filters]"))'
    shown = f"{ROWS}.filter((r) => !r.hidden).map((r) => r.textContent.toLowerCase())"
    count = 'd.querySelector(".filter output").textContent'
    found = measured(page, DESKTOP, f"({typed}, {{shown: {shown}, count: {count}}})", tmp_path)
    assert found["shown"]
    assert all("loss" in row and "mc" in row for row in found["shown"])
    assert found["count"] == f"{len(found['shown'])} of 6"


@pytest.mark.parametrize("scheme", [0, 1])  # Chromium's numbers for dark and light
def test_text_has_contrast_in_dark_and_light(page: str, scheme: int, tmp_path: Path) -> None:
    """WCAG's ratio of the relative luminances of text and background, at least 4.5 for every colour of text in use."""
    kinds = "p, td, th, figcaption, .badge, .small, a, .word-bad, .word-good, .word-warn"
    pairs = f"""[...d.querySelectorAll("{kinds}")].map((e) => {{
        let b = e; while (b && getComputedStyle(b).backgroundColor === "rgba(0, 0, 0, 0)") b = b.parentElement;
        return getComputedStyle(e).color + "|" + getComputedStyle(b ?? d.body).backgroundColor; }})"""
    (tmp_path / "page.html").write_text(
        page.replace(
            "</body>", f"<script>const d = document; document.title = JSON.stringify({pairs});</script></body>"
        )
    )
    flag = f"--blink-settings=preferredColorScheme={scheme}"
    dom = chromium(f"file://{tmp_path}/page.html", tmp_path / "profile", flag, "--dump-dom")
    found = set(json.loads(html.unescape(re.findall(r"<title>(.*?)</title>", dom, re.DOTALL)[0])))
    assert len(found) >= 6
    dark_page = luminance(next(iter(found)).split("|")[1]) < 0.5
    assert dark_page == (scheme == 0)
    for pair in found:
        bright, dim = sorted((luminance(colour) for colour in pair.split("|")), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, pair


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_screenshot_is_not_blank(page: str, tmp_path: Path) -> None:
    from matplotlib.image import imread

    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    shot = tmp_path / "shot.png"
    chromium(f"file://{tmp_path}/report.html", tmp_path / "profile", f"--screenshot={shot}", "--window-size=1280,900")
    image = imread(shot)
    assert image.shape[:2] == (900, 1280)
    assert 0.01 < (image[..., :3].mean(axis=-1) < 0.6).mean() < 0.4
