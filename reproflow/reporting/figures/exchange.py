"""A weight in the loss against the same weight in the time law: training curves, gradient norms and likelihoods."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reproflow.analysis.formatting import DASH, HEADINGS, number
from reproflow.analysis.results import Results
from reproflow.analysis.weight_or_law import (
    ARMS,
    Pair,
    curve,
    exact_noise,
    floor,
    late_squares,
    measured_ratio,
    outcome,
    pairs,
)
from reproflow.numerics.paired import Seeds
from reproflow.numerics.relabelling import FEWEST_SEEDS
from reproflow.reporting.figures import Source, figure, style

COLUMNS = [
    "pair", "dataset", "process", "path", "target", "steps", "quantity", "arm", "weighting", "time", "seed", "step",
    "value", "low", "high", "seeds",
]  # fmt: skip
COLOURS = {"weight": "#0173b2", "law": "#c44e00"}
DASHES: dict[str, Any] = {"weight": "-", "law": (0, (4, 1.5))}
CURVES = {"loss": "loss", "grad_norm": "gradient norm"}
CAPTION = (
    "A weight moved into the time law (Billera et al., Lemma 4.7: E[w(t) L(t)] under D is K times E[L(t)] under "
    "the law proportional to w D), trained both ways. A row is a pair of objectives with proportional canonical "
    "weight on one path, found among the cells; a weighting that keeps its canonical weight under another law has"
    " the rest of it in the loss. Left: training loss; each is divided by the loss of its own linear denoiser, "
    "and K with it, so that the arms are in one unit; dotted: what the exact posterior leaves. Middle: norm of "
    "the stochastic gradient before clipping. Lines: mean over seeds, bands: lowest to highest seed. Right: final"
    " likelihood, law minus weight, a dot a seed, with the mean and its paired 95 % t-interval (none below "
    f"{FEWEST_SEEDS} seeds), not adjusted for the number of rows. One objective does not mean one noise: V is the "
    "exact variance of one independent draw's gradient with respect to the network's output at the exact "
    "posterior (by quadrature; training draws stratified times, which have less), V min the least that any time "
    "law has for this objective. Ratio of squares: measured squared gradient norms of the last quarter of "
    "training, law over weight, with a 95 % interval over seeds."
)


@figure("bil_exchange", order=200, title="A weight in the loss, and in the time law")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from cells.csv, curves.csv and, for the exact noise, the configuration."""
    read = source.results
    unplaced: list[str] = []
    found = pairs(read, unplaced)
    note = f" Not placed: {'; '.join(unplaced)}." if unplaced else ""
    if not found:
        why = read.why_missing("cells.csv") or "no two cells share path and objective with different time laws"
        return style.placeholder(why), pd.DataFrame(columns=COLUMNS), CAPTION + note
    figure, rows = style.panels(len(found), 3, 2.45 * len(found), width_ratios=[1.25, 1.25, 1.0])
    frames = [_row(i, read, pair, axes) for i, (pair, axes) in enumerate(zip(found, rows, strict=True), start=1)]
    return figure, pd.concat(frames, ignore_index=True)[COLUMNS], CAPTION + note


def _row(index: int, read: Results, pair: Pair, axes: list[Axes]) -> pd.DataFrame:
    frames = [_curves(read, pair, column, each) for column, each in zip(CURVES, axes, strict=False)]
    frames += [_difference(pair, axes[2]), _noise(read, pair, axes[1])]
    labels = pair.labels
    title = f"{pair.same['dataset']} · {pair.path} path\nin the loss: {labels['weight']}\nin the law: {labels['law']}"
    axes[0].set_title(title, fontsize=8, linespacing=1.3)
    legend = axes[0].get_legend()
    if index > 1 and legend is not None:
        legend.remove()
    frame = pd.concat(frames, ignore_index=True)
    where = {key: pair.same[key] for key in ("dataset", "process", "target", "steps")}
    for arm, member in pair.arms.items():
        frame.loc[frame["arm"] == arm, ["weighting", "time"]] = [member.names["weighting"], member.names["time"]]
    return frame.assign(pair=index, path=pair.path, **where).reindex(columns=COLUMNS)


