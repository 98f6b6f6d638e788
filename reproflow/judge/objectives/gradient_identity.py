r"""Do the conditional and the marginal loss have one gradient, under this very weight, path and time law?

With W = pi c, the coefficient of the loss times the density of the time law,

.. math:: \nabla_\theta \int W(t) E|f_\theta(x_t, t) - y|^2 dt
          = \nabla_\theta \int W(t) E|f_\theta(x_t, t) - E[y|x_t]|^2 dt

for every W of time alone (LOSS-1, LOSS-2; 000, Theorem 4.8), and likewise for cross-entropies. Both sides are computed
in float64 by routes of their own, at a random network and the same times. Gaussian: three Gaussians on a line, the left
side by Gauss-Hermite over (component, z, eps), where no posterior occurs, the right one by the trapezoid rule over x
with the closed posterior mean (`exact.conditional_losses`). Masked: four tokens, the left side summed over data and
masks, the right one over states with their posterior (`exact.four_tokens`). As a control the weight depends on the data
too, and a gap must show.

The state is divided by sqrt(alpha² + sigma²) and the target y = a z + b eps by sqrt(a² + b²), whose square goes into
the weight: so the network sees and gives numbers of order one, whatever the path and the prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from reproflow.foundation.by_process import ByProcess
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.numerics import gauss_rules
from reproflow.numerics.intervals import Interval

TOLERANCE = 1e-8
POWER = 1e-6
"""A control's gap below this says nothing: two orders above what may pass as equal."""
TIMES = 16
RANGE = (1e-3, 1 - 1e-3)
"""Where the times lie unless a range is given: on some paths the variance of the target has no integral up to t = 1."""
NEAREST = 1e-9
CANCELS = 1e-6

Sides = tuple[Tensor, list[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Sample:
    """Times (N,), their quadrature weights (N,), and W at them (N,)."""

    t: Tensor
    step: Tensor
    weight: Tensor


SIDES: ByProcess[Callable[[NumericObjective, Sample], Sides]] = ByProcess("check of gradients", __name__)
"""By process: parameters, and the two losses at every time under the weight and under the control's."""


def judge(subject: NumericObjective, t_range: Interval | None = None) -> dict[str, Any]:
    """`verdict` (supported: the relative gap is at most 1e-8), `relative_gap`, `control_gap` and `reason`.

    Inconclusive where the weight is zero or infinite at the times, and where the control shows nothing.
    """
    low, high = inside(t_range)
    nodes, step = gauss_rules.legendre_on(low, high, TIMES)
    weight = torch.from_numpy(subject.on_output(nodes.numpy()))
    at = Sample(nodes, step, weight)
    if reason := _undefined(at):
        return undefined(reason)
    at = replace(at, weight=weight / weight.abs().max())
    theta, sides = SIDES[subject.objective.process](subject, at)
    gap, control = (_gap(at, theta, *each) for each in sides)
    return _verdict(gap, control, f"{TIMES} times in [{low:g}, {high:g}]")


def inside(t_range: Interval | None) -> Interval:
    """The range where times are looked at: `RANGE`, or the one that is given, kept 1e-9 away from 0 and 1."""
    if t_range is None:
        return RANGE
    low = min(max(t_range[0], NEAREST), 1 - 2 * NEAREST)
    return low, max(min(t_range[1], 1 - NEAREST), low + NEAREST)


def undefined(reason: str) -> dict[str, Any]:
    """The answer where there is nothing to compare."""
    return {
        "verdict": "inconclusive",
        "relative_gap": None,
        "control_gap": None,
        "reason": f"not defined: {reason}",
    }


def _undefined(at: Sample) -> str:
    if not bool(at.weight.isfinite().all()):
        return f"the weight is infinite at t = {float(at.t[~at.weight.isfinite()][0]):.4g}"
    if not bool((at.weight != 0).any()):
        return "the weight is zero at every time that was looked at"
    return ""


def _verdict(gap: float, control: float, where: str) -> dict[str, Any]:
    numbers = {"relative_gap": _plain(gap), "control_gap": _plain(control)}
    word = "differ" if gap > TOLERANCE else "agree"
    said = (
        f"gradients of conditional and marginal loss {word}: relative gap {gap:.2g} over {where}, and {control:.2g} "
        "where the weight depends on the data too"
    )
    if math.isnan(gap):
        return {"verdict": "inconclusive", **numbers, "reason": f"the gradient cancels over {where}: no relative gap"}
    if gap > TOLERANCE:
        return {"verdict": "refuted", **numbers, "reason": said}
    if not control > POWER:
        return {"verdict": "inconclusive", **numbers, "reason": f"{said}: the test has no power here"}
    return {"verdict": "supported", **numbers, "reason": said}


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gap(at: Sample, theta: Tensor, conditional: Tensor, marginal: Tensor) -> float:
    """|difference| / |gradient| of losses (N,) summed over time; NaN where negative weights cancel in the sum."""
    first, second = (_gradient(side, at.weight, at.step, theta) for side in (conditional, marginal))
    negative = bool((at.weight < 0).any())
    size = _gradient(conditional, at.weight.abs(), at.step, theta) if negative else first
    return float((first - second).norm() / first.norm()) if bool(first.norm() > CANCELS * size.norm()) else math.nan


def _gradient(losses: Tensor, weight: Tensor, step: Tensor, theta: Tensor) -> Tensor:
    return torch.autograd.grad((losses * weight * step).sum(), theta, retain_graph=True)[0]
