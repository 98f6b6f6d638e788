r"""The cascade in continuous time: excess loss, path KL and Stieltjes integrals on one set of panels.

.. math:: PKL(t) = KL_T + \int_{t_T}^t \text{excess of the ELBO integrand}, \qquad
          \int w \ell - C_w + w_T KL_T = \int PKL \, d\nu

with t_T the noise end (Kingma & Gao 2023; 001, whose time is 1 - t). Gaussian: the three points of `gaussian_chain`;
masked: the words of `masked_chain`. The panels lie between the ends of their chains.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from reproflow.exact import gaussian_chain, masked_chain
from reproflow.theory.canonical import elbo_coefficient
from reproflow.theory.paths import get_path

DEFAULT_PATH = {"gaussian": "linear", "masked": "cosine"}

PANELS = 1200
"""Panels of two Gauss nodes over the range of t: a kink of a weight in one of them costs 1e-7."""


@functools.cache
def panels(process: str) -> tuple[Tensor, Tensor, Tensor]:
    """Edges (P+1,) from the noise end to the data end; two Gauss nodes a panel and their weights, each (2 P,)."""
    path, masked = get_path(DEFAULT_PATH[process], process), process == "masked"
    ends = masked_chain.levels(path, 1) if masked else gaussian_chain.levels(path, 1)
    # A masked weight may be infinite at t = 1.
    edges = torch.linspace(float(ends[1]), min(float(ends[0]), 1 - 1e-3), PANELS + 1, dtype=torch.float64)
    width = edges[1] - edges[0]
    nodes = 0.5 + torch.tensor([-1.0, 1.0], dtype=torch.float64) / math.sqrt(12)
    return edges, (edges[:-1, None] + width * nodes).flatten(), (width / 2).expand(2 * PANELS)


@functools.cache
def over_least(process: str) -> tuple[Tensor, Tensor]:
    """The loss less its minimum, and the excess by a route of its own, at the nodes: eps errors; cross-entropies."""
    path, t = get_path(DEFAULT_PATH[process], process), panels(process)[1]
    c = path.at(t)
    if process == "masked":
        over = masked_chain.cross_entropies() - masked_chain.cross_entropies(masked_chain.exact_logits)
        return masked_chain.by_time(over, c.sigma), masked_chain.by_time(masked_chain.excesses(), c.sigma)
    parts = [gaussian_chain.losses(path, part) for part in t.split(400)]
    raw, least, excess = (torch.cat(column) * (c.alpha / c.sigma) ** 2 for column in zip(*parts, strict=True))
    return raw - least, excess


@functools.cache
def path_kl(process: str) -> Tensor:
    """PKL at the edges, (P+1,): KL_T and, from there to the data, the integral of the ELBO's excess."""
    name = DEFAULT_PATH[process]
    chain = masked_chain.example(name) if process == "masked" else gaussian_chain.example(name)
    _, t, weights = panels(process)
    gains = (weights * elbo_coefficient(get_path(name, process).at(t)) * over_least(process)[1]).view(PANELS, 2).sum(1)
    return torch.cat([chain.marginal_kls[-1:], chain.marginal_kls[-1] + gains.cumsum(0)])


def stieltjes(f: Tensor, w: Tensor) -> Tensor:
    """int f dw by Simpson's idea: both parabolas on each pair of panels; f, w (P+1,)."""
    (a, m, b), (u, v, x) = ((y[:-2:2], y[1::2], y[2::2]) for y in (f, w))
    return ((x - u) * (a + 4 * m + b) / 6 + (b - a) * (u + x - 2 * v) / 3).sum()
