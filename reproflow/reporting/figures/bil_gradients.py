"""Equal gradients: how far the marginal loss's gradient is from the conditional one's, in every claim that says so.

000, Theorem 4.8: for a divergence D_tx that is Bregman, any weight and any law of t, grad L_gm = grad L_cgm. Every
number is a statistic of the run's claims.csv, exact tier: of the statement, and of its controls, the same computation
with one thing made wrong. It is the claim's own relative gap: |grad L_gm - grad L_cgm| / |grad L_cgm|, or the larger of
that and of others that the claim's text names (the constant, values, the law transported); BIL-9, where the loss has
several forms, has the gaps of their values and of the slope at the truth instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.analysis.results import records
from reproflow.claims.policy import REFUTED, STATEMENT, SUPPORTED, Measurement, decide
from reproflow.foundation.errors import UsageError
from reproflow.reporting.figures import Source, figure, style
from reproflow.theory.divergences import get_divergence

CLAIMS = {
    "BIL-2": "any Bregman divergence,\nany weight and time law",
    "BIL-4": "only Bregman divergences",
    "BIL-6": "each part with its own",
    "BIL-9": "jumps, masked paths",
    "BIL-11": "given the alignment",
    "BIL-13": "manifolds",
    "LOSS-1": "any path",
    "LOSS-2": "any weight of t and x",
}
"""The claims shown, in their order, and what each adds."""
PROCESS = {"BIL-6": "flow + jump", "BIL-9": "jump", "BIL-11": "edit", "LOSS-1": "flow", "LOSS-2": "flow"}
GRADIENTS = ": equal gradients"  # the cases of BIL-4 whose statistic is a gap of gradients
CONTROL = "control"
COLUMNS = ["claim", "case", "process", "variant", "role", "statistic", "tolerance", "expected", "verdict"]
LEFT = 1e-17
RIGHT = 1e2
SAME = "#0173b2"
APART = "#c44e00"
CAPTION = (
    "Relative gap between the gradients of the marginal and of the conditional loss, computed exactly; a row is a "
    "claim and a process. Blue: equal in theory (in BIL-2 a dot is a divergence, and the largest gap over all "
    "registered weightings and time laws). Orange: what must differ, losses that are no Bregman divergences, and "
    "controls (open dots), the same with one thing made wrong (BIL-2: the smallest gap). Black: the tolerance between "
    "them. Where a claim's text names other gaps besides, its dot is the largest; BIL-9 has those of the loss's "
    "values and of its slope at the truth instead. A gap below 1e-17 stands at the left edge."
)


@figure("bil_gradient_equality", order=130, title="Equal gradients, and controls that differ")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from claims.csv."""
    read = source.results
    frame = gaps(read.claims)
    if frame.empty:
        why = read.why_missing("claims.csv") or f"claims.csv has none of {', '.join(CLAIMS)}"
        return style.placeholder(why), frame, CAPTION
    lanes = list(frame.groupby(["claim", "process"], sort=False))
    figure, [[axes]] = style.panels(1, 1, 0.9 + 0.23 * len(lanes))
    for i, (_, lane) in enumerate(lanes):
        _lane(axes, i, lane)
    _furnish(axes, [(str(claim), str(process)) for (claim, process), _ in lanes])
    return figure, frame, CAPTION


