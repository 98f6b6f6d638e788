r"""The form of a loss on logits, read off its gradient at three random sets of logits.

With p the softmax over the logits that ever get a gradient, s the logits themselves and y the data's token:

=================  ===================================================  ==============================================
cross-entropy      g = c (p - q)                                        q one-hot at y, or what the labels really are
score entropy      g = c (e^s - r e_y)                                  SEDD: s = log score; c r on the cross-entropy
generalised KL     g = c_1 (p - e_y) + c_2 p_x (e_x - p)                x the token that the network gets
=================  ===================================================  ==============================================

Two sets determine the constants, the third is the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FITS = 1e-3
"""The largest relative residual of the test at which a form is accepted; rounding leaves 1e-6, another form 1e-1."""


@dataclass(frozen=True)
class Fit:
    """`form`, `c` (N,) the coefficient on the cross-entropy, `labels` (N, V) what stands where one-hot labels do.

    `active` (V,) are the logits that are in the softmax; `residual` the largest relative one.
    """

    form: str
    c: Tensor
    labels: Tensor
    active: Tensor
    residual: float


def fit(logits: Sequence[Tensor], gradients: Sequence[Tensor], y: Tensor, x: Tensor) -> Fit:
    """The form at N positions: three logits and gradients (N, V), the data's tokens and the network's input (N,)."""
    s = [each.double() for each in logits]
    g = [each.double() for each in gradients]
    active = torch.stack([each != 0 for each in g]).any(0).any(0)
    onehot = torch.nn.functional.one_hot(y, s[0].shape[1]).double()
    tried = [_cross_entropy(s, g, active), _score_entropy(s, g, active, onehot), _kl(s, g, active, onehot, x)]
    for each in tried:
        if each.residual <= FITS:
            return each
    best = min(tried, key=lambda each: each.residual)
    return Fit("other", best.c, best.labels, active, best.residual)


def softmax(logits: Tensor, active: Tensor) -> Tensor:
    """The probabilities over the active logits, zero elsewhere."""
    return logits.masked_fill(~active, -torch.inf).softmax(-1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


def _residual(g: Tensor, expected: Tensor) -> float:
    if not len(g):
        return torch.inf  # nothing is masked, so nothing is known of the form
    size = g.norm(dim=-1).clamp(min=1e-300)
    return float(((g - expected).norm(dim=-1) / size).nan_to_num(nan=torch.inf).max())


def _cross_entropy(s: list[Tensor], g: list[Tensor], active: Tensor) -> Fit:
    p = [softmax(each, active) for each in s]
    change = p[1] - p[0]
    c = _dot(g[1] - g[0], change) / _dot(change, change)
    labels = p[0] - g[0] / c[:, None]
    return Fit("cross-entropy", c, labels, active, _residual(g[2], c[:, None] * (p[2] - labels)))


def _score_entropy(s: list[Tensor], g: list[Tensor], active: Tensor, onehot: Tensor) -> Fit:
    others = active & (onehot == 0)
    scores = [each.exp() * others for each in s]
    change = scores[1] - scores[0]
    slope = _dot((g[1] - g[0]) * others, change) / _dot(change, change)
    at_label = [_dot(each, onehot) for each in s]
    ratio = at_label[0].exp() - _dot(g[0], onehot) / slope
    expected = slope[:, None] * (scores[2] + onehot * (at_label[2].exp() - ratio)[:, None])
    return Fit("score entropy", slope * ratio, onehot, active, _residual(g[2], expected))


def _kl(s: list[Tensor], g: list[Tensor], active: Tensor, onehot: Tensor, x: Tensor) -> Fit:
    p = [softmax(each, active) for each in s]
    given = torch.nn.functional.one_hot(x, s[0].shape[1]).double()
    parts = [(each - onehot, _dot(each, given)[:, None] * (given - each)) for each in p]
    first, second = (torch.cat([parts[0][place], parts[1][place]], -1) for place in (0, 1))
    both = torch.cat([g[0], g[1]], -1)
    gram = _dot(first, first) * _dot(second, second) - _dot(first, second) ** 2
    c = (_dot(both, first) * _dot(second, second) - _dot(both, second) * _dot(first, second)) / gram
    staying = (_dot(both, second) * _dot(first, first) - _dot(both, first) * _dot(first, second)) / gram
    expected = c[:, None] * parts[2][0] + staying[:, None] * parts[2][1]
    return Fit("generalised kl", c, onehot, active, _residual(g[2], expected))
