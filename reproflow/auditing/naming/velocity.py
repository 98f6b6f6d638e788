r"""A target that means to be the velocity: is it the derivative of the state in the time that the network is given?

T against dS/dtau: a constant ratio of 1 is right, another positive one is the unit of the time (999 steps), -1 says
that the given time runs the other way, a ratio that varies that the state has another time than the network is given,
and targets that are not parallel to dS/dtau are no velocity of this path. Which of them is wrong the loss alone does
not say: a sampler with the same convention undoes it.
"""

from __future__ import annotations

import numpy as np

from reproflow.auditing.findings import Finding
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.numbers import text
from reproflow.auditing.naming.paths import PathName
from reproflow.auditing.naming.targets import SHARE, VELOCITY, TargetName
from reproflow.auditing.naming.times import Slope, TimeName

STRAIGHT = ("x1 - eps", "eps - x1")
STEADY = 1e-2
"""The relative spread of the ratio up to which it is constant, of a spline's slope."""


def findings(
    levels: Levels, path: PathName, time: TimeName, target: TargetName, slope: Slope | None
) -> tuple[Finding, ...]:
    """What is to be said of a target that means to be a velocity; nothing of another, or where no time is given."""
    if not _meant(target) or target.factor is not None or time.constant or time.logarithmic:
        return ()
    if slope is None:
        return ()
    along = (levels.a * slope.A + levels.b * slope.B) / (slope.A**2 + slope.B**2)
    sine = np.abs(levels.a * slope.B - levels.b * slope.A)
    sine = sine / (np.hypot(levels.a, levels.b) * np.hypot(slope.A, slope.B))
    apart = float(np.quantile(sine, SHARE))
    if not apart <= max(10 * VELOCITY, levels.tolerance):
        words = (
            f"The target {target.name} is not along the state's path: the two differ in direction by up to {apart:.3g}."
        )
        cure = f"on the path {path.name or 'that was measured'} the velocity is its derivative"
        return (Finding("not-velocity", words, cure),)
    middle = float(np.median(along))
    spread = float(np.quantile(np.abs(along / middle - 1), SHARE))
    if spread > max(STEADY, 3 * levels.tolerance):
        return _shifted(along)
    if middle < 0:
        words = "The target is minus the derivative of the state in the time that the network is given."
        return (Finding("time-reversed", words, f"ratio {text(middle, 1e-3)}; the given time is {time.given_as}"),)
    if abs(middle - 1) > STEADY:
        words = (
            f"The target is {text(middle, 1e-3)} times the derivative of the state in the given time: a unit of time."
        )
        return (Finding("time-scaled", words, f"the given time is {time.given_as}"),)
    return ()


def _meant(target: TargetName) -> bool:
    return target.name is not None and (
        target.prediction == "velocity" or any(each in target.name for each in STRAIGHT)
    )


def _shifted(along: np.ndarray) -> tuple[Finding, ...]:
    low, high = np.quantile(np.abs(along), [0.02, 0.98])
    words = (
        "The target is the velocity of another time than the network is given: their ratio varies by a factor of "
        f"{high / low:.3g} from level to level."
    )
    return (Finding("time-shift", words, f"ratio from {low:.4g} to {high:.4g}"),)
