r"""Equivalence: which path, time law and weighting make the same ideal objective.

Two combinations of one process do when their canonical weights are proportional as functions of lam, wherever both
paths reach. A canonical weighting is the same under every path and every time law. Trained networks may differ all the
same: the input scale, the variance of gradients and the capacity are not part of the objective.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.theory.log_snr import elbo_coefficient, invert_lam
from reproflow.theory.objective import LAM, Objective, error_factor
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SAME = 1e-8
ANY = "any"
FEWEST = 16
Functions = tuple[tuple[str, Callable[..., Any]], ...]
"""Registered functions with their names."""


@dataclass(frozen=True)
class Combination:
    """A path, a time law and a weighting by name; `any` where it does not matter. Its w is `factor` times another."""

    path: str
    time: str
    weighting: str
    factor: float


def proportional(a: Tensor, b: Tensor) -> float | None:
    """The factor c with a = c b wherever both are numbers (at least 16 places), to 1e-8; None where there is none.

    Both have shape (P,). Zeros must coincide; two weights that vanish everywhere, or are infinite somewhere, are no
    objective.
    """
    both = ~(a.isnan() | b.isnan())
    a, b = a[both], b[both]
    positive = b != 0
    infinite = bool((a.isinf() | b.isinf()).any())
    if len(a) < FEWEST or infinite or not bool(positive.any()) or not torch.equal(positive, a != 0):
        return None
    ratio = a[positive] / b[positive]
    low, high = float(ratio.min()), float(ratio.max())
    return (low + high) / 2 if low > 0 and high - low <= SAME * high else None


def equivalents(objective: Objective) -> list[Combination]:
    """The registered combinations, at their default parameters, with proportional canonical weight; not itself."""
    weight = objective.signature()
    names = (objective.path.name, objective.time.name, objective.weighting.name)
    found = []
    others = registered(objective.process)
    near = _may_be_proportional(torch.stack([w for _, w in others]), weight)
    for other, w in (each for each, use in zip(others, near, strict=True) if use):
        factor = proportional(w, weight)
        itself = (other.path, other.time, other.weighting) == names
        canonical_self = other.path == ANY and other.weighting == names[2] and objective.prediction == "canonical"
        if factor is not None and not itself and not canonical_self:
            found.append(Combination(other.path, other.time, other.weighting, factor))
    return found


def _may_be_proportional(others: Tensor, weight: Tensor) -> list[bool]:
    """By row of `others` (N, P): false where two ratios to `weight` (P,) are so far apart that no factor serves."""
    ratio = others / weight
    ratio = torch.where(ratio.isfinite(), ratio, torch.nan)
    low, high = ratio.nan_to_num(nan=torch.inf).amin(1), ratio.nan_to_num(nan=-torch.inf).amax(1)
    return (~(high - low > 2 * SAME * high)).tolist()


def registered(process: str) -> tuple[tuple[Combination, Tensor], ...]:
    """Every registered combination with its weight at `LAM`; a canonical weighting once, with any path and law."""
    paths, laws, weightings = (
        tuple((entry.name, entry.function) for entry in registry.entries(kind, process))
        for kind in ("path", "time", "weighting")
    )
    return _combinations(process, paths, laws, weightings)


@functools.cache
def _combinations(
    process: str, registered_paths: Functions, registered_laws: Functions, registered_weightings: Functions
) -> tuple[tuple[Combination, Tensor], ...]:
    """The combinations of these names, computed again where a name has got another function.

    What depends on the path alone, and on path and law, is computed once for all weightings.
    """
    weightings = [get_weighting(name, process) for name, _ in registered_weightings]
    linear, uniform = get_path("linear", process), get_time_law("uniform", fine=True)
    laws = [get_time_law(name, fine=True) for name, _ in registered_laws]
    found = [
        (Combination(ANY, ANY, each.name, 1.0), Objective(linear, uniform, each).at_log_snr(LAM))
        for each in weightings
        if each.on == "canonical"
    ]
    others = [each for each in weightings if each.on != "canonical"]
    for path in (get_path(name, process) for name, _ in registered_paths):
        t = invert_lam(path, LAM)
        reached = t.isfinite()
        c = path.at(torch.where(reached, t, 0.5))
        densities = [torch.where(reached, law.density(c.t), torch.nan) for law in laws]
        for weighting in others:
            shape = weighting.at(c) * error_factor(weighting, c) / elbo_coefficient(c)
            found += [
                (Combination(path.name, law.name, weighting.name, 1.0), density * shape)
                for law, density in zip(laws, densities, strict=True)
            ]
    return tuple(found)
