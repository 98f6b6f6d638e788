"""The gaps of a time law in whatever form it is given: of its quantile map, or of the density that it is given by."""

from __future__ import annotations

from reproflow.numerics.intervals import Interval, joined
from reproflow.theory import density_laws, time_law_gaps
from reproflow.theory.times import TimeLaw


def gaps(law: TimeLaw) -> tuple[Interval, ...]:
    """The open intervals, longer than 1e-9, that a law never enters, in order.

    A law that is given by a density (`density_laws`) leaves out where that is zero, and not where it is too small for a
    number: its quantile map, which lacks those digits, jumps there all the same.
    """
    if density_laws.ZERO in law.entry.meta:
        return tuple(joined(law.entry.meta[density_laws.ZERO]))
    return time_law_gaps.gaps(law)


def lost(law: TimeLaw) -> tuple[Interval, ...]:
    """Where the density that a law is given by is zero by lack of digits alone."""
    found: tuple[Interval, ...] = law.entry.meta.get(density_laws.LOST, ())
    return found
