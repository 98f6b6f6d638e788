"""What a data set is: points with an exact density (toy), or images on a few grey levels.

A data set is registered by a function without arguments that returns `ToyData` or `ImageData`. Toy data draw a fresh
batch from a generator; images have a fixed split into "train" and "test" (held out).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from reproflow.foundation import registry
from reproflow.foundation.specs import Spec, parse
from reproflow.learning.data.images import ImageData, Split
from reproflow.learning.data.points import ToyData


@runtime_checkable
class DataSet(Protocol):
    """What is common to all data sets: N data of `dim` numbers, or tokens, that are held out, and what a file holds."""

    @property
    def name(self) -> str:
        """The name in keys, files and tables."""

    @property
    def dim(self) -> int:
        """D, the numbers of one datum."""

    @property
    def classes(self) -> int:
        """The number of classes; 0 for data without labels."""

    @property
    def test(self) -> Tensor:
        """Held-out data (N, D)."""

    @property
    def sha256(self) -> str:
        """The digest of `arrays`."""

    def arrays(self) -> dict[str, Tensor]:
        """The tensors that a prepared file holds."""


@runtime_checkable
class SampledData(DataSet, Protocol):
    """Data of a law that is drawn from afresh."""

    def sample(self, n: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """n independent points (n, D)."""

    @property
    def log_density(self) -> Callable[[Tensor], Tensor] | None:
        """The exact log density in nats, (..., D) -> (...), or None where it is not known."""

    @property
    def entropy(self) -> float:
        """-E log p in nats; NaN where it is not known."""


@runtime_checkable
class SplitData(DataSet, Protocol):
    """Labelled data on a few levels, with a fixed split into train and test."""

    def tokens(self, split: Split = "train") -> Tensor:
        """Levels int64 (N, D)."""

    def points(self, split: Split = "train", dtype: torch.dtype = torch.float32) -> Tensor:
        """Values of the levels (N, D)."""

    def labels(self, split: Split = "train") -> Tensor:
        """Classes int64 (N,)."""


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
