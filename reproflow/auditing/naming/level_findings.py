"""What follows from the levels and their names: targets that say nothing, parts without names, negative weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from reproflow.auditing.findings import Finding
from reproflow.auditing.naming.coefficients import CoefficientName
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.paths import PathName
from reproflow.auditing.naming.targets import TargetName
from reproflow.auditing.naming.times import TimeName

SIGNIFICANT = 1e-3
"""The share of the largest coefficient from which on a negative one is no rounding."""


def findings(
    levels: Levels,
    path: PathName,
    time: TimeName,
    target: TargetName,
    coefficient: CoefficientName,
    known: Collection[str] = (),
) -> Iterator[Finding]:
    """The findings, in the order path, time, target, coefficient; what follows from a `known` one is not said again."""
    if path.name is None and "noise-law" not in known:  # the scale of such a noise is not settled, nor is the path's
        yield _unnamed_path(levels, path)
    if time.constant and time.given_as != "none":
        words = "The network is given the same number at every level: it has to tell the noise from its input."
        yield Finding("time-constant", words, time.given_as)
    if empty(levels):
        if "noise-mismatch" in known:
            return
        words = "The target is a multiple of the network's input at every level: there is nothing to learn."
        yield Finding("target-empty", words, f"largest sine between them {np.abs(levels.sine).max():.2g}")
        return
    yield from _target(levels, target)
    yield from _coefficient(levels, coefficient)


def empty(levels: Levels) -> bool:
    """Whether the target holds nothing of x1 or eps beyond the input, at every level."""
    return float(np.abs(levels.sine).max()) <= levels.tolerance


def _unnamed_path(levels: Levels, path: PathName) -> Finding:
    words = (
        "The state's coefficients A and B obey none of the relations that have a name (A + B = 1, A² + B² = 1, A = 1, "
        "and these scaled): is one of them meant?"
    )
    middle = int(np.argmin(np.abs(levels.lam)))
    A, B = levels.A[middle], levels.B[middle]
    return Finding(
        "path-unnamed",
        words,
        f"nearest relation off by {path.error:.2g}; at lam = {levels.lam[middle]:.3g} A = {A:.6g}, B = {B:.6g}, "
        f"A + B = {A + B:.6g}, A² + B² = {A**2 + B**2:.6g}",
    )


def _target(levels: Levels, target: TargetName) -> Iterator[Finding]:
    sign = np.sign(levels.determinant)
    turns = np.flatnonzero(sign[1:] * sign[:-1] < 0)
    if len(turns):
        at = 0.5 * (levels.lam[turns[0]] + levels.lam[turns[0] + 1])
        words = "At one level the target is a multiple of the network's input, so that nothing is learnt there."
        yield Finding("target-degenerate", words, f"at lam = {at:.3g}; is a sign the wrong way?")
    if target.name is None and target.near is not None:
        name, error = target.near
        words = f"The target is near {name}, but is not that: they differ by up to {error:.3g}."
        yield Finding("target-near", words, f"measured to {max(levels.whole.target_error, 1e-8):.1g}")
    elif target.name is None:
        words = "The target is a combination of data and noise that has no name here."
        middle = int(np.argmin(np.abs(levels.lam)))
        evidence = f"at lam = {levels.lam[middle]:.3g}: {levels.a[middle]:.6g} x1 + {levels.b[middle]:.6g} eps"
        yield Finding("target-unnamed", words, evidence)
    elif target.factor is not None:
        low, high = np.abs(target.factor).min(), np.abs(target.factor).max()
        words = f"The target is {target.name}, a function of the level times it: an epsilon in a division?"
        yield Finding("target-scaled", words, f"the function goes from {low:.4g} to {high:.4g}")


def _coefficient(levels: Levels, coefficient: CoefficientName) -> Iterator[Finding]:
    least, size = float(levels.c.min()), float(np.abs(levels.c).max())
    if least < -SIGNIFICANT * size:
        lam = levels.lam[int(np.argmin(levels.c))]
        words = "The loss has a negative coefficient: there the network is trained away from the target."
        yield Finding("negative-weight", words, f"{least / size:.3g} of the largest, at lam = {lam:.3g}")
    if coefficient.belongs is not None:
        yield _conversion(coefficient)


def _conversion(found: CoefficientName) -> Finding:
    words = (
        f"The weight on {found.on} is {found.form}: the divisor that belongs to {found.on} is {found.belongs}, so "
        "this is not Min-SNR, but another positive weight."
    )
    evidence = f"{found.clamp} over {found.divisor}"
    if found.clamp is not None and "+ 1" in found.clamp:
        evidence += "; the 1 belongs to the divisor alone"
    return Finding("weight-conversion", words, evidence)
