"""A masked network that is off, on six words that can be enumerated: a problem for the cascade of bounds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reproflow.evaluation.bound_cascade import table
from reproflow.evaluation.bound_cascade.masked import Masked
from reproflow.foundation import seeds
from reproflow.foundation.schema import Cascade
from reproflow.learning.data import ImageData
from reproflow.theory.paths import get_path

# Six words of three tokens, two of them twice, in two classes.
WORDS = torch.tensor([[0, 0, 1], [0, 1, 1], [0, 0, 1], [2, 1, 0], [2, 2, 0], [1, 2, 2]], dtype=torch.uint8)
LABELS = torch.tensor([0, 0, 0, 1, 1, 1])
DATA = ImageData("words", (1, 1, 3), 3, 2, WORDS, LABELS, WORDS, LABELS)
MASKED = get_path("linear", "masked")
SETTINGS = Cascade(images=200, steps=(8, 16), samples=2000)


@dataclass
class Off:
    """A masked network that is off: logits by position and number of hidden tokens; it sees neither words nor class."""

    path: Any
    device: Any = "cpu"

    def logits(self, z: Tensor, y: Tensor) -> Tensor:
        hidden = (z == 3).sum(1).double()
        base = torch.tensor([[0.9, 0.1, -0.3], [-0.2, 0.4, 0.3], [0.2, 0.5, 0.1]], dtype=torch.float64)
        return base + 0.2 * hidden[:, None, None] * torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)


def monotone(rows: list[dict[str, Any]]) -> bool:
    """Whether PKL falls from level to level towards the noise (Theorem 1), by the paths of the chain, which could rise.

    The integral of the excess cannot: its strata are divergences, hence never negative.
    """
    values = [row["reference"] for row in rows if row["quantity"] == "path_kl"]
    return all(a >= b for a, b in itertools.pairwise(values))


def random(name: str) -> torch.Generator:
    return seeds.generator("test", name)


def masked_rows() -> list[dict[str, Any]]:
    """The cascade's rows for this network."""
    return table.measure(Masked(Off(MASKED), DATA), MASKED, SETTINGS)
