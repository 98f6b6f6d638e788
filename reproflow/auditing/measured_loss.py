r"""What a loss of squared errors does at each level of noise, as it was read off.

The network is given S = A x1 + B eps + k and answers y; the loss's gradient in y is 2 c (y - T) with the target
T = a x1 + b eps + k_T. Whatever the network is said to predict and however its input is scaled, the error it makes in
eps is A/Delta times that in T, Delta = a B - b A, so that

.. math:: c_\epsilon = c (\Delta / A)^2, \qquad w(\lambda) = 2 p(\lambda) c_\epsilon, \qquad \lambda = 2 \log |A / B|,

with p the density of lam under the law of the times: the canonical weight (`theory.objective`), up to one constant.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np


class Times(StrEnum):
    """How the levels that the loss draws were read."""

    CONTINUOUS = "continuous"
    """The law's own draws were set to known quantiles: `law` is exact."""
    STEPS = "steps"
    """The law draws from finitely many levels; all of them, or an even selection, were set."""
    DRAWN = "drawn"
    """The draws could not be set: `law` is the empirical distribution of many."""


@dataclass(frozen=True)
class Columns:
    """What a loss does at P levels, as above: float64 of shape (P,) each, in the units of the batch.

    `given` is the number that the network gets for its time, NaN where it gets none. The state has `A`, `B` and the
    constant `offset` (k); the target `a`, `b` and `target_offset` (k_T); `c` is known up to one constant.
    """

    given: np.ndarray
    A: np.ndarray
    B: np.ndarray
    offset: np.ndarray
    a: np.ndarray
    b: np.ndarray
    target_offset: np.ndarray
    c: np.ndarray

    @property
    def lam(self) -> np.ndarray:
        """The log-SNR 2 log |A / B|, (P,); inf where there is no noise, -inf where there is no signal."""
        with np.errstate(all="ignore"):
            return 2 * np.log(np.abs(self.A / self.B))

    def columns(self, at: Any = slice(None)) -> dict[str, Any]:
        """The eight columns by name, at some of the levels."""
        return {each.name: getattr(self, each.name)[at] for each in fields(Columns)}


@dataclass(frozen=True)
class MeasuredLoss(Columns):
    """All levels of a loss, from the noise to the data: lam ascends.

    `law` (P,) is the mass of the levels up to this one in lam for continuous and drawn times (in (0, 1)), the
    probability of this one for steps (sums to 1 where `complete`; else the probability of this one all the same).
    `steps` (P,) are the indices of the levels as the user's code counts them, None unless the times are steps. `draws`
    is the number of draws behind `law`, 0 where it is exact; `rounded` says that a continuous law's times lie on a grid
    finer than the levels here. `state_error`, `target_error` and `coefficient_error` are the largest relative residuals
    of the three readings: the precision of everything that follows.
    """

    times: Times
    law: np.ndarray
    state_error: float
    target_error: float
    coefficient_error: float
    steps: np.ndarray | None = None
    complete: bool = True
    draws: int = 0
    rounded: bool = False
    all_noise: tuple[np.ndarray, np.ndarray] | None = None
    """B and b (P,) of all noise in one, where the state has more than `B` eps."""

    def in_one(self) -> MeasuredLoss:
        """The same with all noise of the state in `B` and `b`: what the weight and the best answer follow from."""
        if self.all_noise is None:
            return self
        return replace(self, B=self.all_noise[0], b=self.all_noise[1], all_noise=None)
