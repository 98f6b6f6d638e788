"""Paths on which a loss can be stated: the registered ones and those of the published objectives, by their times.

A canonical weight knows no path; stated as path, law and weighting, an objective needs one on which its law of times
has a name. `of` gives them in the order in which they are tried, the measured relation's own first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reproflow.auditing.naming.inverses import times_on
from reproflow.auditing.naming.numbers import text
from reproflow.auditing.naming.paths import PathName, Relation
from reproflow.foundation.specs import Spec
from reproflow.numerics.derivatives import Mode
from reproflow.theory.paths import Path, get_path

PRESERVING = ("cosine", "vp", "scaled_linear", "shifted_cosine", "vp_sigma_t", "ve", "edm")
SUB_VP = "expr:exp(-(1 - t)*(0.05 + 4.975*(1 - t))), 1 - exp(-2*(1 - t)*(0.05 + 4.975*(1 - t)))"
STRAIGHT = ("linear", "polynomial")


@dataclass(frozen=True)
class Carrier:
    """A path by its name, what a command line says for it, and whether the state's own relation is its."""

    name: str
    spec: str | Spec
    own: bool

    @property
    def path(self) -> Path:
        """The path."""
        return get_path(self.spec, mode=Mode.REVERSE)

    def time(self, lam: np.ndarray) -> np.ndarray:
        """t at log-SNRs (P,); NaN out of the path's reach."""
        return times_on(self.spec, lam)


def of(path: PathName) -> Iterator[Carrier]:
    """The carriers of a measured path, its own relation's first."""
    families = {Relation.LINEAR: STRAIGHT, Relation.VP: PRESERVING}
    own = families.get(path.relation, ())
    rest = [name for name in (*STRAIGHT, *PRESERVING) if name not in own]
    for name in (*own, *rest):
        yield Carrier(name, _spec(name), name in own)


def fitted(path: PathName, lam: np.ndarray, u: np.ndarray) -> Iterator[Carrier]:
    """Exploding paths with the ends of levels whose mass u is linear in log sigma or sigma^(1/7), and sub-VP's."""
    if path.relation is Relation.SUB_VP:
        yield Carrier("sub-VP", SUB_VP, True)
    if path.relation not in (Relation.VE, Relation.SCALED):
        return
    sigma = np.exp(-0.5 * lam)
    for name, forth, back in (("ve", np.log, np.exp), ("edm", lambda s: s ** (1 / 7), lambda z: z**7)):
        slope, start = np.polyfit(u, forth(sigma), 1)
        if start > 0 or name == "ve":
            high, low = (text(float(back(end)), 1e-5) for end in (start, start + slope))
            if float(low) > 0:
                yield Carrier(name, f"{name}:low={low},high={high}", path.relation is Relation.VE)


@functools.cache
def _spec(name: str) -> str | Spec:
    """A registered name as it is, else the expression that the published objectives have under it."""
    from reproflow.foundation import registry
    from reproflow.judge import published_objectives

    if any(entry.name == name for entry in registry.entries("path", "gaussian")):
        return name
    return next(each.path_spec for each in published_objectives.entries() if each.path == name)
