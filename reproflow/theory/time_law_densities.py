r"""Is a closed density or distribution function that a time law states that of its quantile map?

A law may state `density` and `cdf` beside its map Q (`theory.times`). Weights are divided by the density, and where it
is positive throughout no gap is looked for. So it is held to the map, cell by cell:

.. math:: \int_a^b \pi(t) dt = P(a < T < b), \qquad P(T < t) = \sup \{u: Q(u) < t\},

over cells whose ends are equal steps of t, equal steps of u, and every octave towards 0 and 1; over blocks of those;
and over all. The left side is an adaptive Gauss rule; what it does not know (next to a pole) is not held against it.
A cell that disagrees is cut at 64 equal steps of t and of u, and the four worst parts are left out, for jumps or peaks
that the rule has missed. Atoms have no density and lie on cuts, so they drop out; in a gap the density must be zero.

**Resolution.** 1/2048 of t and of u. Differences of 1e-4 of a mass and of 1e-9 are not counted, nor what lies between
t(1 - 2^-22) and t(1 + 2^-22) at the end of a cell: a map may be computed in float32. So nothing is said of the last
2^-21 before t = 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.numerics import cell_integrals
from reproflow.numerics.bisection import bracket
from reproflow.theory import density_laws, pointwise
from reproflow.theory.times import LOGITS, TimeLaw

STEPS = 2048
PARTS = 64
"""Of each kind, in a cell that disagrees."""
BLOCK = 64
"""Cells of a block: errors of the ends between them cancel, so that small errors of whole stretches show."""
NEAR = 50
NEAREST = 990
"""Octaves towards t = 0 in any case, and where the law has mass there."""
LEAST = 1e-9
RELATIVE = 1e-4
ROUNDING = 2.0**-22
ATOM = 4 * ROUNDING
LOGIT_HALVINGS = 64
SUSPECTS = 256
SUSPICIOUS = 5e-4


def check(law: TimeLaw) -> None:
    """Raises `UsageError`, naming the worst cell, where a stated density or distribution function is not the map's."""
    if found := contradiction(law):
        raise UsageError(f"time law {law.name!r}: {found}.")


def contradiction(law: TimeLaw) -> str:
    """What is wrong with the density or the distribution function that a law states; nothing where they are right.

    The package's own are right, as tests find in the same way; a law that is given by its density has its map from it.
    """
    meta = law.entry.meta
    if pointwise.vetted(law) or density_laws.ACCURACY in meta or (not meta.get("density") and not meta.get("cdf")):
        return ""
    t = _ends(law)
    lowest, highest = _by_map(law, t * (1 - ROUNDING))[0], _by_map(law, t * (1 + ROUNDING))[1]
    found = _of_cdf(law, t, lowest, highest) if meta.get("cdf") else ""
    return found or (_of_density(law, t, highest - lowest) if meta.get("density") else "")


def _ends(law: TimeLaw) -> Tensor:
    """The ends of the cells, in order."""
    regular = torch.arange(1, STEPS, dtype=torch.float64) / STEPS
    octaves = 2.0 ** -torch.arange(1.0, NEAREST + 1, dtype=torch.float64)
    # Nearer to 0 than the law has mass a density may overflow.
    octaves = octaves[(octaves >= 2.0**-NEAR) | (_by_map(law, octaves)[0] >= LEAST)]
    t = torch.cat([regular, law.quantile(regular), octaves, 1 - octaves])
    return t[(t >= octaves[-1]) & (t <= 1 - 2 * ROUNDING)].unique()


def _by_map(law: TimeLaw, t: Tensor) -> tuple[Tensor, Tensor]:
    """P(T < t) and P(T <= t), by bisection of the quantile map in the logit of u."""

    def probability(below: Callable[[Tensor], Tensor]) -> Tensor:
        low, high = (torch.full_like(t, end) for end in LOGITS)
        low, high = bracket(lambda logit: below(law.quantile(torch.sigmoid(logit))), low, high, LOGIT_HALVINGS)
        found = torch.sigmoid(0.5 * (low + high))
        # A bracket whose end has never moved: all of the law lies on one side.
        return torch.where(low == LOGITS[0], 0.0, torch.where(high == LOGITS[1], 1.0, found))

    return probability(lambda reached: reached < t), probability(lambda reached: reached <= t)


