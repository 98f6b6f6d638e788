"""What a data set is: points with an exact density (toy), or images on a few grey levels.

A data set is registered by a function without arguments that returns `ToyData` or `ImageData`. Toy data draw a fresh
batch from a generator; images have a fixed split into "train" and "test" (held out).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from reproflow.exact.mixture import Mixture
from reproflow.foundation import registry

Split = Literal["train", "test"]


def dataset(
    name: str, *, process: str | Iterable[str] = "gaussian", cite: str = "", **meta: Any
) -> Callable[[Callable[[], ToyData | ImageData]], Callable[[], ToyData | ImageData]]:
    """Decorator: registers a function `() -> ToyData | ImageData` for the processes that can be trained on it.

    `sizes` (`held_out`, `dim`, `classes`; of images `train` and `features`, the numbers that FID compares) are what
    configurations are held to before anything runs; `images` says that FID applies.
    """
    return registry.register("dataset", name, process=process, cite=cite, **meta)


@functools.cache
def get_dataset(name: str, process: str = "gaussian") -> ToyData | ImageData:
    """The data set of that name, built once. Raises `UsageError` for a name unknown to that process."""
    return registry.get("dataset", name, process).function()


@dataclass(frozen=True)
class ToyData:
    """Points in the plane of about unit variance, without labels.

    `draw(n, generator)` gives float64 points (n, 2); `log_density(x)` maps (..., 2) to (...), in nats, exactly;
    `entropy` is -E log p in nats, by quadrature or in closed form; `test` holds fixed evaluation points (N, 2),
    float64; `mixture` is set where the law is a mixture of round Gaussians, so that exact posteriors exist.
    """

    name: str
    draw: Callable[[int, Generator], Tensor]
    log_density: Callable[[Tensor], Tensor]
    entropy: float
    test: Tensor
    mixture: Mixture | None = None

    dim = 2
    classes = 0

    def sample(self, n: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """n independent points (n, 2) of `dtype`; the draw itself is made in float64."""
        return self.draw(n, generator).to(dtype)

    def arrays(self) -> dict[str, Tensor]:
        """The tensors that a prepared file holds."""
        return {"test": self.test}

    @property
    def sha256(self) -> str:
        return digest(self.arrays())


@dataclass(frozen=True)
class ImageData:
    """Images as grey levels 0..levels-1: `train`, `test` uint8 (N, D), flattened from `shape`; labels int64 (N,)."""

    name: str
    shape: tuple[int, int, int]
    levels: int
    classes: int
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @property
    def dim(self) -> int:
        return self.train.shape[1]

    @property
    def values(self) -> Tensor:
        """The value of each level, evenly spaced over [-1, 1]: (levels,), float64."""
        return torch.linspace(-1, 1, self.levels, dtype=torch.float64)

    def tokens(self, split: Split = "train") -> Tensor:
        """Levels as int64 (N, D): what a masked process sees."""
        return self._of(split).long()

    def points(self, split: Split = "train", dtype: torch.dtype = torch.float32) -> Tensor:
        """Values in [-1, 1], (N, D): what a Gaussian process sees."""
        return self.values[self.tokens(split)].to(dtype)

    def labels(self, split: Split = "train") -> Tensor:
        """Class labels int64 (N,)."""
        return self.train_labels if split == "train" else self.test_labels

    def images(self, tokens: Tensor) -> Tensor:
        """Levels (N, D) as uint8 images (N, C, H, W), as FID wants them."""
        return tokens.to(torch.uint8).reshape(-1, *self.shape)

    def _of(self, split: Split) -> Tensor:
        return self.train if split == "train" else self.test

    def arrays(self) -> dict[str, Tensor]:
        """The tensors that a prepared file holds."""
        return {
            "train": self.train,
            "train_labels": self.train_labels,
            "test": self.test,
            "test_labels": self.test_labels,
        }

    @property
    def sha256(self) -> str:
        return digest(self.arrays())


def digest(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 over names, types, shapes and bytes of tensors, in order of their names, hexadecimal."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()
