"""Divergences: the loss l(a, b) of a target a and a prediction b, possibly depending on t and x.

a, b, x have shape (B, D) and t shape (B,); the answer has shape (B,), in the units of the target squared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from reproflow.foundation import registry
from reproflow.foundation.specs import Spec
from reproflow.theory.nouns import resolve


def divergence(name: str, *, cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers `l(a, b, t, x)`."""
    return registry.register("divergence", name, cite=cite, **meta)


def get_divergence(spec: str | Spec) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The divergence a spec names. Raises `UsageError` for an unknown name or parameter."""
    return resolve("divergence", spec).function


@divergence("squared", cite="Lipman et al. 2023")
def squared(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """|a - b|²: the Bregman divergence of the squared norm."""
    return (a - b).square().flatten(1).sum(1)
