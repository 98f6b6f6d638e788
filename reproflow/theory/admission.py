"""What may be trained: the promises of a path, a time law and a weighting, checked where a cell would use them.

`judge` says what is wrong with a noun and why; here it is only refused, before a second of training, with the first t
that breaks the promise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path
from reproflow.theory.targets import Target
from reproflow.theory.times import TimeLaw

POINTS = 8192
CLOSE = 1e-6
SINGULAR = 1e-6
"""Sine of the angle between (alpha, sigma) and (a, b) below which float32 networks lose every digit of x1 or eps."""
WANTED = {"alpha(0) > 0": 0.0, "sigma(0) < 1": 1.0, "alpha(1) < 1": 1.0, "sigma(1) > 0": 0.0}


def admit(objective: Objective, t_range: tuple[float, float]) -> None:
    """Raises `UsageError` naming the component and the first bad t."""
    admit_path(objective.path)
    admit_time_law(objective.time)
    admit_coefficient(objective, t_range)


def admit_path(path: Path) -> None:
    """alpha, sigma > 0 inside (0, 1), alpha and the SNR rise, and the ends are noise and data unless `expects` says so.

    An end where the path is not finite is reached by the straight line through two points near it.
    """
    t = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    alpha, sigma = path(t)
    for name, value in (("alpha", alpha), ("sigma", sigma)):
        bad = ~(value.isfinite() & (value > 0))
        _refuse(bad, t, f"path {path.name!r}: {name} = {{value:g}} at t = {{t:.6g}}; it must be positive.", value)
    lam = path.at(t).lam
    for name, value in (("alpha falls", alpha), ("the SNR does not rise", lam)):
        falls = value.diff() < 0 if name.startswith("alpha") else value.diff() <= 0
        _refuse(falls, t[1:], f"path {path.name!r}: {name} at t = {{t:.6g}}; time runs from noise to data.", value[1:])
    by_design = path.entry.meta.get("expects", ())
    for name, found in ends(path).items():
        where = name[:-4]
        if abs(found - WANTED[name]) > CLOSE and not any(where[-3:] in each for each in by_design):
            raise UsageError(
                f"path {path.name!r}: {where} = {found:g}, not {WANTED[name]:g}; x_t must be noise at t = 0 and data "
                f'at t = 1 (a path that misses an end by design is registered with expects=("{name}",)).'
            )


def ends(path: Path) -> dict[str, float]:
    """alpha and sigma at t = 0 and 1, by the name of the condition that each would break."""
    found = {}
    for end, inward in ((0.0, 1.0), (1.0, -1.0)):
        at = torch.tensor([end, end + 1e-7 * inward, end + 2e-7 * inward], dtype=torch.float64)
        for name, value in zip(("alpha", "sigma"), path(at), strict=True):
            reached = value[0] if value[0].isfinite() else 2 * value[1] - value[2]
            found[next(key for key in WANTED if key.startswith(f"{name}({end:.0f})"))] = float(reached)
    return found


def admit_time_law(law: TimeLaw) -> None:
    """The quantile map does not fall, and stays in [0, 1]."""
    u = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    t = law.quantile(u)
    what = f"time law {law.name!r} gives t = {{value:g}} at u = {{t:.6g}}; "
    _refuse(~((t >= 0) & (t <= 1)), u, what + "it must lie in [0, 1].", t)
    _refuse(t.diff() < -1e-12, u[1:], what + "a quantile map does not fall.", t[1:])


def admit_coefficient(objective: Objective, t_range: tuple[float, float]) -> None:
    """The loss's coefficient is finite, not negative, and not zero everywhere, at the times that are drawn."""
    t = midpoints(objective.time, t_range).unique()
    value = objective.coefficient(t)
    name = objective.weighting.name
    message = (
        f"weighting {name!r} with path {objective.path.name!r} and time {objective.time.name!r} gives the loss "
        "the coefficient {value:g} at t = {t:.6g}; it must be >= 0."
    )
    _refuse(~torch.isfinite(value) | (value < 0), t, message, value)
    if not value.any():
        raise UsageError(f"weighting {name!r} is zero everywhere: there is nothing to train.")


def admit_target(target: Target, path: Path, t_range: tuple[float, float]) -> None:
    """A network's target y = a x1 + b eps determines x1 and eps from y and x_t at every time that is drawn.

    The determinant alpha b - sigma a of the 2 x 2 system (theory/targets.py) keeps away from zero, relative to the size
    of its rows, and has one sign over the whole range: a change of sign between two times hides a singular one.
    """
    t = torch.linspace(*t_range, POINTS, dtype=torch.float64)
    c = path.at(t)
    a, b = target.coefficients(c)
    what = f"target {target.name!r} with path {path.name!r}: "
    for name, value in (("a", a), ("b", b)):
        _refuse(~value.isfinite(), t, what + name + " = {value:g} at t = {t:.6g}; it must be finite.", value)
    determinant = (c.alpha * b - c.sigma * a) / (torch.hypot(c.alpha, c.sigma) * torch.hypot(a, b).clamp(min=1e-300))
    singular = (determinant.abs() < SINGULAR) | (determinant.sign() != determinant[0].sign())
    message = (
        "x1 and eps do not follow from the prediction at t = {t:.6g}, where a x1 + b eps is (nearly) a multiple of "
        "x_t: alpha b - sigma a, relative to its rows, is {value:g} there; choose a, b with one sign of it in t_range."
    )
    _refuse(singular, t, what + message, determinant)


def midpoints(law: TimeLaw, t_range: tuple[float, float]) -> Tensor:
    """Times at the midpoints of equal quantile steps of the restricted law: a quadrature of expectations under it."""
    u = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    return law.draw(u, t_range)


def _refuse(bad: Tensor, t: Tensor, message: str, value: Tensor) -> None:
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise UsageError(message.format(t=float(t[first]), value=float(value[first])))
