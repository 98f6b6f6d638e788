"""Given pairs of noise and data, one safetensors file: x0 (N, D), x1 (N, D), and y (N,) where the data have labels.

`reproflow pairs` writes them from a trained flow, for Reflow (Liu et al. 2022); `write` takes anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from reproflow.foundation.errors import UsageError
from reproflow.learning.data.images import ImageData
from reproflow.learning.data.points import ToyData
from reproflow.learning.data.tensor_files import read_tensors, write_tensors


@dataclass(frozen=True)
class Pairs:
    """x0, x1 float32 (N, D); y int64 (N,), or None for data without labels."""

    x0: Tensor
    x1: Tensor
    y: Tensor | None

    def draw(self, n: int, generator: Generator) -> dict[str, Tensor]:
        """n pairs with replacement, as a training batch names them: x1, eps (n, D), and y (n,) if there are labels."""
        index = torch.randint(len(self.x1), (n,), generator=generator)
        labels = {} if self.y is None else {"y": self.y[index]}
        return {"x1": self.x1[index], "eps": self.x0[index]} | labels


def write(path: str | Path, x0: Tensor, x1: Tensor, y: Tensor | None, about: Mapping[str, Any]) -> str:
    """Writes pairs whole, and returns the SHA-256 of the arrays. Raises `UsageError` for what `load` would refuse."""
    tensors = {"x0": x0, "x1": x1} | ({} if y is None else {"y": y})
    _check_points(tensors, str(path), x1.shape[-1])
    return write_tensors(path, tensors, {"kind": "pairs", **about})


def load(path: str | Path, data: ToyData | ImageData) -> Pairs:
    """The pairs of a file, for training on `data`.

    Raises `UsageError` for a file that is missing, damaged or no pairs, whose arrays have shapes or labels that do not
    fit the data, or hold numbers that are not finite.
    """
    tensors, about = read_tensors(path)
    if about.get("kind") != "pairs":
        raise UsageError(f"{path} holds {about.get('kind', 'no')} data, not pairs; reproflow pairs writes them.")
    _check_points(tensors, str(path), data.dim)
    y = tensors.get("y")
    if data.classes and y is None:
        raise UsageError(f"{path} has no labels y, and {data.name} has {data.classes} classes.")
    if y is not None:
        _check_labels(y, str(path), len(tensors["x1"]), data)
    labels = y.long() if y is not None and data.classes else None
    return Pairs(tensors["x0"].float(), tensors["x1"].float(), labels)


def _check_points(tensors: Mapping[str, Tensor], path: str, dim: int) -> None:
    shapes = {name: tuple(tensors[name].shape) if name in tensors else None for name in ("x0", "x1")}
    first = shapes["x0"]
    if first is None or len(first) != 2 or first[0] == 0 or first != shapes["x1"] or first[1] != dim:
        raise UsageError(f"{path}: x0 and x1 must both have shape (N, {dim}) with N > 0; found {shapes}.")
    for name in ("x0", "x1"):
        tensor = tensors[name]
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise UsageError(f"{path}: {name} must hold finite floating-point numbers; it has others ({tensor.dtype}).")


def _check_labels(y: Tensor, path: str, n: int, data: ToyData | ImageData) -> None:
    known = data.classes or 1
    if tuple(y.shape) != (n,) or y.is_floating_point() or bool(((y < 0) | (y >= known)).any()):
        raise UsageError(f"{path}: y must be {n} whole numbers from 0 to {known - 1}, the classes of {data.name}.")
