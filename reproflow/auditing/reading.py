"""What one loss was seen to do: its calls of the network, its draws, its form, and its levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from reproflow.auditing.findings import Finding
from reproflow.auditing.measured_loss import MeasuredLoss

Loss = Callable[[nn.Module, Tensor], Any]
"""loss(model, x1): a number, a number a sample, one an element, a dict with `loss`, a tuple, an object with `.loss`."""


@dataclass(frozen=True)
class Subject:
    """A loss and the batches it is called with: `batch` samples of `shape`; tokens below `vocabulary` if that is given.

    `data` is the range of the user's data (LO, HI) where it is not standardised. `mask` is the id of the mask token.
    """

    loss: Loss
    shape: tuple[int, ...]
    batch: int = 32
    double: bool = False
    data: tuple[float, float] | None = None
    vocabulary: int | None = None
    mask: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Argument:
    """An argument of the graded call: `role` is state, time or other."""

    name: str
    role: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class DrawFacts:
    """A random draw of the loss: aten's operator, kind, shape, the user's line, and what it is for.

    `role` is time, noise, target, weight, conditioning, control, mask or nothing.
    """

    operator: str
    kind: str
    shape: tuple[int, ...]
    file: str
    line: int
    role: str


@dataclass(frozen=True)
class LossForm:
    """`form` is squared, huber, l1, cross-entropy, score entropy, generalised kl or other.

    `profile` is psi(r)/r at sizes r of the residual where the form is not squared; `value_gap` is the relative
    difference between what the value of the loss does and what its gradient says.
    """

    form: str
    reduction: str
    profile: tuple[tuple[float, float], ...] = ()
    value_gap: float = 0.0


@dataclass(frozen=True)
class MeasuredTokens:
    """A masked loss by the rate of masking m, float64 of shape (P,), m descending (alpha = 1 - m ascends).

    `c` is the coefficient on the cross-entropy of one masked token; `error` is that of m. `law` is the mass of the
    rates at or above m, for steps the probability of each (sums to 1 where `complete`); `draws` is the number of draws
    behind it, 0 where it is exact. `count` is the number of steps of the law, `places` (P,) are those read among them,
    counted from the noise; None for numbers of positions, whose law is that of the rows. `ends` are the least and the
    largest rate that the law draws, NaN where they are not known. `read` says how the rates were set: quantiles, steps,
    one a batch, ranks, drawn, constant.
    """

    m: np.ndarray
    given: np.ndarray
    c: np.ndarray
    law: np.ndarray
    error: float
    draws: int = 0
    steps: bool = False
    read: str = "quantiles"
    count: int = 0
    complete: bool = True
    places: np.ndarray | None = None
    ends: tuple[float, float] = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Reading:
    """All that was read. `measured` is None where the loss has no levels that could be read; findings say why."""

    calls: int
    graded: int
    arguments: tuple[Argument, ...]
    draws: tuple[DrawFacts, ...]
    form: LossForm
    offset: float
    evaluations: int
    measured: MeasuredLoss | MeasuredTokens | None
    coupled: bool = False
    """Samples of the batch depend on each other, or the target on another network: no bound follows."""
    per_batch: str = ""
    """How the times of a batch hang together: empty (independent), stratified, one a batch."""
    findings: tuple[Finding, ...] = ()
    limits: tuple[str, ...] = field(default=())
