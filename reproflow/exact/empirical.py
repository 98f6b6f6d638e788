r"""A finite data set as the data distribution: exact posteriors by attention, and the losses they cannot go below.

For N points z_n the posterior over the data at x_t = x is a softmax,

.. math:: P(z_n|x) \propto \exp\frac{\alpha\, x \cdot z_n - \alpha^2 |z_n|^2/2}{\sigma^2},

which is attention with query (alpha x, -alpha²/2)/sigma², key (z, |z|²) and value z: one extra dimension, no (B, N, D)
array. |x - alpha z|² does not change when the data move by m and x by alpha m, so both are centred first. For a masked
process the posterior is uniform over the points that agree with every unmasked token (001; BIL-10). float64 near the
data: at sigma << 1 float32 cannot tell close points apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from reproflow.theory.coefficients import Coefficients

PosteriorMean = Callable[[Tensor, Coefficients], Tensor]

CHUNK = 1024
"""Queries at a time: bounds the memory where attention falls back to the (chunk, N) product."""


def posterior_mean(
    x: Tensor, data: Tensor, c: Coefficients, y: Tensor | None = None, labels: Tensor | None = None
) -> Tensor:
    """E[x1 | x_t = x] (, class y) over the points of `data`, (B, D).

    x (B, D), data (N, D) of the same dtype, c at t of shape (B,) or scalar; y (B,) restricts each row to the points
    with that label in `labels` (N,). Raises `ValueError` for a label that no point has.
    """
    c = _rows(c, x)
    if y is None or labels is None:
        return _attend(x, data, c)
    result = torch.empty_like(x)
    for label in y.unique():
        rows, points = y == label, data[labels == label]
        if len(points) == 0:
            raise ValueError(f"no data point has the label {int(label)}")
        result[rows] = _attend(x[rows], points, _select(c, rows))
    return result


def masked_posterior(
    tokens: Tensor, data: Tensor, vocabulary: int = 17, y: Tensor | None = None, labels: Tensor | None = None
) -> Tensor:
    """P(x1_d = v | unmasked tokens (, class y)) over the points of `data`, (B, D, V) float64.

    tokens (B, D) in 0..V with V the mask, data (N, D) in 0..V-1; y and labels as in `posterior_mean`. Raises
    `ValueError` when no data point agrees with a row's unmasked tokens.
    """
    onehot = F.one_hot(data, vocabulary).flatten(1).double()
    parts = [
        _agreeing(chunk, onehot, vocabulary, None if y is None or labels is None else y_chunk[:, None] == labels)
        for chunk, y_chunk in zip(tokens.split(CHUNK), (tokens[:, 0] if y is None else y).split(CHUNK), strict=True)
    ]
    return torch.cat(parts).reshape(*tokens.shape, vocabulary)


def gaussian_floor(
    posterior_mean: PosteriorMean, x1: Tensor, eps: Tensor, c: Coefficients, coefficient: Tensor
) -> Tensor:
    """The irreducible loss E[c_eps(t) |eps - E[eps|x_t]|²], a scalar, by Monte Carlo over the rows given.

    `posterior_mean(x, c)` is the exact E[x1|x_t = x]; x1, eps (B, D); c and `coefficient` (the loss's coefficient on
    the eps error) at t (B,). The error of eps is (alpha/sigma)(x1 - E[x1|x]) (LOSS-5), whatever the cell predicts.
    """
    alpha, sigma = c.alpha[:, None], c.sigma[:, None]
    error = (alpha / sigma) * (x1 - posterior_mean(alpha * x1 + sigma * eps, c))
    return (coefficient * error.square().sum(1)).mean()


def masked_floor(posterior: Callable[[Tensor], Tensor], x1: Tensor, tokens: Tensor, coefficient: Tensor) -> Tensor:
    """The irreducible loss E[c_CE(t) sum over masked d of -log P(x1_d|unmasked)], a scalar in nats, by Monte Carlo.

    `posterior(tokens)` is exact, (B, D, V); x1 (B, D) the clean tokens, `tokens` (B, D) the same with some masked
    (value V); `coefficient` (B,) the loss's coefficient on the cross-entropy of the masked tokens.
    """
    probabilities = posterior(tokens)
    chosen = probabilities.gather(-1, x1[..., None]).squeeze(-1)
    masked = tokens == probabilities.shape[-1]
    return (coefficient * (-chosen.log() * masked).sum(1)).mean()


def _attend(x: Tensor, data: Tensor, c: Coefficients) -> Tensor:
    centre = data.mean(0)
    points = data - centre
    # Values carry the extra dimension too: the memory-saving kernels want keys and values of one width.
    keys = torch.cat([points, points.square().sum(1, keepdim=True)], 1)[None, None]
    queries = _queries(x - c.alpha[:, None] * centre, c)[None, None]
    parts = [F.scaled_dot_product_attention(q, keys, keys, scale=1.0) for q in queries.split(CHUNK, dim=2)]
    return torch.cat(parts, 2)[0, 0, :, :-1] + centre


def _queries(x: Tensor, c: Coefficients) -> Tensor:
    alpha, sigma = c.alpha[:, None], c.sigma[:, None]
    return torch.cat([alpha * x, -0.5 * alpha**2], 1) / sigma**2


def _agreeing(tokens: Tensor, onehot: Tensor, vocabulary: int, allowed: Tensor | None) -> Tensor:
    """Posterior of one chunk, (B, D V); `allowed` (B, N) restricts the points."""
    shown = F.one_hot(tokens, vocabulary + 1)[..., :vocabulary].flatten(1).double()
    agrees = shown @ onehot.T == (tokens != vocabulary).sum(1, keepdim=True)
    if allowed is not None:
        agrees &= allowed
    count = agrees.sum(1, keepdim=True)
    if bool((count == 0).any()):
        raise ValueError(f"no data point agrees with the unmasked tokens of row {int((count == 0).nonzero()[0, 0])}")
    return agrees.double() @ onehot / count


def _rows(c: Coefficients, x: Tensor) -> Coefficients:
    return _each(c, lambda value: value.to(x.dtype).expand(len(x)))


def _select(c: Coefficients, rows: Tensor) -> Coefficients:
    return _each(c, lambda value: value[rows])


def _each(c: Coefficients, f: Callable[[Tensor], Tensor]) -> Coefficients:
    return Coefficients(f(c.t), f(c.alpha), f(c.sigma), f(c.dalpha), f(c.dsigma), c.process)
