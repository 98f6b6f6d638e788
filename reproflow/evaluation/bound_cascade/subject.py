"""What the cascade of bounds asks of a network compared with its training set, and where a process has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from torch import Generator, Tensor

from reproflow.evaluation.bound_cascade.profile import Profile
from reproflow.foundation.by_process import ByProcess
from reproflow.learning.data import ImageData
from reproflow.theory.paths import Path


class Subject(Protocol):
    """A network compared with its training set, over noise levels from data to noise.

    `counted` are the parts of the way at which the divergence of data and model is counted: nearer the data it would
    take more samples. The estimates are defined where they are made (`gaussian`, `masked`).
    """

    counted: ClassVar[tuple[float, ...]]
    data: ImageData
    labels: Tensor

    def __init__(self, denoiser: Any, data: ImageData) -> None: ...

    @staticmethod
    def noise_levels(path: Path, t_range: tuple[float, float]) -> Tensor:
        """Levels from data to noise within a range of times, (J,), float64."""
        ...

    @staticmethod
    def log_snr_at(levels: Tensor) -> Tensor:
        """lam at levels, of their shape."""
        ...

    @staticmethod
    def place(level: Tensor) -> str:
        """A level as the column `at` names it."""
        ...

    def profile(self, levels: Tensor, images: int, generator: Generator) -> Profile: ...

    def excess(self, levels: Tensor, generator: Generator) -> Tensor: ...

    def paths(
        self, steps: int, images: int, kept: Tensor, generator: Generator, ends: tuple[float, float]
    ) -> Tensor: ...

    def occupation(
        self, steps: int, y: Tensor, kept: Tensor, generator: Generator, ends: tuple[float, float]
    ) -> Tensor: ...


SUBJECTS: ByProcess[Callable[[], type[Subject]]] = ByProcess("cascade of bounds", __name__)
"""By process: the class of its subjects, which is called with a denoiser and its data."""
