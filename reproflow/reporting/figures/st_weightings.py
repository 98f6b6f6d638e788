r"""The weightings of 001, Figs. 2 and 3: Gaussian ones over the log-SNR, masked ones and their total weight over time.

Relative to the ELBO integrand a weighting is one function w of the log-SNR. For a masked process 001 puts lam =
log(alpha/(1-alpha)) in it, under the schedule (its Figs. 2, right, and 3)

.. math:: \alpha_t = 1 - \cos(\tfrac{\pi}{2}(1 - t)), \qquad
          \text{total weight on the cross-entropy} = w \frac{|\alpha'_t|}{1 - \alpha_t},

in 001's own time, which runs from data (t = 0) to noise (t = 1). That is the house's masked `cosine` at 1 - t, and
`_schedule` is the one place where it is translated. `normalised` is w over its largest value among the times plotted,
those of the caption of Fig. 2: [0, 0.999], here in steps of 0.001; "flow matching and simple weighting approach
infinity at t = 1". At t = 0 itself, where they have no value in the open interval of the house's time, and all but the
ELBO vanish, nothing is plotted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.numerics.derivatives import Mode
from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.curves import HOME, LAM, REACH, bound, curve_of
from reproflow.theory.bounds import Bound
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.log_snr import elbo_coefficient
from reproflow.theory.objective import get_objective
from reproflow.theory.paths import forward_path
from reproflow.theory.weightings import get_weighting

GAUSSIAN = (
    "elbo", "sigmoid", "fm", "v_cosine", "indi", "edm_monotone", "iddpm", "edm", "p2", "min_snr",
)  # fmt: skip
"""Those that ST-8 derives; the table that 001's Fig. 2, left, refers to was not at hand."""
MASKED = ("elbo", "sigmoid", "fm", "simple", "iddpm", "edm")
"""The weightings of Fig. 2, right, and of Fig. 3 (ST-9); sigmoid with k = 0."""
SCHEDULE = "cosine"
TIMES = np.arange(1, 1000) / 1000
TIME = "t, from data (0) to noise (1)"
LOG_SNR = "log-SNR λ = log(α²/σ²), nats; noise on the left"
NAMED = {"sigmoid": "sigmoid (k = 0)"}
INSIDE = {
    "elbo": (0.6, 1.05), "iddpm": (0.7, 0.68), "sigmoid": (0.13, 0.64), "edm": (0.03, 0.3), "fm": (0.5, 0.05),
    "simple": (0.58, 0.05),
}  # fmt: skip
"""Where the names stand among the normalised curves: their left ends, in t and w."""
HALVES = (("never rises with λ: a sum of bounds", False), ("rises with λ, up to the dot: no such sum", True))

GAUSSIAN_CAPTION = (
    "Weightings in use in Gaussian diffusion, in the manner of Shi & Titsias (2025), Fig. 2 (left): w(λ) relative to "
    f"the ELBO integrand, not normalised, over the log-SNR from −{REACH:g} to {REACH:g}. Left: those that never rise "
    "with λ, which makes the loss a sum of variational bounds with positive coefficients; right: those that rise, from "
    "the noise end to the dot. A name with '=' is one curve twice; EDM made monotone is constant where EDM rises. A "
    "factor does not matter: min_snr, on the x1 error of the cosine path, has 1/π."
)
MASKED_CAPTION = (
    "The weightings of masked diffusion, Shi & Titsias (2025), Fig. 2 (right): w(t) relative to the ELBO integrand, "
    "under α = 1 − cos(π/2 (1 − t)), over the paper's time, from data to noise. All but the simple weighting are the "
    "Gaussian w(λ) at λ = log(α/(1 − α)). Left: each over its largest value up to t = 0.999, as in the paper; right: "
    "the values themselves. Flow matching and the simple weighting grow without limit towards t = 1."
)
CROSS_ENTROPY_CAPTION = (
    "The total weight on the cross-entropy of the masked tokens, w(t) |α′|/(1 − α), Shi & Titsias (2025), Fig. 3, "
    "under α = 1 − cos(π/2 (1 − t)), over the paper's time, from data to noise. The simple weighting is 1 throughout; "
    "the ELBO's own weight grows without limit towards the data, where nothing is masked."
)


