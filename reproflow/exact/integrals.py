r"""The cascade in continuous time: excess loss, path KL and Stieltjes integrals on one set of panels.

.. math:: PKL(t) = KL_T + \int_{t_T}^t \text{excess of the ELBO integrand}, \qquad
          \int w \ell - C_w + w_T KL_T = \int PKL \, d\nu

with t_T the noise end (Kingma & Gao 2023; 001, whose time is 1 - t). Gaussian: the three points of `gaussian_chain`;
masked: the words of `masked_chain`. The panels lie between the ends of their chains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from numpy import ndarray
from torch import Tensor

from reproflow.exact.chain import Chain
from reproflow.foundation.by_process import ByProcess
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.log_snr import elbo_coefficient, invert_lam, log_snr
from reproflow.theory.paths import Path, forward_path


@dataclass(frozen=True)
class Example:
    """The exact example of a process: the path that its integrals are taken on, and its chain on any path.

    `chain(path)` is a chain of `steps` levels, `levels(path, n)` the times of n steps; `over_least(c)` is the loss less
    its minimum, and the excess by a route of its own, at coefficients c. `dip` maps lam to the place in a dip that the
    examples of `witness` can see, in its widths.
    """

    path: str
    steps: int
    chain: Callable[[str], Chain]
    levels: Callable[[Path, int], Tensor]
    over_least: Callable[[Coefficients], tuple[Tensor, Tensor]]
    dip: Callable[[ndarray], ndarray]


EXAMPLES: ByProcess[Callable[[], Example]] = ByProcess("exact example", __name__)
"""By process: its exact example."""

PANELS = 1200
BENDS = 8
ROUNDS = 5
"""Panels to begin with; both at each of so many edges are cut in eight, so many times. Good to 1e-10, kinks or not."""


class Panels(NamedTuple):
    """Ends and middles of panels (2 P + 1,), from the noise end to the data end; two Gauss nodes and weights a half."""

    edges: Tensor
    t: Tensor
    weights: Tensor


def panels(process: str, w: Callable[[Tensor], Tensor] = torch.ones_like) -> Panels:
    """Panels of equal lam on the process's path, finer where a weight w(t) bends."""
    example = EXAMPLES[process]()
    path = forward_path(example.path, process)
    ends = example.levels(path, 1)
    # A masked weight may be infinite at t = 1.
    low, high = log_snr(path, ends.flip(0).clamp(max=1 - 1e-3)).tolist()
    t = _refined(w, invert_lam(path, torch.linspace(low, high, PANELS + 1, dtype=torch.float64)))
    edges = torch.cat([t, 0.5 * (t[1:] + t[:-1])]).sort().values
    half = 0.5 * edges.diff()[:, None]
    nodes = edges[:-1, None] + half * (1 + torch.tensor([-1.0, 1.0], dtype=torch.float64) / math.sqrt(3))
    return Panels(edges, nodes.flatten(), half.expand(-1, 2).flatten())


def _refined(w: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Times t, with seven more in both panels at each of the few where w is farthest from straight, relative to w."""
    for _ in range(ROUNDS):
        v, share = w(t), (t[1:-1] - t[:-2]) / (t[2:] - t[:-2])
        bend = (v[1:-1] - torch.lerp(v[:-2], v[2:], share)).abs() / v.abs().clamp(min=1e-300)[1:-1]
        worst = bend.topk(BENDS).indices
        near = torch.cat([worst, worst + 1]).unique()
        inner = t[near, None] + (t[near + 1] - t[near])[:, None] * torch.arange(1, 8) / 8
        t = torch.cat([t, inner.flatten()]).sort().values
    return t


def over_least(process: str, t: Tensor) -> tuple[Tensor, Tensor]:
    """The loss less its minimum, and the excess by a route of its own, at times t: eps errors; cross-entropies."""
    example = EXAMPLES[process]()
    return example.over_least(forward_path(example.path, process).at(t))


def path_kl(process: str, on: Panels) -> Tensor:
    """PKL at the edges: KL_T and, from there to the data, the integral of the ELBO's excess."""
    name = EXAMPLES[process]().path
    chain = EXAMPLES[process]().chain(name)
    rate = elbo_coefficient(forward_path(name, process).at(on.t)) * over_least(process, on.t)[1]
    gains = (on.weights * rate).view(-1, 2).sum(1)
    return torch.cat([chain.marginal_kls[-1:], chain.marginal_kls[-1] + gains.cumsum(0)])


def stieltjes(f: Tensor, w: Tensor) -> Tensor:
    """int f dw by Simpson's idea: both parabolas on each panel, of two ends and the middle; f, w (2 P + 1,)."""
    (a, m, b), (u, v, x) = ((y[:-2:2], y[1::2], y[2::2]) for y in (f, w))
    return ((x - u) * (a + 4 * m + b) / 6 + (b - a) * (u + x - 2 * v) / 3).sum()
