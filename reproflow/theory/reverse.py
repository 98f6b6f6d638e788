"""Registered paths and time laws, differentiated backwards: for jobs and commands that should start at once.

torch's forward mode imports its compiler at first use, five seconds of computing; reverse mode does not. For a function
of each t alone the derivative of the sum is the derivative of each, to the same digits. A user's own functions keep
forward mode, which minds only the branch that `where` takes. Quantile maps are inverted in the logit of u, so that a u
near 0 is known to as many digits as one in the middle.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.numerics.bisection import bisect
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path
from reproflow.theory.times import TimeLaw


class ReversePath(Path):
    """A path whose coefficients are differentiated backwards."""

    def at(self, t: Tensor) -> Coefficients:
        """alpha, sigma and their derivatives at t, of t's shape."""
        alpha, dalpha = _with_slope(lambda t: self.function(t)[0], t)
        sigma, dsigma = _with_slope(lambda t: self.function(t)[1], t)
        return Coefficients(t, alpha, sigma, dalpha, dsigma, self.process)


class FineLaw(TimeLaw):
    """A time law whose quantile map, where nothing is closed, is inverted to relative precision at u = 0."""

    def _bisect(self, t: Tensor) -> Tensor:
        low, high = torch.full_like(t, -700.0), torch.full_like(t, 37.0)
        return torch.sigmoid(bisect(lambda logit: self.function(torch.sigmoid(logit)) < t, low, high, 64))


class ReverseLaw(FineLaw):
    """The same, with a density that is differentiated backwards."""

    def _slope(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return _with_slope(self.function, u)


def quick_path(path: Path) -> Path:
    """The same path; if it is registered, with derivatives in reverse mode."""
    return ReversePath(**vars(path)) if path.entry in registry.entries("path", path.process) else path


def quick_law(law: TimeLaw) -> TimeLaw:
    """The same time law, inverted with more digits; if it is registered, with derivatives in reverse mode."""
    return (ReverseLaw if law.entry in registry.entries("time") else FineLaw)(**vars(law))


def _with_slope(function: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    # Also within inference mode, whose own tensors cannot be differentiated.
    with torch.inference_mode(False), torch.enable_grad():
        t = t.detach().clone().requires_grad_()
        value = function(t)
        return value.detach(), torch.autograd.grad(value.sum(), t)[0]