@figure("st_gaussian_weightings", order=100, title="Weightings over the log-SNR")
def draw_gaussian(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """Fig. 2, left; it depends on the registry alone, not on the results."""
    found = {name: _judged(name, "gaussian", HOME.get(name, "linear")) for name in GAUSSIAN}
    figure, [axes] = style.panels(1, 2, 3.5, sharey=True)
    halves = {
        head: {n: w for n, (w, verdict) in found.items() if bool(verdict.rises) is rises} for head, rises in HALVES
    }
    for half, (head, shown) in zip(axes, halves.items(), strict=True):
        half.axvline(0, color=style.GREY, linewidth=0.5, alpha=0.6)
        _lines(half, LAM.numpy(), shown)
        _peaks(half, {name: found[name][1] for name in shown})
        half.set(yscale="log", xlim=(-REACH, REACH), ylim=(1e-5, 1e3), title=head, xlabel=LOG_SNR)
    axes[0].set_ylabel("weighting w(λ), relative to the ELBO")
    figure.draw_without_rendering()
    for half, shown in zip(axes, halves.values(), strict=True):
        _label(half, shown)
    frames = [
        _rows(name, verdict, lam=LAM.numpy(), w=w).assign(verdict=verdict.verdict, formula=_formula(name))
        for name, (w, verdict) in found.items()
    ]
    return figure, pd.concat(frames, ignore_index=True), GAUSSIAN_CAPTION


@figure("st_masked_weightings", order=110, title="Weightings of masked diffusion over time")
def draw_masked(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """Fig. 2, right; it depends on the registry alone, not on the results."""
    weights, alpha = masked_weights(), _schedule().alpha.numpy()
    normalised = {name: w / w.max() for name, w in weights.items()}
    figure, [[left, right]] = style.panels(1, 2, 3.5)
    _lines(left, TIMES, normalised)
    _lines(right, TIMES, weights)
    left.set(xlim=(0, 1), ylim=(0, 1.1), xlabel=TIME, ylabel="w(t) over its largest value up to t = 0.999")
    right.set(xlim=(0, 1), ylim=(1e-3, 1e3), yscale="log", xlabel=TIME, ylabel="w(t), relative to the ELBO")
    left.set_title("normalised, as in the paper")
    right.set_title("not normalised")
    for name, place in INSIDE.items():
        left.text(*place, NAMED.get(name, name), fontsize=8, color=_looks()[name]["color"], va="center")
    figure.draw_without_rendering()
    _label(right, weights)
    frames = [
        _rows(
            name, _judged(name, "masked", SCHEDULE)[1], noise_time=TIMES, alpha=alpha, w=w, normalised=normalised[name]
        )
        for name, w in weights.items()
    ]
    return figure, pd.concat(frames, ignore_index=True), MASKED_CAPTION


@figure("st_cross_entropy_weight", order=120, title="Total weight on the cross-entropy")
def draw_cross_entropy(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """Fig. 3; it depends on the registry alone, not on the results."""
    schedule, weights = _schedule(), masked_weights()
    elbo = elbo_coefficient(schedule).numpy()
    total = {name: w * elbo for name, w in weights.items()}
    figure, [[axes]] = style.panels(1, 1, 3.4)
    _lines(axes, TIMES, total)
    axes.set(xlim=(0, 1), ylim=(1e-2, 1e3), yscale="log", xlabel=TIME, ylabel="total weight on the cross-entropy")
    figure.draw_without_rendering()
    _label(axes, total)
    columns = {"noise_time": TIMES, "alpha": schedule.alpha.numpy()}
    frames = [pd.DataFrame({"weighting": name, **columns, "w": weights[name], "weight": total[name]}) for name in total]
    return figure, pd.concat(frames, ignore_index=True), CROSS_ENTROPY_CAPTION


def masked_weights() -> dict[str, np.ndarray]:
    """w of each masked weighting at `TIMES`, under uniform time, which matters to the simple one alone."""
    t = _schedule().t
    return {
        name: get_objective(SCHEDULE, "uniform", name, "masked", mode=Mode.FORWARD).weight(t).numpy() for name in MASKED
    }


def _schedule() -> Coefficients:
    """The schedule at `TIMES`, which are 001's times: the house's are 1 minus them."""
    return forward_path(SCHEDULE, "masked").at(1 - torch.from_numpy(TIMES))


def _judged(name: str, process: str, path: str) -> tuple[np.ndarray, Bound]:
    """w at `LAM`, and the verdict of `theory.bounds` there."""
    curve = curve_of(get_objective(path, "uniform", name, process, mode=Mode.FORWARD))
    return curve.w, bound(curve)


def _rows(name: str, verdict: Bound, **columns: np.ndarray) -> pd.DataFrame:
    rises = ";".join(f"{rise.lam[0]:.17g}:{rise.lam[1]:.17g}" for rise in verdict.rises)
    return pd.DataFrame({"weighting": name, **columns, "monotone": not verdict.rises, "rises": rises})


def _formula(name: str) -> str:
    """w up to a factor, in words: the summary of the canonical weighting of that name, which a masked match is."""
    return get_weighting(name, "masked").entry.summary


def _looks() -> dict[str, dict[str, Any]]:
    """The same for a name in all three figures; `simple` and `indi` are never in one, so they share a colour."""
    looks: dict[str, dict[str, Any]] = style.looks(name for name in GAUSSIAN if name != "v_cosine")
    return looks | {"v_cosine": looks["fm"], "simple": looks["indi"] | {"linestyle": style.LINES[1]}}


def _lines(axes: Axes, x: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    looks = _looks()
    for name, y in curves.items():
        axes.plot(x, y, **looks[name])


def _peaks(axes: Axes, verdicts: Mapping[str, Bound]) -> None:
    """A dot where each weight ceases to rise."""
    for name, verdict in verdicts.items():
        for rise in verdict.rises:
            w = float(np.interp(rise.lam[1], verdict.lam, verdict.w))
            axes.plot(rise.lam[1], w, "o", color=_looks()[name]["color"], markersize=4.5)


def _label(axes: Axes, curves: Mapping[str, np.ndarray]) -> None:
    """The names at the right of the axes, at the heights where the curves end; equal ends share theirs."""
    low, high = axes.get_ylim()
    same: dict[float, list[str]] = {}
    for name, y in curves.items():
        same.setdefault(float(f"{y[-1]:.9g}"), []).append(name)
    rows = sorted(same.items())
    _, places = style.heights(axes, [min(max(y, low), high) for y, _ in rows])
    for (_, names), place in zip(rows, places, strict=True):
        said = " = ".join(NAMED.get(name, name) for name in names)
        axes.annotate(
            said, (1.02, place), xycoords="axes fraction", va="center", fontsize=8, color=_looks()[names[0]]["color"],
            annotation_clip=False,
        )  # fmt: skip
