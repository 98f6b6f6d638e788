"""Derivatives of functions of one time each, in reverse or in forward mode.

A function maps t (..,) to one or several tensors of t's shape, each entry of which depends on its own t alone, so that
the gradient of the sum is the derivative at every t. The two modes agree to rounding and differ in what they ask for:

- Reverse mode needs no import, and is wrong where `where` hides a branch: 0 times the infinite or NaN slope of the
  branch not taken is NaN. The functions of this package are written without such branches (a test holds them to it).
- Forward mode follows the branch that is taken and can be differentiated again, and it imports torch's compiler at
  first use, about five seconds of computing.

`mode_of` chooses: reverse for the package's functions, forward for anybody's, and forward wherever the derivative is
itself differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor


class Mode(StrEnum):
    """How a derivative is taken."""

    REVERSE = "reverse"
    FORWARD = "forward"


def mode_of(vetted: bool, t: Tensor) -> Mode:
    """Reverse for a function known to hide no branch, at times that nobody differentiates; forward otherwise."""
    return Mode.REVERSE if vetted and not is_differentiated(t) else Mode.FORWARD


def is_differentiated(t: Tensor) -> bool:
    """Whether somebody takes derivatives with respect to t: it requires a gradient, or is inside `torch.func`."""
    wrapped: bool = torch._C._functorch.is_functorch_wrapped_tensor(t)
    return wrapped or (t.requires_grad and torch.is_grad_enabled())


def with_slope(function: Callable[[Tensor], Tensor], t: Tensor, mode: Mode) -> tuple[Tensor, Tensor]:
    """f(t) and f'(t), both of t's shape; detached in reverse mode."""
    (value,), (slope,) = with_slopes(lambda t: (function(t),), t, mode)
    return value, slope


def with_slopes(
    function: Callable[[Tensor], tuple[Tensor, ...]], t: Tensor, mode: Mode
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The values f_i(t) and the derivatives f_i'(t), each of t's shape; detached in reverse mode."""
    if mode is Mode.REVERSE:
        return _reverse(function, t)
    t = t.contiguous()  # an expanded scalar has no memory of its own to differentiate in
    values, slopes = torch.func.jvp(function, (t,), (torch.ones_like(t),))[:2]
    return values, slopes


def _reverse(
    function: Callable[[Tensor], tuple[Tensor, ...]], t: Tensor
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    # Also within inference mode, whose own tensors cannot be differentiated.
    with torch.inference_mode(False), torch.enable_grad():
        t = t.detach().clone().requires_grad_()
        values = function(t)
        slopes = tuple(_gradient(value, t) for value in values)
    return tuple(value.detach() for value in values), slopes


def _gradient(value: Tensor, t: Tensor) -> Tensor:
    """The gradient of the sum of the values; zero for a constant."""
    return torch.autograd.grad(value.sum(), t, retain_graph=True)[0] if value.requires_grad else torch.zeros_like(t)
