"""A judgement as a page for the terminal, to be read in ten seconds: verdicts first, then a small plot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reproflow.cli import check_levels_terminal

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from reproflow.judge import DivergenceJudgement, Judgement, TimeJudgement

ROWS = 9
COLUMNS = 61
STYLES = {
    "supported": "bold green", "certified": "bold green", "same": "bold green", "inconclusive": "bold yellow",
    "refuted": "bold red", "not_representable": "bold red", "falsified": "bold red",
    "different": "bold red",
}  # fmt: skip
DECADES = 6.0
BAR = "▇"


def show(found: Any) -> None:
    """Prints the page of a judgement of any kind on standard output: verdicts, a plot where there is one, and more."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(found.spec, style="bold"), Text(f"  {about(found)}", style="dim"))
    table = _columns()
    for name, verdict in verdicts(found):
        word = verdict["verdict"] or "-"
        table.add_row(name.replace("_", " "), Text(word, style=STYLES.get(word, "dim")), Text(verdict["reason"]))
    console.print(table)
    for line in _PLOTS.get(type(found).__name__, lambda _: [])(found):
        console.print(line, no_wrap=True)
    below = _columns()
    for key, words in more(found):
        below.add_row(Text(key, style="dim"), Text(words))
    if below.row_count:
        console.print(below)


def about(found: Any) -> str:
    """What kind of thing was judged, and with what beside it."""
    direction = f"; your functions run {found.time_runs}" if getattr(found, "time_runs", "")[:4] == "data" else ""
    return _ABOUT.get(type(found).__name__, lambda _: "")(found) + direction


def more(found: Any) -> list[tuple[str, str]]:
    """What stands below the verdicts: (key, words)."""
    return _MORE.get(type(found).__name__, lambda _: [])(found)


def verdicts(found: Any) -> list[tuple[str, dict[str, Any]]]:
    """Every verdict of a judgement with its name, in the order of its fields."""
    return [
        (key, value)
        for key, value in vars(found).items()
        if isinstance(value, dict) and {"verdict", "reason"} <= value.keys()
    ]


def _about_weighting(found: Judgement) -> str:
    what = f"on {found.target}" if found.target != "canonical" else "canonical"
    return f"{what}; {found.process}, {found.path} path, {found.time} time"


def _columns() -> Table:
    """A frameless table; its last column wraps inside itself."""
    from rich.table import Table

    return Table(box=None, show_header=False, padding=(0, 1))


def _more_on_weighting(found: Judgement) -> list[tuple[str, str]]:
    equal = [" ".join(dict.fromkeys(_named(each))) for each in found.equivalent]
    shown = "; ".join(equal[:6]) + (f"; and {len(equal) - 6} more (see --json)" if len(equal) > 6 else "")
    rows = [("warning", each) for each in found.warnings]
    rows += [("same as", shown or "none of the registered combinations"), *_restated(found)]
    if found.bound["advice"]:
        rows.append(("to certify", found.bound["advice"]["text"]))
    if found.bound["flags"]:
        constant = found.bound["flags"]["c_w"]
        rows.append(("constant", constant["reason"]))
        rows.append(("noise end", found.bound["flags"]["noise_end"]["reason"]))
    if found.sigma_data:
        rows.append(("data", found.sigma_data["reason"]))
    return [*rows, ("variance", found.variance["reason"]), *_trained(found)]


def _trained(found: Judgement) -> list[tuple[str, str]]:
    """The paired experiment, a line a neighbour: this less the neighbour, so that less than zero speaks for this."""
    if found.train is None:
        return []
    rows = []
    for each in found.train["neighbours"]:
        law = "" if each["time"] == found.time else f", {each['time']} time"
        what = f"{each['weighting']} ({each['path']} path{law})"
        rows.append((f"against {each['role']}", f"{what}: {found.train['metric']} {each['reason']}"))
    return [*rows, ("trained", found.train["reason"])]


def _restated(found: Judgement) -> list[tuple[str, str]]:
    """The same loss said otherwise, and what it stresses: a line each."""
    from reproflow.theory.processes.base import get_process

    rows, halves = [], found.per_log_snr["halves"]
    if found.replacement["K"] is None:
        rows.append(("as a time law", f"none: {found.replacement['reason']}"))
    else:
        low, middle, high = (found.replacement["quantiles"]["t"][index] for index in (1, 9, 17))
        quantiles = f"t at 10, 50, 90 %: {low:.3g}, {middle:.3g}, {high:.3g}"
        rows.append(
            ("as a time law", f"{quantiles}; {100 * halves['data']:.3g} % on t > 1/2; K = {found.replacement['K']:.4g}")
        )
    if found.per_log_snr["quartiles"]:
        low, _, high = found.per_log_snr["quartiles"]["loss"]
        whose = get_process(found.process).reference
        rows.append(("stresses", f"half of {whose} lies at λ from {low:.3g} to {high:.3g}"))
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


def _density_plot(found: TimeJudgement) -> list[Text]:
    """pi at .1, .., .9 as bars; a full one is the largest."""
    from rich.text import Text

    pi = [value if isinstance(value, int | float) else None for value in found.density_at["pi"]]
    largest = max((value for value in pi if value is not None), default=0.0)
    if not largest:
        return []
    lines = []
    for t, value, reported in zip(found.density_at["t"], pi, found.density_at["pi"], strict=True):
        length = COLUMNS if value is None else round(COLUMNS * value / largest)
        without_number = "an atom" if reported == "inf" else "-"
        words = without_number if value is None else f"{value:.4g}"
        lines.append(Text.assemble(f"  π({t:g}) ", (BAR * length, "green"), f" {words}"))
    return lines


def _more_on_divergence(found: DivergenceJudgement) -> list[tuple[str, str]]:
    target = found.identified["functional"]
    return [("in short", found.reason), ("targets", target if target else "nothing: no single minimum")]


# By the name of the judgement's class: the line beside the spec, the plot, and what stands below it.
_ABOUT: dict[str, Callable[[Any], str]] = {
    "Judgement": _about_weighting,
    "LevelsJudgement": check_levels_terminal.about,
    "PathJudgement": lambda found: f"{found.process} path",
    "TimeJudgement": lambda found: "time law",
    "DivergenceJudgement": lambda found: "divergence",
}
_PLOTS: dict[str, Callable[[Any], list[Text]]] = {
    "Judgement": _plot,
    "LevelsJudgement": check_levels_terminal.plot,
    "TimeJudgement": _density_plot,
}
_MORE: dict[str, Callable[[Any], list[tuple[str, str]]]] = {
    "Judgement": _more_on_weighting,
    "LevelsJudgement": check_levels_terminal.more,
    "PathJudgement": lambda found: [("warning", each) for each in found.warnings],
    "TimeJudgement": lambda found: [("known from", found.source["reason"])] if found.source else [],
    "DivergenceJudgement": _more_on_divergence,
}
