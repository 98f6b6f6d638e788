"""Data sets by name. A new one is one function with `@dataset(name)` in a file that is imported here."""

from __future__ import annotations

from reproflow.learning.data import digits, toy2d
from reproflow.learning.data.base import ImageData, ToyData, dataset, digest, get_dataset
from reproflow.learning.data.prepared import load, prepare

__all__ = [
    "ImageData",
    "ToyData",
    "dataset",
    "digest",
    "digits",
    "get_dataset",
    "load",
    "prepare",
    "toy2d",
]
