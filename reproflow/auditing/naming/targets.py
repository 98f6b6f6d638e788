r"""What the target T = a x1 + b eps is called, up to one constant factor.

Named are: x1; eps; the straight difference x1 - eps; v = A eps - B x1; the score -eps/B; the noise as added, B eps; the
data as kept, A x1; the residuals x1 - S and eps - S; the network F of Karras et al. (2022), with its sigma_data fitted;
the derivative of the state in the given time; the posterior mean of DDPM; and a function of the level times one of the
constant ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.numbers import text
from reproflow.auditing.naming.paths import PathName, Relation
from reproflow.auditing.naming.times import Slope

NEAR = 5e-2
"""The error up to which an unnamed target is said to be near a named one."""
VELOCITY = 3e-3
SHARE = 0.95
"""A spline's slope counts as met where this share of the levels is within `VELOCITY`."""
F_ERROR = 2e-4


@dataclass(frozen=True)
class TargetName:
    """T is `scale` times what `name` says; `prediction` is that in the words of `check weighting`, None where none is.

    `near` is the closest named target with its error where T has no name; `factor` (P,) the function of the level where
    T is one times a constant target.
    """

    name: str | None
    error: float
    scale: float = 1.0
    prediction: str | None = None
    near: tuple[str, float] | None = None
    factor: np.ndarray | None = None


@dataclass(frozen=True)
class Known:
    """A target by its coefficients (P,), and its name where the sign is the other one."""

    name: str
    a: np.ndarray
    b: np.ndarray
    prediction: str | None
    opposite: str


def known(levels: Levels, path: PathName) -> Iterator[Known]:
    """The constant targets, the simplest first."""
    A, B = levels.A, levels.B
    zero, one = np.zeros_like(A), np.ones_like(A)
    yield Known("x1", one, zero, "x1", "-x1")
    yield Known("eps", zero, one, "eps", "-eps")
    velocity = "velocity" if path.relation is Relation.LINEAR else None
    yield Known("x1 - eps", one, -one, velocity, "eps - x1")
    size = np.hypot(A, B)
    if path.relation is Relation.VP:
        yield Known("v = A eps - B x1", -B, A, "v", "B x1 - A eps")
    else:
        yield Known("v = (A eps - B x1)/sqrt(A² + B²)", -B / size, A / size, None, "(B x1 - A eps)/sqrt(A² + B²)")
    if path.relation is not Relation.VE:
        yield Known("eps/B", zero, 1 / B, "score", "score = -eps/B")
        yield Known("B eps", zero, B, None, "-B eps")
        yield Known("A x1", A, zero, None, "-A x1")
    else:
        yield Known("eps/sigma", zero, 1 / B, "score", "score = -eps/sigma")
    yield Known("x1 - S", 1 - A, -B, None, "S - x1")
    yield Known("eps - S", -A, 1 - B, None, "S - eps")


def name_target(levels: Levels, path: PathName, slope: Slope | None) -> TargetName:
    """The first named target that T is, to the levels' tolerance."""
    tolerance, candidates = levels.tolerance, list(known(levels, path))
    if float(np.hypot(levels.a, levels.b).max()) <= tolerance:
        return TargetName("0", 0.0)
    nearest = ("", np.inf)
    scaled = None
    for each in candidates:
        scale, error = fit(levels, each.a, each.b)
        if error <= tolerance and abs(abs(scale) - 1) <= tolerance:
            return _named(each, scale, error)
        if error <= tolerance and scaled is None:
            scaled = _named(each, scale, error)
        nearest = min(nearest, (each.name, error), key=lambda pair: pair[1])
    derivative = _derivative(levels, path, slope)
    if scaled is not None:
        return derivative if derivative is not None and abs(derivative.scale - 1) <= VELOCITY else scaled
    for found in (_preconditioned(levels), derivative, _posterior(levels)):
        if found is not None:
            return found
    for each in candidates[:4]:
        factor, error = parallel(levels, each.a, each.b)
        if error <= tolerance:
            return TargetName(f"f(level) ({each.name})", error, factor=factor)
    near = (nearest[0], float(nearest[1])) if nearest[1] <= NEAR else None
    return TargetName(None, float(nearest[1]), near=near)


