r"""The same loss said otherwise: as a time law, as a factor on every other target, and by what it stresses.

By Lemma 4.7 of 000 a weight c of finite mean under a time law D is the time law

.. math:: \tilde D(dt) = c(t) D(dt) / K, \qquad K = E_{t \sim D}[c(t)], \qquad E_D[c L] = K E_{\tilde D}[L],

and by the table of conversions (LOSS-5) the coefficient on one prediction's squared error is that on eps, divided by
the factor of errors of that prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from reproflow.foundation import registry
from reproflow.judge.objectives.integrability import looked_at, mean_of
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.numerics import cumulative
from reproflow.numerics.cumulative import Cumulative
from reproflow.numerics.intervals import Interval
from reproflow.numerics.quadrature import Integral
from reproflow.theory.bounds import Bound
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.processes.base import get_process
from reproflow.theory.targets import get_target

SHARES = np.arange(1, 20) / 20
BANDS = (-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0)
HALF = 0.5
QUARTILES = (0.25, 0.5, 0.75)


def replacement(
    subject: NumericObjective,
    mean: Integral,
    negative: list[Interval],
    t_range: Interval,
    times: np.ndarray | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The time law that would replace the weight, and the shares of E[c] on both halves of time.

    `times` are those that have been looked at. Where there is no such law, K, t, density and quantiles are None, and
    `reason` says why.
    """
    why = _hindrance(mean, negative)
    if why:
        return nothing(why)
    form = mean_of(subject, t_range)
    inner = tuple(pole.place for pole in mean.poles[1:-1])
    exponents = mean.poles[0].exponent, mean.poles[-1].exponent
    seen = looked_at(subject, form, times)
    below = cumulative.cumulative(form.f, form.span, form.octaves, exponents, inner, seen)
    quantiles = below.quantile(SHARES)
    if form.by_quantile:
        quantiles = subject.quantile(quantiles)
    t = t_range[0] + (t_range[1] - t_range[0]) * SHARES
    law = {
        "K": mean.value,
        "t": t.tolist(),
        "density": [_or_none(each) for each in subject.on_output(t) / mean.value],
        "quantiles": {"u": SHARES.tolist(), "t": quantiles.tolist()},
        "reason": "draw t from this law with weight 1, and multiply the loss by K: the same mean, by Lemma 4.7",
    }
    return law, _halves(subject, below, form.by_quantile)


def nothing(why: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `replacement` gives where there is no such law."""
    law: dict[str, Any] = {"K": None, "t": None, "density": None, "quantiles": None, "reason": why}
    return law, {"noise": None, "data": None, "reason": why}


def _hindrance(mean: Integral, negative: list[Interval]) -> str:
    if negative:
        return "w is negative: no law has such a density"
    if mean.verdict != "finite":
        word = "infinite" if mean.verdict == "infinite" else "infinite or nearly so"
        return f"E[w] is {word}: w pi cannot be made a density"
    return "" if mean.value > 0 else "w is zero where the time law goes: there is nothing to draw"


def _halves(subject: NumericObjective, below: Cumulative, by_quantile: bool) -> dict[str, Any]:
    noise = below.at(subject.cdf(HALF) if by_quantile else HALF) / below.total
    reason = "shares of E[w], the mass of the loss's coefficient, on t < 1/2 (towards noise) and t > 1/2 (towards data)"
    return {"noise": noise, "data": 1 - noise, "reason": reason}


def per_log_snr(
    subject: NumericObjective, bound: Bound, halves: dict[str, Any], sigma_data: float = 1.0
) -> dict[str, Any]:
    """What an objective stresses: how two integrals are spread over lam, in bands and by quartiles.

    `share` is of the integral of w dlam, `loss` of the loss of the best denoiser of Gaussian data of standard
    deviation s = `sigma_data`, w s² SNR/(1 + s² SNR) dlam (masked: of the uniform guess, w dalpha), which falls off
    where there is nothing to learn. Both are over the range of the bound; lists are empty where w is no weight.
    """
    keep = np.isfinite(bound.w)
    lam, w = bound.lam[keep], bound.w[keep]
    if bound.minorant is None or len(lam) < 2:
        return {"bands": [], "quartiles": None, "halves": halves}
    if not (np.diff(lam) @ (w[1:] + w[:-1]) > 0):
        # Above zero at single times alone, as where the time law is all atoms.
        return {"bands": [], "quartiles": None, "halves": halves}
    told = 1 / (1 + np.exp(-lam - 2 * np.log(sigma_data)))
    learnt = get_process(subject.objective.process).reference_error(told)
    ends = np.array([lam[0], *(each for each in BANDS if lam[0] < each < lam[-1]), lam[-1]])
    below = {"share": _below(lam, w), "loss": _below(lam, w * learnt)}
    parts = {key: np.diff(np.interp(ends, lam, each)).tolist() for key, each in below.items()}
    bands = [
        {"lam": [float(low), float(high)], "share": share, "loss": loss}
        for low, high, share, loss in zip(ends[:-1], ends[1:], parts["share"], parts["loss"], strict=True)
    ]
    quartiles = {key: np.interp(QUARTILES, each, lam).tolist() for key, each in below.items()}
    return {"bands": bands, "quartiles": quartiles, "halves": halves}


def _below(lam: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """The share of the integral of a rate that lies below each lam."""
    below = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(lam))])
    return below / below[-1]


def on_targets(subject: NumericObjective, lam: Sequence[float]) -> dict[str, Any] | None:
    """The factor on every other target that gives the same loss, at log-SNRs; None for a masked process.

    A canonical weighting is no factor yet: its own is that of the given time law, and all targets are told.
    """
    if not get_process(subject.objective.process).converts:
        return None
    t = invert_lam(subject.objective.path, torch.tensor(list(lam), dtype=torch.float64))
    reached = t.isfinite()
    t = torch.where(reached, t, 0.5)
    c = subject.objective.path.at(t)
    on_eps = subject.objective.coefficient(t)
    names = [each.name for each in registry.entries("target") if each.name != subject.objective.prediction]
    found: dict[str, Any] = {"lam": list(lam)}
    for name in names:
        factor = torch.where(reached, on_eps / get_target(name).error_factor(c), torch.nan)
        found[name] = [_or_none(each) for each in factor.tolist()]
    return found


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
