"""The field, judged: the committed verdicts on training objectives in use elsewhere, and how they are said.

`reproflow check field --refresh` writes published_objectives.csv (`judge.published_objectives`); the report and
docs/field.md only read it. Numbers have six digits; a missing one is empty. `curve` is log10 of w(lam)/w(0) at `LAM`,
blank-separated: `nan` where the path does not reach, `-inf` where w is zero.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from reproflow.analysis.formatting import DASH, number
from reproflow.analysis.reading import Missing
from reproflow.foundation.errors import ReproflowError
from reproflow.judge.published_objectives_table import HYPOTHESES, LAM, read
from reproflow.reporting.sparklines import spark

GOOD = {"supported", "certified"}
SHOWN = 3  # equal objectives that are named in a table
EDGE = 1e-4 * (1 + 1e-6)  # the range in t on which the bound is judged begins and ends here


def section(missing: list[Missing]) -> dict[str, Any]:
    """What the report's section shows; nothing, and a line in `missing`, where the table cannot be read."""
    try:
        return content()
    except ReproflowError as error:
        missing.append(Missing("the field", str(error)))
        return {}


@functools.cache
def content() -> dict[str, Any]:
    """The rows in words, what the lists beside the filter hold, a summary, and where the table came from."""
    field = read()
    rows = list(field.rows.values())
    return {
        "rows": [said(row, field.rows) for row in rows],
        "families": list(dict.fromkeys(row["family"] for row in rows)),
        "bounds": sorted({row["bound"].replace("_", " ") for row in rows}),
        "summary": summary(rows),
        "provenance": field.provenance,
    }


def said(row: dict[str, str], rows: dict[str, dict[str, str]]) -> dict[str, Any]:
    """A row with everything that is shown of it in words, and its curve as SVG."""
    words = {"objective": objective(row), "rising": rising(row), "share": share(row), "equal": equal(row, rows)}
    words["mean"] = mean(row)
    return row | words | {"good": {key: row[key] in GOOD for key in HYPOTHESES}, "svg": curve(row)}


def curve(row: dict[str, str]) -> str:
    """The canonical weight as a small SVG, shaded where it rises."""
    certified = row["bound"] == "certified"
    points = list(zip(LAM, map(float, row["curve"].split()), strict=True))
    return spark(points, intervals(row["rises"]), certified, f"w(λ) of {row['name']}: {row['bound'].replace('_', ' ')}")


def summary(rows: list[dict[str, str]]) -> str:
    """How many of them are what, in two sentences."""
    count = {key: sum(row[key] in GOOD for row in rows) for key in HYPOTHESES}
    both = sum(all(row[key] in GOOD for key in HYPOTHESES) for row in rows)
    return (
        f"Of {len(rows)} objectives, {count['bound']} are certified as sums of variational bounds, "
        f"{count['admissible']} meet every hypothesis of Lemma 4.7 of Billera et al., and {count['identified']} have a "
        f"unique minimiser; {both} are all three."
    )


def objective(row: dict[str, str]) -> str:
    """The objective in this house's convention: `min_snr on x1, cosine path, uniform time`."""
    factor = row["weighting"].removeprefix("expr:")
    what = f"{factor} (canonical)" if row["on"] == "canonical" else f"{factor} on {row['on']}"
    law = row["time"].removeprefix("expr:")
    law = f"time t = {law}" if law != row["time"] else f"{law} time"
    return f"{what}, {row['path']} path, {law}"


def rising(row: dict[str, str]) -> str:
    """Where w rises with lam, or a dash; an end of the range in t that was looked at is no end worth telling."""
    pieces = intervals(row["rises"])
    if not pieces:
        return DASH
    lows, highs = [f"{_end(low)} to " for low, _ in pieces], [_end(high) for _, high in pieces]
    if float(row["t_low"]) <= EDGE:
        lows[0] = "below "
    if float(row["t_high"]) >= 1 - EDGE:
        lows[-1], highs[-1] = ("", "everywhere") if lows[-1] == "below " else ("above ", lows[-1].removesuffix(" to "))
    return ", ".join(low + high for low, high in zip(lows, highs, strict=True))


def share(row: dict[str, str]) -> str:
    """The share that the running minimum certifies, in per cent; a dash where there is nothing to weigh."""
    if not row["minorant"]:
        return DASH
    percent = 100 * float(row["minorant"])
    # What is nearly all or nearly nothing never reads as all or nothing.
    if 0.01 <= percent < 99.5 or percent == 100:
        return f"{percent:.3g} %"
    return "<0.01 %" if percent < 50 else ">99.5 %"


def mean(row: dict[str, str]) -> str:
    """E[w] to four digits; infinity as its sign, a dash where there is none."""
    return number(float(row["mass"])).replace("inf", "∞") if row["mass"] else DASH


def equal(row: dict[str, str], rows: dict[str, dict[str, str]]) -> str:
    """The other objectives of the table, then the registered ones, that are the same up to a factor."""
    own = [rows[key]["name"] for key in row["same"].split()]
    registered = row["registered"].split("; ") if row["registered"] else []
    named = own + [each for each in registered if each not in own]
    rest = [f"{len(named) - SHOWN} more"] if len(named) > SHOWN else []
    return "; ".join(named[:SHOWN] + rest) or DASH


def intervals(text: str) -> list[tuple[float, float]]:
    """`-6.2 0, 1 2` as pairs."""
    pairs = [piece.split() for piece in text.split(", ") if piece]
    return [(float(low), float(high)) for low, high in pairs]


def _end(lam: str | float) -> str:
    value = float(lam)
    return f"{value:.3g}".replace("-", "−") if math.isfinite(value) and abs(value) > 5e-7 else "0"
