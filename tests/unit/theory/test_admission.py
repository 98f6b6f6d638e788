"""What may be trained: broken promises of paths, time laws, coefficients and targets, each beside one that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.foundation.registry import Entry
from reproflow.theory.admission import admit_coefficient, admit_path, admit_target, admit_time_law
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path, get_path
from reproflow.theory.targets import Target, get_target
from reproflow.theory.times import TimeLaw, get_time_law
from reproflow.theory.weightings import get_weighting


def mine(of: type, function: Callable[..., Any], **meta: Any) -> Any:
    """A component of one's own; no check of a user's file stands before it."""
    return of("mine", "gaussian", Entry(of.__name__.lower(), "gaussian", "mine", function, "", "", {}, meta), function)


def eighth(t: Tensor) -> tuple[Tensor, Tensor]:
    """No number at t = 0, where alpha goes to 0 with slope 8."""
    return torch.where(t > 0, 1 - (1 - t) ** 8, torch.nan), (1 - t) ** 8


class TestPath:
    @pytest.mark.parametrize("path", [get_path("linear"), get_path("vp"), get_path("edm"), mine(Path, eighth)])
    def test_admitted(self, path: Path) -> None:
        admit_path(path)

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (lambda t: (t - 0.1, 1 - t), r"alpha = -0\.09"),
            (lambda t: (t, 0.9 - t), r"sigma = .* must be positive"),
            (lambda t: (torch.where(t < 0.5, t, torch.inf), 1 - t), "alpha = inf"),
            # sigma falls faster than alpha does.
            (lambda t: (t - 0.9 * t**2, (1 - t) ** 4), r"alpha falls at t = 0\.55"),
            (lambda t: ((t - 0.5).clamp(min=0) + 0.1, 1 - (t - 0.5).clamp(min=0)), "the SNR does not rise at t"),
            (lambda t: (0.1 + 0.9 * t, 1 - t), r"alpha\(0\) = 0\.1, not 0"),
            (lambda t: (t, 2 - 2 * t), r"sigma\(0\) = 2, not 1"),
            (lambda t: (0.5 * t, 1 - t), r"alpha\(1\) = 0\.5, not 1"),
            (lambda t: (t, 1 - 0.9 * t), r"sigma\(1\) = 0\.1, not 0"),
        ],
    )
    def test_refused(self, function: Callable[..., Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            admit_path(mine(Path, function))

    def test_one_end_missed_by_design_leaves_the_other(self) -> None:
        both = mine(Path, lambda t: (0.1 + 0.9 * t, 1.1 - t), expects=("alpha(0) > 0",))
        with pytest.raises(UsageError, match=r"sigma\(1\) = 0\.1"):
            admit_path(both)
        admit_path(mine(Path, lambda t: (0.1 + 0.9 * t, 1 - t), expects=("alpha(0) > 0",)))


class TestTimeLaw:
    def test_admitted(self) -> None:
        admit_time_law(get_time_law("logit_normal"))
        admit_time_law(mine(TimeLaw, lambda u: u.clamp(min=0.2)))

    @pytest.mark.parametrize(
        ("quantile", "message"),
        [
            (lambda u: 1.2 * u, r"t = 1\.0.* must lie in \[0, 1\]"),
            (lambda u: u - 0.1, r"t = -0\.0.* must lie in \[0, 1\]"),
            (lambda u: 1 - u, "does not fall"),
        ],
    )
    def test_refused(self, quantile: Callable[[Tensor], Tensor], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            admit_time_law(mine(TimeLaw, quantile))


class TestCoefficient:
    def objective(self, expression: str) -> Objective:
        return Objective(get_path("linear"), get_time_law("uniform"), get_weighting(f"expr:{expression}", on="eps"))

    def test_admitted(self) -> None:
        admit_coefficient(self.objective("max(t - 0.25, 0)"), (0.01, 0.99))

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("t - 0.25", "must be >= 0"),
            ("where(t < 0.5, 1/(0*t), 1)", "coefficient inf"),
            ("0*t", "zero everywhere: there is nothing to train"),
        ],
    )
    def test_refused(self, expression: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            admit_coefficient(self.objective(expression), (0.01, 0.99))


class TestTarget:
    @pytest.mark.parametrize("name", ["velocity", "x1", "eps", "score", "v"])
    def test_admitted_where_it_is_drawn(self, name: str) -> None:
        """x1 follows from no prediction of the noise at t = 0, which is not drawn."""
        admit_target(get_target(name), get_path("linear"), (0.01, 0.99))

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (lambda c: (c.alpha, c.sigma), "do not follow from the prediction at t = 0.01"),
            (lambda c: (0 * c.t, torch.where(c.t < 0.5, 1.0, -1.0)), r"at t = 0\.500"),
            (lambda c: (c.alpha, torch.where(c.t < 0.5, 2.0, torch.inf)), r"b = inf at t = 0\.500"),
        ],
    )
    def test_refused(self, function: Callable[..., Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            admit_target(mine(Target, function), get_path("linear"), (0.01, 0.99))
