"""A judgement as a page for the terminal, to be read in ten seconds: verdicts first, then a small plot of w(lam)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from reproflow.judge import Judgement

ROWS, COLUMNS = 9, 61
STYLES = {
    "supported": "bold green", "certified": "bold green", "inconclusive": "bold yellow",
    "refuted": "bold red", "not_representable": "bold red", "falsified": "bold red",
}  # fmt: skip
DECADES = 6.0


def show(found: Judgement) -> None:
    """Prints the page on standard output."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    what = f"on {found.target}" if found.target != "canonical" else "canonical"
    title = Text(f"{found.spec}", style="bold")
    console.print(title, Text(f"  {what}; {found.process}, {found.path} path, {found.time} time", style="dim"))
    verdicts = _columns()
    for name, verdict in (("admissible", found.admissible), ("identified", found.identified), ("bound", found.bound)):
        word = verdict["verdict"]
        verdicts.add_row(name, Text(word, style=STYLES[word]), Text(verdict["reason"]))
    console.print(verdicts)
    for line in _plot(found):
        console.print(line, no_wrap=True)
    more = _columns()
    for key, words in _more(found):
        more.add_row(Text(key, style="dim"), Text(words))
    console.print(more)


def _columns() -> Table:
    """A frameless table; its last column wraps inside itself."""
    from rich.table import Table

    return Table(box=None, show_header=False, padding=(0, 1))


def _more(found: Judgement) -> list[tuple[str, str]]:
    equal = [" ".join(dict.fromkeys(_named(each))) for each in found.equivalent]
    shown = "; ".join(equal[:6]) + (f"; and {len(equal) - 6} more (see --json)" if len(equal) > 6 else "")
    rows = [("same as", shown or "none of the registered combinations")]
    if found.bound["advice"]:
        rows.append(("to certify", found.bound["advice"]["text"]))
    if found.bound["flags"]:
        constant = found.bound["flags"]["c_w"]
        rows.append(("constant", constant["reason"]))
        rows.append(("noise end", found.bound["flags"]["noise_end"]["reason"]))
    return rows


def _named(each: dict[str, str]) -> list[str]:
    if each["path"] == "any":
        return [each["weighting"], "(canonical)"]
    time = "" if each["time"] == "uniform" else f", {each['time']} time"
    return [each["weighting"], f"({each['path']} path{time})"]


def _plot(found: Judgement) -> list[Text]:
    """w over lam, logarithmic over at most six decades; red where it rises."""
    import numpy as np
    from rich.text import Text

    lam, w = found.curve
    good = np.isfinite(w) & (w > 0)
    if good.sum() < 2:
        return []
    top = float(np.log10(w[good].max()))
    bottom = max(float(np.log10(w[good].min())), top - DECADES)
    span = max(top - bottom, 0.3)
    pieces = (found.bound["violation"] or {"intervals": []})["intervals"]
    cells = [[(" ", "")] * COLUMNS for _ in range(ROWS)]
    for x, y in zip(lam[good], np.log10(w[good]), strict=True):
        row = round((ROWS - 1) * (top - max(y, bottom)) / span)
        column = round((COLUMNS - 1) * (x - lam[0]) / (lam[-1] - lam[0]))
        rises = any(piece["lam"][0] <= x <= piece["lam"][1] for piece in pieces)
        cells[row][column] = ("•", "red" if rises else "green")
    labels = [f"{10 ** (top - span * row / (ROWS - 1)):8.2g} " if row % 4 == 0 else " " * 9 for row in range(ROWS)]
    lines = [Text.assemble("  ", label, ("│", "dim"), *row) for label, row in zip(labels, cells, strict=True)]
    axis = "".join(f"{mark:<15}" for mark in ("-10", "-5", "0", "5")) + "10"
    return [*lines, Text(" " * 11 + "└" + "─" * COLUMNS, style="dim"), Text(f"{' ' * 10}{axis}  λ", style="dim")]
