"""Judging a path: its ends, its signs, its SNR, its velocity, the law that it moves, and whether its loss is finite.

Six verdicts, independent of each other. `boundary`, `positive` and `monotone_snr` are about values alone
(`shape`); `velocity`, `integrable` (`motion`) and `continuity` (`transport`) are about derivatives, as
the package takes them: in reverse mode for registered paths, in forward mode through a user's function.
"""

from __future__ import annotations

import time as clock
from dataclasses import dataclass
from typing import Any

from reproflow.foundation.code_limits import Budget
from reproflow.foundation.specs import Spec
from reproflow.foundation.verdicts import INCONCLUSIVE, SUPPORTED
from reproflow.judge.paths import continuity as transport
from reproflow.judge.paths import derivatives, snr_formula, values
from reproflow.judge.paths.discontinuities import NONE, breaks
from reproflow.judge.paths.path_values import Course
from reproflow.judge.time_budget import limited
from reproflow.theory import pointwise, time_direction
from reproflow.theory.paths import get_path

ASKED = ("boundary", "positive", "monotone_snr", "velocity", "continuity", "integrable")


@dataclass(frozen=True)
class PathJudgement:
    """What was found; `as_dict` has the keys of `reproflow check path --json`."""

    spec: str
    process: str
    boundary: dict[str, Any]
    positive: dict[str, Any]
    monotone_snr: dict[str, Any]
    velocity: dict[str, Any]
    continuity: dict[str, Any]
    integrable: dict[str, Any]
    seconds: float
    time_runs: str
    snr: dict[str, Any] | None
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: infinity is "inf", what has no value is null."""
        return dict(vars(self))

    @property
    def exit_code(self) -> int:
        """0: all supported; 3: something is refuted; 5: something is only inconclusive.

        With `snr`, a formula that was compared, nothing else counts.
        """
        verdicts = {self.snr["verdict"]} if self.snr else {getattr(self, key)["verdict"] for key in ASKED}
        if verdicts == {SUPPORTED}:
            return 0
        return 5 if verdicts <= {SUPPORTED, INCONCLUSIVE} else 3


def path(
    spec: str | Spec, process: str = "gaussian", time_runs: str | None = None, snr: str | None = None
) -> PathJudgement:
    """The judgement on a Gaussian path or a masked schedule.

    With `time_runs` "data-to-noise" a function or an expression, and `snr`, have the data at t = 0. `snr` is a formula
    for the SNR, to be compared with the path's.

    Raises `UsageError` for a name, a file or an expression that cannot be used, a NaN inside (0, 1), and a function
    whose value at a time depends on anything but that time (`theory.pointwise`).
    """
    started = clock.monotonic()
    given, turn = get_path(spec, process), time_direction.is_turned(time_runs)
    judged = time_direction.turned_path(given) if turn and not given.is_registered else given
    course = Course(limited(judged, Budget()))
    pointwise.check_path(course.path)
    about_shape = {name: getattr(values, name)(course) for name in ASKED[:3]}
    broken = NONE if course.single else breaks(course)
    velocity = derivatives.velocity(course, broken)
    return PathJudgement(
        spec=str(spec),
        process=process,
        **about_shape,
        velocity=velocity,
        continuity=transport.continuity(course, broken),
        integrable=derivatives.integrable(course, broken, velocity["verdict"]),
        seconds=round(clock.monotonic() - started, 3),
        time_runs=time_runs or time_direction.NOISE_TO_DATA,
        snr=None if snr is None else snr_formula.judge(snr, judged, turn),
        warnings=time_direction.warnings(judged, time_runs),
    )