def gaps(claims: pd.DataFrame) -> pd.DataFrame:
    """One row a statement and a row a control, of the cases that have a statistic, in the order of `CLAIMS`."""
    exact = records(claims[(claims["tier"] == "exact") & claims["id"].isin(CLAIMS)])
    rows = [each for name in CLAIMS for row in exact if row["id"] == name and _is_gap(row) for each in _of(row)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    order = {name: i for i, name in enumerate(CLAIMS)}
    known = {process: i for i, process in enumerate(dict.fromkeys(frame["process"]))}
    keys = frame.assign(_claim=frame["claim"].map(order), _process=frame["process"].map(known))
    return frame.loc[keys.sort_values(["_claim", "_process", "case"], kind="stable").index].reset_index(drop=True)


def _is_gap(row: Mapping[str, Any]) -> bool:
    return row["id"] != "BIL-4" or row["case"].endswith(GRADIENTS)


def _of(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statement's row, then one a control, whose verdict is what the policy makes of its statistic."""
    shared = {"claim": row["id"], "case": row["case"], "process": _process(row), "tolerance": row["tolerance"]}
    opposite = {SUPPORTED: REFUTED, REFUTED: SUPPORTED}.get(row["expected"], "")
    if not math.isnan(row["statistic"]):
        yield shared | {
            "variant": STATEMENT, "role": STATEMENT, "statistic": row["statistic"], "expected": row["expected"],
            "verdict": row["verdict"],
        }  # fmt: skip
    for name, text in zip(row["control"].split(";"), row["control_statistic"].split(";"), strict=False):
        if text and not math.isnan(float(text)):
            verdict, _ = decide(row["kind"], Measurement(float(text)), row["tolerance"])
            yield shared | {
                "variant": name, "role": CONTROL, "statistic": float(text), "expected": opposite, "verdict": verdict,
            }  # fmt: skip


def _process(row: Mapping[str, Any]) -> str:
    """What moves: the head of a case of BIL-2, the case of BIL-13; BIL-4 matches rates or, for real targets, a flow."""
    if row["id"] != "BIL-4":
        return PROCESS.get(row["id"], row["case"].partition(": ")[0])
    try:
        return "jump" if get_divergence(row["case"].removesuffix(GRADIENTS)).domain == "positive" else "flow"
    except UsageError:
        return ""


def _lane(axes: Axes, i: int, lane: pd.DataFrame) -> None:
    """The dots of one claim and process at height i, statements filled, spread a little so that all can be seen."""
    for (expected, role), dots in lane.groupby(["expected", "role"]):
        colour = SAME if expected == SUPPORTED else APART
        offsets = [i + 0.2 * ((k % 3) - 1) for k in range(len(dots))]
        axes.scatter(
            dots["statistic"].clip(LEFT, RIGHT), offsets, s=15, linewidth=0.9, alpha=0.85, clip_on=False, zorder=3,
            facecolor=colour if role == STATEMENT else "none", edgecolor=colour,
        )  # fmt: skip
    for tolerance in lane["tolerance"].unique():
        axes.plot([tolerance] * 2, [i - 0.42, i + 0.42], color=style.INK, linewidth=1.4, solid_capstyle="butt")


def _furnish(axes: Axes, lanes: list[tuple[str, str]]) -> None:
    """Axes, the names of lanes, and at the right the claim of each group of them."""
    axes.set(
        xscale="log",
        xlim=(LEFT, RIGHT),
        ylim=(len(lanes) - 0.4, -0.6),
        xlabel="relative gap, marginal against conditional loss",
    )
    axes.set_yticks(range(len(lanes)), [process for _, process in lanes])
    axes.set_xticks([10.0**k for k in range(-16, 2, 2)])
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e5e7eb", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    for x, said, colour in (
        (1e-15, "equal in theory", SAME),
        (1e-12, "tolerance", style.INK),
        (1e-2, "must differ", APART),
    ):
        axes.annotate(
            said, (x, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points", ha="center",
            fontsize=8, color=colour,
        )  # fmt: skip
    names = [claim for claim, _ in lanes]
    for claim in dict.fromkeys(names):
        first, count = names.index(claim), names.count(claim)
        if first:
            axes.axhline(first - 0.5, color="#9aa1ab", linewidth=0.6)
        axes.annotate(
            claim, (1.02, first + (count - 1) / 2), xycoords=("axes fraction", "data"), va="center", fontsize=8,
            fontweight="bold", annotation_clip=False,
        )  # fmt: skip
        axes.annotate(
            CLAIMS[claim], (1.02, first + (count - 1) / 2), (46, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=7.5, color=style.GREY, annotation_clip=False,
        )  # fmt: skip
