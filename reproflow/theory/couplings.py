"""Couplings: which noise is paired with which data in a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor

from reproflow.foundation import registry


def coupling(name: str, *, cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers `(x0, x1, generator) -> x0`, the noise paired with each row of x1."""
    return registry.register("coupling", name, cite=cite, **meta)


@coupling("independent", cite="Lipman et al. 2023")
def independent(x0: Tensor, x1: Tensor, generator: Generator) -> Tensor:
    """Noise and data are independent."""
    return x0
