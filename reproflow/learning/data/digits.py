"""digits8: 1797 handwritten digits of 8 x 8 pixels on 17 grey levels, from scikit-learn, with a fixed held-out part.

The level k in 0..16 has the value k/8 - 1. The split is stratified by class, 1347 for training and 450 held out: within
a class the images are ranked by a hash of their index, so the split depends on no library's random numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.foundation import seeds
from reproflow.learning.data.base import dataset
from reproflow.learning.data.images import ImageData

HELD_OUT = 450


SIZES = {"train": 1797 - HELD_OUT, "held_out": HELD_OUT, "dim": 64, "classes": 10, "features": 64}
"""Sizes that a configuration is held to before anything runs; a test compares them with the data."""


@dataset(
    "digits8",
    images=True,
    process=("gaussian", "masked"),
    cite="Alpaydin & Kaynak 1998; Pedregosa et al. 2011",
    sizes=SIZES,
)
def digits8() -> ImageData:
    """8 x 8 handwritten digits, 17 grey levels, ten classes; 1347 train, 450 held out."""
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).to(torch.uint8)
    labels = torch.from_numpy(classes).long()
    train, test = stratified_split(labels, HELD_OUT, "digits8 split")
    return ImageData("digits8", (1, 8, 8), 17, 10, images[train], labels[train], images[test], labels[test])


def stratified_split(labels: Tensor, held_out: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Indices (train, test), each increasing, with `held_out` test indices spread over the classes of `labels` (N,).

    Every class gets its share rounded down, and the largest remainders one more.
    """
    share = torch.bincount(labels) * held_out / len(labels)
    counts = share.floor().long()
    counts[(share - counts).argsort(descending=True, stable=True)[: held_out - int(counts.sum())]] += 1
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(counts.tolist()):
        members = (labels == label).nonzero().flatten().tolist()
        ranked = sorted(members, key=lambda index: seeds.derive(purpose, index))
        chosen[ranked[:count]] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()
