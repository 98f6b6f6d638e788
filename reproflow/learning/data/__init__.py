"""Data sets by name. A new one is one function with `@dataset(name)` in a file that is imported here."""

from __future__ import annotations

from reproflow.learning.data import digits, toy2d
from reproflow.learning.data.base import dataset, get_dataset
from reproflow.learning.data.images import ImageData
from reproflow.learning.data.points import ToyData
from reproflow.learning.data.tensor_digest import digest
from reproflow.learning.data.tensor_files import load, prepare

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
