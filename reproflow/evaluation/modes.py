r"""Modes: whether samples show the components of a mixture one by one, or a blur that joins them.

A sample belongs to the nearest component, each measured in its own standard deviations. Two things are asked. Do
samples stay near the centres? Of round Gaussians in D dimensions a share P(chi²_D <= r²) lies within r deviations of
its centre, in the plane 1 - exp(-r²/2). And has every component its weight?

The discs must not touch. Those of three deviations around the centres of `eight_gaussians` overlap (neighbours are 5.3
deviations apart) and cover the circle through the centres, so that 97 % of a ring's samples lie in one of them; of two
deviations, a ring has 63 % to 74 % there and the law 86 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.exact.mixture import Mixture

RADIUS = 2.0
NEAR = 0.93
"""Samples of resolved modes lie near centres at least this often, as a share of what the law's own samples do."""
SHARES = (0.72, 1.28)
"""The share of a resolved mode over its weight: of eight equal modes, 9 % to 16 %."""


@dataclass(frozen=True)
class Modes:
    """What samples show: `within`, the share of samples near a centre; `expected`, that of the law itself.

    `shares` (M,): the share of samples that belong to each component; `weights` (M,): its weight in the law.
    """

    within: float
    expected: float
    shares: Tensor
    weights: Tensor

    @property
    def resolved(self) -> bool:
        """Whether the samples stay near the centres about as often as the law's, and every mode has its share."""
        ratio = self.shares / self.weights
        shared = bool(((ratio >= SHARES[0]) & (ratio <= SHARES[1])).all())
        return self.within >= NEAR * self.expected and shared


def modes(samples: Tensor, mixture: Mixture, radius: float = RADIUS) -> Modes:
    """What samples (N, D) show of a mixture's components, within `radius` deviations of their centres.

    Samples that are not finite belong to no component. Raises `ValueError` where two discs overlap: samples between
    the modes would then count as near one.
    """
    _refuse_overlap(mixture, radius)
    finite = samples[samples.isfinite().all(-1)].double()
    distance, nearest = (torch.cdist(finite, mixture.means) / mixture.stds).min(-1)
    counts = torch.bincount(nearest, minlength=len(mixture.weights)).double()
    dimension = torch.tensor(mixture.means.shape[1] / 2, dtype=torch.float64)
    expected = torch.special.gammainc(dimension, torch.tensor(radius**2 / 2, dtype=torch.float64))
    near = float((distance <= radius).sum())
    return Modes(near / len(samples), float(expected), counts / len(samples), mixture.weights)


def _refuse_overlap(mixture: Mixture, radius: float) -> None:
    reach = radius * (mixture.stds[:, None] + mixture.stds)
    apart = torch.cdist(mixture.means, mixture.means)
    touching = (reach > apart).fill_diagonal_(False)
    if bool(touching.any()):
        widest = float((apart / (mixture.stds[:, None] + mixture.stds)).fill_diagonal_(torch.inf).min())
        raise ValueError(
            f"discs of {radius:g} standard deviations overlap, so that samples between modes would count as near one; "
            f"ask within {math.floor(100 * widest) / 100:g} or less."
        )
