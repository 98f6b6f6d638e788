"""Images on a few grey levels, with a fixed split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reproflow.learning.data.tensor_digest import digest

Split = Literal["train", "test"]


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
