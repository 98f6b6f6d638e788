r"""Equivalence: which path, time law and weighting make the same ideal objective.

Two combinations of one process do when their canonical weights are proportional as functions of lam, wherever both
paths reach. A canonical weighting is the same under every path and every time law. Trained networks may differ all the
same: the input scale, the variance of gradients and the capacity are not part of the objective.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.theory import user_functions
from reproflow.theory.log_snr import canonical_at, elbo_coefficient, error_factor, invert_lam
from reproflow.theory.paths import Path, get_path
from reproflow.theory.reverse import quick_law, quick_path
from reproflow.theory.times import TimeLaw, get_time_law
from reproflow.theory.weightings import Weighting, get_weighting

SAME = 1e-8
ANY = "any"
FEWEST = 16
# Odd spacing, so that no point lies on a kink that someone has put at a round number.
LAM = torch.linspace(-8.03, 8.01, 401, dtype=torch.float64)


@dataclass(frozen=True)
class Combination:
    """A path, a time law and a weighting by name; `any` where it does not matter. Its w is `factor` times another."""

    path: str
    time: str
    weighting: str
    factor: float


def signature(path: Path, law: TimeLaw, weighting: Weighting, lam: Tensor = LAM) -> Tensor:
    """The canonical weight at the log-SNRs lam, of their shape; NaN out of the path's reach."""
    return canonical_at(path, law, weighting, lam).detach()


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


def equivalents(path: Path, law: TimeLaw, weighting: Weighting) -> list[Combination]:
    """The registered combinations, at their default parameters, with proportional canonical weight; not itself."""
    own, found = signature(path, law, weighting), []
    for other, w in registered(path.process):
        factor = proportional(w, own)
        itself = (other.path, other.time, other.weighting) == (path.name, law.name, weighting.name)
        canonical_self = other.path == ANY and other.weighting == weighting.name and weighting.on == "canonical"
        if factor is not None and not itself and not canonical_self:
            found.append(Combination(other.path, other.time, other.weighting, factor))
    return found


@functools.cache
def registered(process: str) -> tuple[tuple[Combination, Tensor], ...]:
    """Every registered combination with its weight at `LAM`; a canonical weighting once, with any path and law.

    What depends on the path alone, and on path and law, is computed once for all weightings.
    """
    names = {
        kind: [e.name for e in registry.entries(kind, process) if not user_functions.is_user_function(e.function)]
        for kind in ("path", "time", "weighting")
    }
    weightings = [get_weighting(name, process) for name in names["weighting"]]
    linear, uniform = quick_path(get_path("linear", process)), quick_law(get_time_law("uniform"))
    laws = [quick_law(get_time_law(name)) for name in names["time"]]
    found = [
        (Combination(ANY, ANY, each.name, 1.0), canonical_at(linear, uniform, each, LAM))
        for each in weightings
        if each.on == "canonical"
    ]
    others = [each for each in weightings if each.on != "canonical"]
    for name in names["path"]:
        found += _of_path(quick_path(get_path(name, process)), laws, others)
    return tuple(found)


def _of_path(path: Path, laws: list[TimeLaw], weightings: list[Weighting]) -> Iterator[tuple[Combination, Tensor]]:
    t = invert_lam(path, LAM)
    reached = t.isfinite()
    c = path.at(torch.where(reached, t, 0.5))
    densities = [torch.where(reached, law.density(c.t), torch.nan) for law in laws]
    for weighting in weightings:
        shape = weighting.at(c) * error_factor(weighting, c) / elbo_coefficient(c)
        for law, density in zip(laws, densities, strict=True):
            yield Combination(path.name, law.name, weighting.name, 1.0), density * shape
