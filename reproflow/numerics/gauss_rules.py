r"""Gauss rules: nodes and weights of Legendre, Hermite and Kronrod.

.. math:: \int_a^b f \approx \sum_i w_i f(x_i), \qquad E f(z) \approx \sum_i w_i f(z_i),\quad z \sim N(0, 1)

A rule is computed once and shared by everything that uses it. Arrays are read-only; tensors cannot be protected, so
every call makes new ones.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

Rule = tuple[np.ndarray, np.ndarray]
"""Nodes and weights, each (n,)."""


@functools.cache
def legendre(n: int) -> Rule:
    """Gauss-Legendre nodes and weights on [-1, 1], each (n,), exact to degree 2n - 1."""
    return _read_only(*np.polynomial.legendre.leggauss(n))


@functools.cache
def hermite(n: int) -> Rule:
    """Gauss-Hermite nodes and weights for the expectation over N(0, 1), each (n,); the weights add up to 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return _read_only(nodes, weights / weights.sum())


def legendre_on(low: float, high: float, n: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on [low, high], each (n,), float64."""
    nodes, weights = tensors(legendre(n))
    half = 0.5 * (high - low)
    return low + half * (nodes + 1), half * weights


def tensors(rule: Rule) -> tuple[Tensor, Tensor]:
    """Copies of nodes and weights as tensors, float64."""
    nodes, weights = (torch.tensor(column) for column in rule)
    return nodes, weights


def _read_only(*columns: np.ndarray) -> Rule:
    for column in columns:
        column.setflags(write=False)
    nodes, weights = columns
    return nodes, weights


# Gauss-Kronrod 7-15 (Piessens et al. 1983, QUADPACK): nodes in [0, 1], Kronrod weights, Gauss weights of every second.
_NODES = (
    0.991455371120812639206854697526329,
    0.949107912342758524526189684047851,
    0.864864423359769072789712788640926,
    0.741531185599394439863864773280788,
    0.586087235467691130294144691693490,
    0.405845151377397166906606412076961,
    0.207784955007898467600689403773245,
)
_KRONROD = (
    0.022935322010529224963732008058970,
    0.063092092629978553290700663189204,
    0.104790010322250183839876322541518,
    0.140653259715525918745189590510238,
    0.169004726639267902826583426598550,
    0.190350578064785409913256402421014,
    0.204432940075298892414161999234649,
)
_GAUSS = (0.129484966168869693270611432679082, 0.279705391489276667901467771423780, 0.381830050505118944950369775488975)

KRONROD_NODES = np.array([*(-x for x in _NODES), 0.0, *reversed(_NODES)])
"""The 15 nodes of the Gauss-Kronrod rule on [-1, 1]."""

KRONROD_WEIGHTS = np.array([*_KRONROD, 0.209482141084727828012999174891714, *reversed(_KRONROD)])
"""Its weights, exact to degree 22."""

_HALF = np.array([0.0, *(w for g in _GAUSS for w in (g, 0.0)), 0.417959183673469387755102040816327])
GAUSS_WEIGHTS = np.concatenate([_HALF, _HALF[:7][::-1]])
"""The weights of the Gauss rule of 7 at every second of the nodes, and 0 between, exact to degree 13."""

for _table in (KRONROD_NODES, KRONROD_WEIGHTS, GAUSS_WEIGHTS):
    _table.setflags(write=False)
