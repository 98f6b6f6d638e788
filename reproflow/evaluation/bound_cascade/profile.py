r"""PKL(s) as estimated: independent means K_k of strata, and how much of each lies beyond s.

.. math:: PKL(s_j) = KL_T + \sum_k b_{jk} K_k, \qquad
          \int PKL\, d\nu = w(s_0) PKL(s_0) + \sum_j \tfrac12 (PKL_j + PKL_{j+1}) (w_{j+1} - w_j)

on levels s_0 < .. < s_J from data to noise. Both are linear in K, so that errors follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.numerics.statistics import Measured


@dataclass(frozen=True)
class Profile:
    """PKL at levels s (J,), rising from data to noise, from strata: `beyond` (J, K), `means` and `errors` (K,).

    `prior` is KL_T, with its error. All float64.
    """

    levels: Tensor
    beyond: Tensor
    means: Tensor
    errors: Tensor
    prior: Measured

    def path_kl(self, level: int) -> Measured:
        """PKL at a level, in nats."""
        return self._combined(torch.eye(len(self.levels), dtype=torch.float64)[level])

    def weighted(self, w: Tensor) -> Measured:
        """The integral of PKL over nu, w(s) = nu([s_0, s]) given at the levels, (J,)."""
        return self._combined(increments(w))

    def terms(self, w: Tensor, cuts: Tensor) -> list[tuple[Measured, float]]:
        """`weighted` and the mass of nu, in parts that add up: the atom at s_0, then between the cuts (001, Fig. 1).

        w (J,) as in `weighted`; cuts (Q,) are levels, rising; the answer has Q + 2 parts.
        """
        middles = (self.levels[1:] + self.levels[:-1]) / 2
        piece = torch.bucketize(middles, cuts)
        between = [_spread(torch.where(piece == k, w.diff(), 0.0)) for k in range(len(cuts) + 1)]
        return [(self._combined(shares), float(shares.sum())) for shares in (_atom(w), *between)]

    def read_late(self, w: Tensor, part: float = 0.2) -> Measured:
        """The control: the same increments, PKL read `part` of the way too near the noise."""
        late = self.levels + part * (self.levels[-1] - self.levels[0])
        index = torch.searchsorted(self.levels, late).clamp(max=len(self.levels) - 1)
        return self._combined(torch.zeros_like(w).index_add(0, index, increments(w)))

    def _combined(self, shares: Tensor) -> Measured:
        coefficients = shares @ self.beyond
        mass = float(shares.sum())
        value = float(coefficients @ self.means) + mass * self.prior.value
        error = (coefficients * self.errors).square().sum().sqrt()
        return Measured(value, float((error**2 + (mass * self.prior.se) ** 2) ** 0.5))


def increments(w: Tensor) -> Tensor:
    """What nu puts on each level (J,), by the trapezoid rule, with the atom w(s_0) at the data end."""
    return _spread(w.diff()) + _atom(w)


def _atom(w: Tensor) -> Tensor:
    return torch.zeros_like(w).index_fill(0, torch.tensor(0), float(w[0]))


def _spread(steps: Tensor) -> Tensor:
    """Half of each step (J - 1,) to either of its levels, (J,)."""
    nothing = steps.new_zeros(1)
    return (torch.cat([steps, nothing]) + torch.cat([nothing, steps])) / 2


def over_rows(values: Tensor) -> Measured:
    """The mean of independent values (n,) and its standard error."""
    return Measured(float(values.mean()), float(values.std() / len(values) ** 0.5))
