"""What a data set is: points with an exact density (toy), or images on a few grey levels.

A data set is registered by a function without arguments that returns `ToyData` or `ImageData`. Toy data draw a fresh
batch from a generator; images have a fixed split into "train" and "test" (held out).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from reproflow.foundation import registry
from reproflow.foundation.specs import Spec, parse
from reproflow.learning.data.images import ImageData
from reproflow.learning.data.points import ToyData


def dataset(
    name: str, *, process: str | Iterable[str] = "gaussian", cite: str = "", **meta: Any
) -> Callable[[Callable[[], ToyData | ImageData]], Callable[[], ToyData | ImageData]]:
    """Decorator: registers a function `() -> ToyData | ImageData` for the processes that can be trained on it.

    `sizes` (`held_out`, `dim`, `classes`; of images `train` and `features`, the numbers that FID compares) are what
    configurations are held to before anything runs; `images` says that FID applies.
    """
    return registry.register("dataset", name, process=process, cite=cite, **meta)


def get_dataset(spec: str | Spec, process: str = "gaussian") -> ToyData | ImageData:
    """The data set a spec names, built once; a user's own is one of points.

    Raises `UsageError` for a name unknown to that process, and for a user's file that cannot be used.
    """
    parsed = parse(spec, "dataset")
    if parsed.registered:
        return _built(registry.get("dataset", parsed.name, process).function)
    # Imported here: user files may hold any component, whose modules lie above the decorators.
    from reproflow.learning.data.user_points import user_points

    return user_points(parsed)


@functools.cache
def _built(function: Callable[[], ToyData | ImageData]) -> ToyData | ImageData:
    return function()