def fit(levels: Levels, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(scale, error): the factor s with T = s (a x1 + b eps), and the largest error relative to T.

    A level without a weight has no target.
    """
    error, scale = _errors(levels, a, b)
    graded = levels.c != 0
    return scale, float(error[graded].max() if graded.any() else error.max())


def _errors(levels: Levels, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    size, own = np.hypot(levels.a, levels.b), np.hypot(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = (levels.a * a + levels.b * b) / own**2
        scale = float(np.nanmedian(factors)) if np.isfinite(factors).any() else 0.0
        error = np.hypot(levels.a - scale * a, levels.b - scale * b) / np.where(size > 0, size, 1.0)
    return np.nan_to_num(error, nan=np.inf), scale


def parallel(levels: Levels, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """(f, error): the function with T nearest to f (a x1 + b eps), (P,), and the largest sine between the two."""
    size, own = np.hypot(levels.a, levels.b), np.hypot(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = (levels.a * a + levels.b * b) / own**2
        sine = np.abs(levels.a * b - levels.b * a) / (size * own)
    return factor, float(np.nan_to_num(sine, nan=np.inf).max())


def _named(each: Known, scale: float, error: float) -> TargetName:
    size = text(abs(scale), 1e-4)
    name = each.name if scale > 0 else each.opposite
    return TargetName(name if size == "1" else f"{size} ({name})", error, scale, each.prediction)


def _preconditioned(levels: Levels) -> TargetName | None:
    """F = (r x1 - s² eps)/(s sqrt(r² + s²)) with r = sigma/alpha and the scale s of the data (Karras et al. 2022)."""
    r = levels.ratio
    with np.errstate(divide="ignore", invalid="ignore"):
        square = float(np.nanmedian(-levels.b * r / levels.a))
    if not (np.isfinite(square) and square > 0):
        return None
    s = np.sqrt(square)
    root = s * np.sqrt(r**2 + square)
    scale, error = fit(levels, r / root, -square / root)
    if error > max(levels.tolerance, F_ERROR):
        return None
    name = f"EDM's F, sigma_data {text(float(s), 1e-4)}"
    return TargetName(_times(scale, name), error, scale)


def _times(scale: float, name: str) -> str:
    """A factor and a name in words."""
    size = text(scale, 1e-3)
    return {"1": name, "-1": f"-{name}"}.get(size, f"{size} {name}")


def _derivative(levels: Levels, path: PathName, slope: Slope | None) -> TargetName | None:
    """dS/dtau, by the given time's own slope, or along a straight path whatever the time."""
    if path.relation is Relation.SIGMA_MIN:
        one = np.ones_like(levels.A)
        scale, error = fit(levels, one, -(1 - path.parameter) * one)
        if error <= levels.tolerance:
            return TargetName("dx/dt" if scale > 0 else "-dx/dt", error, scale, "velocity")
    if slope is None:
        return None
    errors, scale = _errors(levels, slope.A, slope.B)
    limit = levels.tolerance if slope.exact else max(VELOCITY, levels.tolerance)
    sharp = slope.error <= VELOCITY / 3
    error = float(np.quantile(errors[sharp] if sharp.mean() > 0.5 else errors, SHARE))
    if error > limit:
        return None
    return TargetName(_times(scale, "dx/dtau"), error, scale, "velocity")


def _posterior(levels: Levels) -> TargetName | None:
    r"""The posterior mean of DDPM (Ho et al. 2020, eq. 7): the state of the next level towards the data, in the mean.

    With k the next level on a variance preserving path, mu = A_k x1 + (B_k² A_i/A_k / B_i²)(S - A_i x1).
    """
    whole = levels.whole
    if levels.times is not Times.STEPS or not whole.complete or len(levels) < 3:
        return None
    A, B = levels.A[:-1], levels.B[:-1]
    next_A, next_B = levels.A[1:], levels.B[1:]
    share = next_B**2 * (A / next_A) / B**2
    a, b = next_A * np.ones_like(A), share * B
    size = np.hypot(levels.a[:-1], levels.b[:-1])
    error = float((np.hypot(levels.a[:-1] - a, levels.b[:-1] - b) / np.where(size > 0, size, 1.0)).max())
    return TargetName("posterior mean of DDPM", error) if error <= levels.tolerance else None