def _curves(read: Results, pair: Pair, column: str, axes: Axes) -> pd.DataFrame:
    """Both arms of one column over the steps."""
    frames = []
    for arm, member in pair.arms.items():
        line = curve(read, member, column).assign(quantity=column, arm=arm)
        axes.fill_between(line["step"], line["low"], line["high"], color=COLOURS[arm], alpha=0.15, linewidth=0)
        axes.plot(line["step"], line["value"], color=COLOURS[arm], linestyle=DASHES[arm], linewidth=1.2, label=arm)
        frames.append(line)
    both = pd.concat(frames, ignore_index=True)
    if both.empty:
        axes.text(0.5, 0.5, "no training curves", transform=axes.transAxes, ha="center", color=style.GREY, fontsize=7)
        return both
    axes.set(xlim=(0, both["step"].max()), ylabel=CURVES[column])
    axes.set_xlabel("step", labelpad=1)
    _fit(axes, both)
    if column == "loss":
        frames += _floors(read, pair, axes)
        names = {"weight": "weight in the loss", "law": "weight in the law"}
        handles, arms = axes.get_legend_handles_labels()
        axes.legend(handles, [names[arm] for arm in arms], fontsize=7, frameon=False, loc="upper right")
    return pd.concat(frames, ignore_index=True)


def _fit(axes: Axes, both: pd.DataFrame) -> None:
    """The scale leaves out the first tenth of the steps."""
    seen = both[both["step"] >= 0.1 * both["step"].max()]
    low, high = float(seen["low"].min()), float(seen["high"].max())
    room = 0.08 * (high - low) or 0.01 * max(abs(high), 1e-300)
    axes.set_ylim(low - room, high + 3 * room)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _floors(read: Results, pair: Pair, axes: Axes) -> list[pd.DataFrame]:
    found = {arm: floor(read, member) for arm, member in pair.arms.items()}
    for arm, value in found.items():
        if not math.isnan(value):
            axes.axhline(value, color=COLOURS[arm], linestyle=":", linewidth=1)
            axes.set_ylim(bottom=min(axes.get_ylim()[0], value - 0.03 * abs(value)))
    return [pd.DataFrame({"quantity": ["floor"], "arm": [arm], "value": [value]}) for arm, value in found.items()]


def _difference(pair: Pair, axes: Axes) -> pd.DataFrame:
    """The metric's difference by seed, its mean and interval."""
    metric, seeds, estimate = outcome(pair)
    heading, decimals = HEADINGS[metric]
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    axes.plot(list(seeds.values()), [0.62] * len(seeds), "o", color=style.GREY, markersize=3.5, clip_on=False)
    if seeds:
        axes.plot([estimate.mean], [0.4], "D", color=style.INK, markersize=5)
    if estimate.decided:
        axes.plot([estimate.low, estimate.high], [0.4, 0.4], color=style.INK, linewidth=2, solid_capstyle="butt")
    ends = [abs(value) for value in (*seeds.values(), estimate.low, estimate.high) if not math.isnan(value)]
    reach = 1.15 * max(ends, default=1.0) or 1.0
    axes.set(xlim=(-reach, reach), ylim=(0, 1), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.set_xlabel(f"{heading}: law minus weight", fontsize=8, labelpad=1)
    axes.set_title(_said(seeds, estimate.mean, estimate.low, estimate.high, decimals), fontsize=8)
    rows = [{"arm": "law - weight", "seed": seed, "value": value} for seed, value in seeds.items()]
    whole = {"arm": "law - weight", "value": estimate.mean, "low": estimate.low, "high": estimate.high}
    return pd.DataFrame([*rows, whole | {"seeds": estimate.n}]).assign(quantity=metric)


def _said(seeds: Seeds, mean: float, low: float, high: float, decimals: int) -> str:
    if not seeds:
        return "no result of both arms"
    if math.isnan(low):
        return f"{number(mean, decimals, True)}; {len(seeds)} seeds: no interval"
    return f"{number(mean, decimals, True)} [{number(low, decimals, True)}, {number(high, decimals, True)}]"


def _noise(read: Results, pair: Pair, axes: Axes) -> pd.DataFrame:
    """The gradient's noise, exact and measured, as the title of the middle panel."""
    rows: list[dict[str, Any]] = []
    over = {}
    for arm, member in pair.arms.items():
        value, least = exact_noise(read, member)
        over[arm] = value / least
        rows += [{"quantity": "variance", "arm": arm, "value": value}]
        rows += [{"quantity": "variance_least", "arm": arm, "value": least}]
        late = late_squares(read, member)
        rows += [{"quantity": "grad_square", "arm": arm, "seed": seed, "value": v} for seed, v in late.items()]
    ratio = measured_ratio(read, pair)
    rows.append(
        {"quantity": "grad_square", "arm": "law / weight", "value": ratio.mean, "low": ratio.low, "high": ratio.high}
        | {"seeds": ratio.n}
    )
    exact = ", ".join(f"{arm} {number(over[arm], digits=3)}" for arm in ARMS)
    bounds = DASH if math.isnan(ratio.low) else f"[{number(ratio.low, 2)}, {number(ratio.high, 2)}]"
    axes.set_title(
        f"V / V min: {exact}\nratio of squares {number(ratio.mean, 2)} {bounds}", fontsize=8, linespacing=1.3
    )
    return pd.DataFrame(rows)
