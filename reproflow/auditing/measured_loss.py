r"""What a loss of squared errors does at each level of noise, as it was read off.

The network is given S = A x1 + B eps + k and answers y; the loss's gradient in y is 2 c (y - T) with the target
T = a x1 + b eps + k_T. Whatever the network is said to predict and however its input is scaled, the error it makes in
eps is A/Delta times that in T, Delta = a B - b A, so that

.. math:: c_\epsilon = c (\Delta / A)^2, \qquad w(\lambda) = 2 p(\lambda) c_\epsilon, \qquad \lambda = 2 \log |A / B|,

with p the density of lam under the law of the times: the canonical weight (`theory.objective`), up to one constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
class MeasuredLoss:
    """Arrays of float64 of shape (P,), from the noise to the data: lam ascends.

    `given` is the number that the network gets for its time, NaN where it gets none. `law` is the mass of the
    levels up to this one in lam for continuous and drawn times (in (0, 1)), the probability of this one for steps
    (sums to 1 where `complete`; else the probability of this one all the same). `steps` are the indices of the
    levels as the user's code counts them, None unless the times are steps. `draws` is the number of draws behind
    `law`, 0 where it is exact; `rounded` says that a continuous law's times lie on a grid finer than the levels
    here. `c` is known up to one constant. `state_error`, `target_error` and `coefficient_error` are the largest
    relative residuals of the three readings: the precision of everything that follows.
    """

    times: Times
    given: np.ndarray
    A: np.ndarray
    B: np.ndarray
    offset: np.ndarray
    a: np.ndarray
    b: np.ndarray
    target_offset: np.ndarray
    c: np.ndarray
    law: np.ndarray
    state_error: float
    target_error: float
    coefficient_error: float
    steps: np.ndarray | None = None
    complete: bool = True
    draws: int = 0
    rounded: bool = False

    @property
    def lam(self) -> np.ndarray:
        """The log-SNR 2 log |A / B|; inf where there is no noise."""
        with np.errstate(divide="ignore"):
            return 2 * np.log(np.abs(self.A / self.B))

    @property
    def determinant(self) -> np.ndarray:
        """Delta = a B - b A: zero where the target is a multiple of the state, and there is nothing to learn."""
        return self.a * self.B - self.b * self.A

    @property
    def eps_coefficient(self) -> np.ndarray:
        """c_eps = c (Delta / A)^2, the loss's coefficient on the squared error in eps."""
        return self.c * (self.determinant / self.A) ** 2
