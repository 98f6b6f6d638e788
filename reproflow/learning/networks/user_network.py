"""A network of a user's own: what a function `FILE.py:FUNCTION` makes of a datum's shape and a number of classes.

`FUNCTION(shape, classes)` gives a `torch.nn.Module` whose call `(x, t, y)` maps

    x (B, *shape), float32; t (B,), float32 in (0, 1), noise at 0; y (B,), int64 in [0, classes), None where classes = 0

to the prediction (B, *shape), float32. `shape` is (2,) for points and (C, H, W) for images. The module has parameters
in float32; its layers may draw their first weights, and dropout in training, from torch's global generator, which is
seeded for it; in evaluation a row's prediction depends on that row alone. Such networks are tried, not trained yet.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from reproflow.foundation import seeds
from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.specs import Spec
from reproflow.learning.data import ImageData, ToyData
from reproflow.theory import user_functions
from reproflow.theory.components import resolve

BATCH = 6
"""Rows of a trial; the first half of them is predicted once more without the rest."""
TOLERANCE = 1e-3
"""How far, relative to the largest number, a row may differ: the order of float32 sums depends on a batch's size."""


def admit_network(spec: Spec, data: ToyData | ImageData, t_range: tuple[float, float]) -> None:
    """Tries a user's network on data of this shape: one step of training, and a prediction.

    Raises `UserFunctionError` for what is no module or has nothing to train, and where it raises, gives numbers of
    another shape or type or that are not finite, has gradients that are not finite, draws from a global generator other
    than torch's, or predicts a row otherwise without the other rows of its batch.
    """
    shape = data.shape if isinstance(data, ImageData) else (data.dim,)
    module = _module(spec, tuple(shape), data.classes)
    x, t, y = _batch(tuple(shape), data.classes, t_range)
    _check_gradients(module.train(), _predicted(module, spec, x, t, y), spec)
    module.eval()
    with torch.no_grad():
        together = _predicted(module, spec, x, t, y)
        half = BATCH // 2
        alone = _predicted(module, spec, x[:half], t[:half], None if y is None else y[:half])
    gap = (together[:half] - alone).abs().max()
    if gap > TOLERANCE * together.abs().max():
        raise UserFunctionError(
            f"network {spec.name!r} predicts a row otherwise without the other rows of its batch (by {gap:.3g}); in "
            "evaluation, module.eval(), a row must not see the others."
        )


def _module(spec: Spec, shape: tuple[int, ...], classes: int) -> nn.Module:
    """What the user's function makes, if it can be trained."""
    made = resolve("network", spec).function(shape, classes)
    if not isinstance(made, nn.Module):
        raise UserFunctionError(f"network {spec.name!r} must give a torch.nn.Module; it gave {type(made).__name__}.")
    trained = {name: parameter for name, parameter in made.named_parameters() if parameter.requires_grad}
    if not trained:
        raise UserFunctionError(f"network {spec.name!r} has no parameters to train.")
    for name, parameter in trained.items():
        if parameter.dtype != torch.float32:
            raise UserFunctionError(f"network {spec.name!r}: {name} is {parameter.dtype}; parameters must be float32.")
    return made


def _batch(shape: tuple[int, ...], classes: int, t_range: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Noise, times over the whole range, and classes (None where there are none)."""
    generator = seeds.generator("trial of a network")
    y = torch.randint(classes, (BATCH,), generator=generator) if classes else None
    return torch.randn(BATCH, *shape, generator=generator), torch.linspace(*t_range, BATCH), y


def _predicted(module: nn.Module, spec: Spec, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
    """The module's prediction, if it is float32, finite and of x's shape."""
    call = functools.partial(user_functions.seeded, module)
    value: Any = user_functions.call(call, "network", spec, x, t, y)
    if not isinstance(value, Tensor) or value.shape != x.shape or value.dtype != torch.float32:
        shown = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserFunctionError(
            f"network {spec.name!r} must map x {tuple(x.shape)}, t {tuple(t.shape)} and y "
            f"{'None' if y is None else tuple(y.shape)} to torch.float32 of shape {tuple(x.shape)}; it gave {shown}."
        )
    bad = ~value.isfinite().flatten(1).all(1)
    if bool(bad.any()):
        first = float(t[bad].min())
        raise UserFunctionError(f"network {spec.name!r} is not finite at t = {first:.6g}; its numbers must be finite.")
    return value


def _check_gradients(module: nn.Module, value: Tensor, spec: Spec) -> None:
    """A squared error of the value reaches the parameters with finite gradients."""
    names, parameters = zip(*[each for each in module.named_parameters() if each[1].requires_grad], strict=True)
    loss = (value - 1).square().mean()
    if not loss.requires_grad:
        raise UserFunctionError(f"network {spec.name!r}: its prediction does not depend on any of its parameters.")
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is not None and not bool(gradient.isfinite().all()):
            raise UserFunctionError(f"network {spec.name!r}: the gradient of {name} is not finite.")
