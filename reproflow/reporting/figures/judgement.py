"""Figures of a judgement for its page: a weight over the log-SNR, a path and a law over time, a loss by prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.foundation.errors import UsageError
from reproflow.judge.laws import time_law
from reproflow.reporting.figures.style import GREY, INK, panels
from reproflow.theory.divergences import get_divergence
from reproflow.theory.log_snr import log_snr
from reproflow.theory.paths import get_path
from reproflow.theory.time_direction import is_turned, turned_path

FALLS = "#0173b2"
RISES = "#c44e00"
T = np.linspace(0.005, 0.995, 397)
TARGETS = (0.5, 1.0, 2.0)


def draw(found: Any) -> tuple[Figure, str]:
    """The figure of a judgement of any kind, within `style.styled()`, and its caption."""
    return _FIGURES[type(found).__name__](found)


def _weighting(found: Any) -> tuple[Figure, str]:
    figure, [[left, right]] = panels(1, 2, 2.9)
    _weight(left, found)
    _laws(right, found)
    caption = (
        "Left: the weight relative to the ELBO integrand over the log-SNR, noise on the left; shaded where it rises, "
        "grey the smallest certified weight above it. Right: the time law, and the one that would replace the weight "
        "by Lemma 4.7, where there is one."
    )
    return figure, caption


def _weight(axes: Axes, found: Any) -> None:
    lam, w = found.curve
    good = np.isfinite(w) & (w > 0)
    pieces = (found.bound["violation"] or {"intervals": []})["intervals"]
    for piece in pieces:
        low, high = (float(np.clip(end, lam[0], lam[-1])) for end in piece["lam"])
        axes.axvspan(low, high, color=RISES, alpha=0.15, lw=0)
    if good.any():
        top = w[good].max()
        axes.plot(lam[good], w[good], color=RISES if pieces else FALLS)
        if pieces:
            majorant = np.maximum.accumulate(np.where(good, w, 0.0)[::-1])[::-1]
            axes.plot(lam, majorant, color=GREY, lw=1, ls=(0, (4, 2)))
        axes.set_yscale("log")
        axes.set_ylim(max(w[good].min(), top * 1e-6) * 0.7, top * 1.5)
    axes.set(title="canonical weight w(λ)", xlabel="λ")


def _laws(axes: Axes, found: Any) -> None:
    law = time_law(found.time, turned=is_turned(found.time_runs))
    axes.plot(T, _values(law.density), color=INK, label=f"{found.time} (drawn)")
    if found.replacement["density"]:
        t = np.array(found.replacement["t"])
        density = np.array([np.nan if not isinstance(y, int | float) else y for y in found.replacement["density"]])
        axes.plot(t, density, color=FALLS, marker="o", ms=3, label="in place of the weight")
    axes.set(title="density of t", xlabel="t, noise to data")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)


def _levels(found: Any) -> tuple[Figure, str]:
    figure, [[left, right]] = panels(1, 2, 2.9)
    index = np.array(found.canonical["index"])
    w = np.array([value if isinstance(value, float) else np.nan for value in found.canonical["w"]])
    for piece in (found.bound["violation"] or {"intervals": []})["intervals"]:
        left.axvspan(min(piece["levels"]), max(piece["levels"]), color=RISES, alpha=0.15, lw=0)
    left.plot(index, np.where(w > 0, w, np.nan), color=FALLS, marker=".", ms=3, lw=0.8)
    left.set(title="canonical weight of a level", xlabel="index", yscale="log" if (w > 0).any() else "linear")
    if found.replacement["probability"]:
        right.plot(found.replacement["index"], found.replacement["probability"], color=FALLS, lw=1)
    right.set(title="law in place of the weight", xlabel="index")
    right.set_ylim(bottom=0)
    return figure, (
        "Left: the weight of every level relative to its term of the discrete ELBO, by the table's index; shaded where "
        "it rises towards the data. Right: the law over levels that would replace the weight by Lemma 4.7."
    )


def _path(found: Any) -> tuple[Figure, str]:
    figure, [[left, right]] = panels(1, 2, 2.7)
    path = get_path(found.spec, found.process)
    path = turned_path(path) if is_turned(found.time_runs) and not path.is_registered else path
    alpha, sigma = _values(lambda t: path(t)[0]), _values(lambda t: path(t)[1])
    for values, name, colour in ((alpha, "alpha", FALLS), (sigma, "sigma", RISES)):
        left.plot(T, values, color=colour, label=name)
    left.set(title="coefficients", xlabel="t, noise to data")
    left.legend(frameon=False)
    with np.errstate(all="ignore"):
        right.plot(T, _values(lambda t: log_snr(path, t)), color=INK)
    for piece in (found.monotone_snr.get("violation") or {"intervals": []})["intervals"]:
        right.axvspan(*piece["t"], color=RISES, alpha=0.2, lw=0)
    right.set(title="log-SNR λ", xlabel="t, noise to data")
    return figure, "Left: how much of the data and of the noise is in x_t. Right: the log-SNR, shaded where it falls."


def _time(found: Any) -> tuple[Figure, str]:
    figure, [[left, right]] = panels(1, 2, 2.7)
    try:
        law = time_law(found.spec, turned=is_turned(found.time_runs))
    except UsageError as error:  # no density, or draws without one
        left.set_axis_off()
        right.set_axis_off()
        return figure, f"Nothing to draw: {error}"
    left.plot(T, _values(law.quantile), color=FALLS)
    left.set(title="quantile map", xlabel="u", ylabel="t")
    if found.valid["verdict"] != "refuted":
        right.plot(T, _values(law.density), color=FALLS)
        right.set_ylim(bottom=0)
    right.set(title="density of t", xlabel="t, noise to data")
    return figure, "Left: the map from a uniform number u to t. Right: the density of t."


def _divergence(found: Any) -> tuple[Figure, str]:
    figure, [[axes, _]] = panels(1, 2, 2.7)
    _.set_axis_off()
    loss = get_divergence(found.spec)
    b = torch.linspace(0.05, 4, 200, dtype=torch.float64)[:, None]
    for target, colour in zip(TARGETS, (FALLS, INK, RISES), strict=True):
        value = loss(torch.full_like(b, target), b, torch.full_like(b[:, 0], 0.5), torch.ones_like(b))
        axes.plot(b[:, 0].numpy(), value.detach().numpy(), color=colour, label=f"a = {target:g}")
        axes.axvline(target, color=colour, lw=0.6, ls=":")
    axes.set(title="l(a, b) at t = 1/2, x = 1", xlabel="prediction b")
    axes.legend(frameon=False)
    return figure, "The loss of one coordinate over the prediction, for three targets; dotted where they are."


def _values(function: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """A function of t on the grid `T`; what is not finite is not drawn."""
    found = function(torch.from_numpy(T)).detach().numpy()
    return np.where(np.isfinite(found), found, np.nan)


_FIGURES: dict[str, Callable[[Any], tuple[Figure, str]]] = {
    "Judgement": _weighting,
    "LevelsJudgement": _levels,
    "PathJudgement": _path,
    "TimeJudgement": _time,
    "DivergenceJudgement": _divergence,
}
