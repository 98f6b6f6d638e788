"""Errata in code: each defect is tried alone, lest the first error hide the rest, and those that show are counted.

An attempt is a function of one flag, whether its defect is in, and returns a `Measurement` whose statistic is the size
of the damage (1 for an exception), 0 where there is none. Every defect is then a control of the corrected form as well:
the right code with this one thing wrong. (The attempts do not touch each other, so a control runs its own alone.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from reproflow.claims.errata.erratum import CORRECTED
from reproflow.claims.policy import Measurement
from reproflow.foundation import seeds

Attempt = Callable[[bool], Measurement]
Built = TypeVar("Built", bound=nn.Module)

SHOWS = 1e-4
"""Damage above this shows; below it is rounding or the error of an ODE solver."""


def count(attempts: Mapping[str, Attempt], form: str) -> Measurement:
    """The number of defects that show; `printed` holds all of them, `corrected` none, a defect's name that one."""
    chosen = {form: attempts[form]} if form in attempts else attempts
    results = {name: attempt(form != CORRECTED) for name, attempt in chosen.items()}
    shown = sum(result.statistic > SHOWS for result in results.values())
    return Measurement(float(shown), detail="; ".join(f"{name}: {each.detail}" for name, each in results.items()))


def raises(kind: type[Exception], attempt: Callable[[], Any]) -> Measurement:
    """1 and the error's first line where the attempt raises this kind, 0 where it runs; other errors go through."""
    try:
        attempt()
    except kind as error:
        return Measurement(1.0, detail=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    return Measurement(0.0, detail="runs")


def seeded(build: Callable[[], Built], *purpose: str | int) -> Built:
    """A network in float64 with weights drawn at a seed of its own; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.derive("errata", *purpose))
        return build().double()


def noise(*shape: int, purpose: str) -> torch.Tensor:
    """Standard normal numbers in float64, drawn for one purpose."""
    return torch.randn(shape, generator=seeds.generator("errata", purpose), dtype=torch.float64)