def _of_cdf(law: TimeLaw, t: Tensor, lowest: Tensor, highest: Tensor) -> str:
    """At an atom the distribution function may be either limit."""
    stated = pointwise.stated(law, "cdf", t)
    off = torch.maximum(lowest - stated, stated - highest).nan_to_num(nan=torch.inf)
    at = int(off.argmax())
    if float(off[at]) <= LEAST:
        return ""
    return (
        f"the stated cdf is {float(stated[at]):.6g} at t = {float(t[at]):.6g}, where the quantile map has "
        f"{float(0.5 * (lowest[at] + highest[at])):.6g}; state the cdf of the map, or none"
    )


def _of_density(law: TimeLaw, t: Tensor, blurred: Tensor) -> str:
    """`blurred` is the mass next to each end of a cell that may lie on either side of it."""
    fault = ""

    def density(t: Tensor) -> Tensor:
        nonlocal fault
        found = pointwise.stated(law, "density", t)
        bad = ~(found >= 0) | found.isinf()
        if bool(bad.any()):
            first = int(bad.nonzero()[0])
            fault = fault or f"the stated density is {float(found[first]):.6g} at t = {float(t[first]):.6g}"
        return torch.where(bad, 0.0, found)

    masses = _masses(law, density, t[:-1], t[1:])
    measured = [each.clone() for each in masses[:2]]
    if fault:
        return fault
    excess = torch.maximum(_excess(*masses, blurred, 1), _excess(*masses, 0 * t, 1) - SUSPICIOUS)
    suspects = excess.argsort(descending=True)[:SUSPECTS]
    suspects = suspects[excess[suspects] > 0]
    if len(suspects):
        parts = [each.view(len(suspects), -1) for each in _masses(law, density, *_cut(law, t[:-1], t[1:], suspects))]
        kept = (parts[0] - parts[1]).abs().argsort(dim=1)[:, : -PARTS // 16]
        for whole, part in zip(masses, parts, strict=True):
            whole[suspects] = part.gather(1, kept).sum(1)
    for size in (1, BLOCK, len(t) - 1):
        excess = _excess(*masses, blurred, size)
        at = int(excess.argmax())
        if float(excess[at]) > 0 and not fault:
            first, last = at * size, min((at + 1) * size, len(t) - 1)
            stated, drawn = (float(each[first:last].sum()) for each in measured)
            fault = (
                f"the stated density has the mass {stated:.6g} on ({float(t[first]):.6g}, {float(t[last]):.6g}), where "
                f"the quantile map has {drawn:.6g}; state the density of the map, 1/Q'(u) at t = Q(u), or none"
            )
    return fault


def _masses(
    law: TimeLaw, density: Callable[[Tensor], Tensor], low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the open cells (low, high): the mass that is stated, that of the map, and the first one's doubt."""
    stated, doubt = cell_integrals.integrate(density, low, high, LEAST)
    (below, upto), last = _by_map(law, low), _by_map(law, high)[0]
    # The values of a float32 map are atoms, too, and of no account.
    first = torch.where(upto - below < ATOM, below, upto)
    return stated, torch.where(low < high, last - first, 0.0), doubt


def _cut(law: TimeLaw, low: Tensor, high: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """The ends of the parts of some cells, (cells, parts) flattened; some parts are empty."""
    low, high = low[cells, None], high[cells, None]
    share = torch.arange(PARTS + 1, dtype=torch.float64) / PARTS
    first, last = _by_map(law, low)[1], _by_map(law, high)[0]
    by_mass = law.quantile((first + (last - first) * share).flatten().clamp(1e-300, 1 - 2.0**-53)).view(len(cells), -1)
    ends = torch.cat([low + (high - low) * share, torch.minimum(torch.maximum(by_mass, low), high)], 1).sort(1).values
    return ends[:, :-1].flatten(), ends[:, 1:].flatten()


def _excess(stated: Tensor, drawn: Tensor, doubt: Tensor, blurred: Tensor, size: int) -> Tensor:
    """By how much more than is allowed the masses of each block of `size` cells differ, relative to them."""
    first = torch.arange(0, len(stated), size)
    last = (first + size).clamp(max=len(stated))
    totals = (torch.cat([torch.zeros(1), each.cumsum(0)]) for each in (stated, drawn, doubt))
    one, two, unknown = (each[last] - each[first] for each in totals)
    allowed = RELATIVE * torch.maximum(one, two) + unknown + blurred[first] + blurred[last] + LEAST
    return ((one - two).abs() - allowed) / (one + two).clamp(min=LEAST)
