"""Points of a user's own: what a function `FILE.py:FUNCTION` without arguments gives, as `ToyData`.

======================  ===========================================================================================
a tensor (N, 2)         the points themselves; a fifth of them, 4096 at most, is held out, training draws from the rest
a function              `draw(n, generator)` -> (n, 2), drawing from the generator alone; 4096 points are held out
`ToyData`               the same with what is known of the law: density, entropy, mixture
======================  ===========================================================================================

Each coordinate must have a standard deviation between 0.1 and 10 (networks and samplers are made for about 1). Measures
that need a density which is not known are absent.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from reproflow.foundation import seeds
from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.specs import Spec
from reproflow.learning.data.images import ImageData
from reproflow.learning.data.points import ToyData
from reproflow.theory import user_functions
from reproflow.theory.components import resolve

HELD_OUT = 4096
"""Points that are held out at most, as many as of the registered laws."""
FEWEST = 10
NARROWEST = 0.1
WIDEST = 10.0
"""Standard deviations of a coordinate that a network fed with points of about unit variance still resolves."""
Draw = Callable[[int, Generator], Tensor]


@functools.cache
def user_points(spec: Spec) -> ToyData:
    """The points that a user's function gives, built once.

    Raises `UserFunctionError` naming the function for anything but the three forms, and for points that are not finite,
    of another shape, or of a scale that cannot be trained on; `draw` raises it too, whenever it breaks its promise.
    """
    given = resolve("dataset", spec).function()
    if isinstance(given, ImageData):
        raise UserFunctionError(
            f"dataset {spec.name!r} is one of images: your own images cannot be trained on yet; give points (N, 2)."
        )
    if isinstance(given, Tensor):
        return _of_points(given, spec)
    if isinstance(given, ToyData):
        draw = functools.partial(_drawn, given.draw, spec)
        density = functools.partial(_density, given.log_density, spec) if given.log_density else None
        _check_points(given.test, None, spec)
        return replace(given, name=spec.name, draw=draw, log_density=density)
    if callable(given):
        draw = functools.partial(_drawn, given, spec)
        return ToyData(spec.name, draw, None, math.nan, draw(HELD_OUT, seeds.generator("held out points")))
    raise UserFunctionError(
        f"dataset {spec.name!r} must give a tensor of points (N, 2), a function (n, generator) -> (n, 2), or ToyData; "
        f"it gave {type(given).__name__}."
    )


def admit_points(data: ToyData, spec: Spec) -> None:
    """Refuses points that cannot be trained on: the scale, and draws that differ from one seed.

    Raises `UserFunctionError`.
    """
    scale = data.test.std(0)
    if not bool(((scale >= NARROWEST) & (scale <= WIDEST)).all()):
        raise UserFunctionError(
            f"dataset {spec.name!r}: the coordinates have standard deviations {scale[0]:.3g} and {scale[1]:.3g}; they "
            f"must lie in [{NARROWEST:g}, {WIDEST:g}], and are best at 1; scale the points."
        )
    first, second = (data.draw(256, seeds.generator("trial of points")) for _ in range(2))
    if not torch.equal(first, second):
        raise UserFunctionError(
            f"dataset {spec.name!r} draws other points from the same generator; draw from the generator alone."
        )
    if data.log_density is not None:
        data.log_density(first)


def _of_points(points: Tensor, spec: Spec) -> ToyData:
    """Which points are held out depends on their number alone."""
    points = _check_points(points, None, spec)
    if len(points) < FEWEST:
        raise UserFunctionError(f"dataset {spec.name!r} has {len(points)} points; at least {FEWEST} are needed.")
    order = torch.randperm(len(points), generator=seeds.generator("held out points", len(points)))
    held_out = min(HELD_OUT, len(points) // 5)
    train = points[order[held_out:]]

    def draw(n: int, generator: Generator) -> Tensor:
        return train[torch.randint(len(train), (n,), generator=generator)]

    return ToyData(spec.name, draw, None, math.nan, points[order[:held_out]])


def _drawn(draw: Draw, spec: Spec, n: int, generator: Generator) -> Tensor:
    return _check_points(user_functions.call(draw, "dataset", spec, n, generator), n, spec)


def _check_points(points: Any, n: int | None, spec: Spec) -> Tensor:
    """The points in float64, if they are finite and (N, 2), n of them."""
    shape = tuple(points.shape) if isinstance(points, Tensor) else None
    if shape is None or len(shape) != 2 or shape[1] != 2 or (n is not None and shape[0] != n) or points.is_complex():
        found = type(points).__name__ if shape is None else f"{points.dtype} of shape {shape}"
        raise UserFunctionError(
            f"dataset {spec.name!r} must give points in the plane, a real tensor of shape ({'N' if n is None else n}, "
            f"2); it gave {found}."
        )
    bad = ~points.isfinite().all(1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise UserFunctionError(
            f"dataset {spec.name!r}: point {first} is {points[first].tolist()}; points must be finite."
        )
    return points.detach().to(torch.float64)


def _density(log_density: Callable[[Tensor], Tensor], spec: Spec, x: Tensor) -> Tensor:
    value = user_functions.call(log_density, "dataset", spec, x)
    if not isinstance(value, Tensor) or value.shape != x.shape[:-1] or bool(value.isnan().any()):
        raise UserFunctionError(
            f"dataset {spec.name!r}: log_density must map points {tuple(x.shape)} to numbers {tuple(x.shape[:-1])}, "
            "-inf where there is no mass."
        )
    return value
