r"""Finite chains with a model of their reversal, enumerated: the cascade of variational bounds, and what it bounds.

Data x ~ q and a Markov chain x -> z_0 -> ... -> z_T that adds noise; a model draws z_T from p(z_T) and walks back by
p(z_{j-1}|z_j). Level i stops at z_i and decodes with the best decoder there is, q(x|z_i) (001; i counts from the data,
as there; our time falls along the chain, t_0 > ... > t_T):

.. math:: p^{(i)}(x) = \sum_{z_i} p(z_i)\, q(x|z_i), \qquad
   L^{(i)}(x) = E_{q(z_{i..T}|x)} \log \frac{q(x|z_i)\, p(z_{i..T})}{q(z_{i..T}|x)} \le \log p^{(i)}(x)

Every number here has a route of its own, so that identities between them can fail: bounds and path KLs use the forward
kernels as they stand and no posterior, denoising terms use q(z_{j-1}|z_j, x), improvements use q(z_{j-1}|z_j). Expected
values are sums over pairs of neighbours. All tables are logarithms in float64, -inf where impossible; nats.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Tables = tuple[Tensor, ...]


@dataclass(frozen=True)
class Chain:
    """A chain of T steps and its model, as log probabilities.

    data (X,); first (X, S_0) of q(z_0|x); steps[j-1] (S_{j-1}, S_j) of q(z_j|z_{j-1}); reverse[j-1] (S_j, S_{j-1}) of
    p(z_{j-1}|z_j); prior (S_T,). Raises `ValueError` for shapes that do not fit and for a table that does not sum to 1.
    """

    data: Tensor
    first: Tensor
    steps: Tables
    reverse: Tables
    prior: Tensor

    def __post_init__(self) -> None:
        sizes = [self.first.shape[1], *(step.shape[1] for step in self.steps)]
        for step, back, (near, far) in zip(self.steps, self.reverse, itertools.pairwise(sizes), strict=True):
            if step.shape != (near, far) or back.shape != (far, near):
                raise ValueError(f"a step is {tuple(step.shape)} and its reverse {tuple(back.shape)}, not {near, far}")
        if self.first.shape[:1] != self.data.shape or self.prior.shape != (sizes[-1],):
            raise ValueError("first and prior must fit the data and the last step")
        for table in (self.data, self.first, *self.steps, *self.reverse, self.prior):
            if float(table.logsumexp(-1).abs().max()) > 1e-9:
                raise ValueError("every row of a chain's tables must sum to 1")

    @property
    def length(self) -> int:
        """T, the number of steps; levels are 0..T."""
        return len(self.steps)

    @functools.cached_property
    def entropy(self) -> float:
        """H(q) in nats."""
        return -float(expected(self.data, self.data))

    @functools.cached_property
    def given(self) -> Tables:
        """log q(z_i|x) of every level, (X, S_i)."""
        levels = [self.first]
        for step in self.steps:
            levels.append((levels[-1][:, :, None] + step).logsumexp(1))
        return tuple(levels)

    @functools.cached_property
    def marginals(self) -> Tables:
        """log q(z_i) of every level, (S_i,)."""
        return tuple((self.data[:, None] + level).logsumexp(0) for level in self.given)

    @functools.cached_property
    def model_marginals(self) -> Tables:
        """log p(z_i) of every level, (S_i,)."""
        levels = [self.prior]
        for back in reversed(self.reverse):
            levels.append((levels[-1][:, None] + back).logsumexp(0))
        return tuple(reversed(levels))

    @functools.cached_property
    def decoders(self) -> Tables:
        """The optimal decoders log q(x|z_i), (X, S_i); uniform where z_i never occurs."""
        return tuple(posterior(self.data, level) for level in self.given)

    @functools.cached_property
    def likelihoods(self) -> Tensor:
        """log p^(i)(x), (T+1, X)."""
        return torch.stack([self.likelihood(i) for i in range(self.length + 1)])

    def likelihood(self, i: int, decoder: Tensor | None = None) -> Tensor:
        """log of the sum over z_i of p(z_i) d(x|z_i), (X,); the decoder is log d (X, S_i), the optimal one if None."""
        return (self.model_marginals[i] + (self.decoders[i] if decoder is None else decoder)).logsumexp(1)

    @functools.cached_property
    def bounds(self) -> Tensor:
        """L^(i)(x), (T+1, X), as E_q log of the ratio of the model's path law to q's, forwards in q."""
        return torch.stack([self.bound(i) for i in range(self.length + 1)])

    def bound(self, i: int, decoder: Tensor | None = None) -> Tensor:
        """L^(i)(x), (X,), with a decoder as in `likelihood`."""
        decoder = self.decoders[i] if decoder is None else decoder
        return expected(self.given[i], decoder - _finite(self.given[i])) - self._walks[i]

    @functools.cached_property
    def _walks(self) -> Tensor:
        """E[sum over j > i of log q(z_j|z_{j-1}) - log p(z_{j-1}|z_j), less log p(z_T) | x], (T+1, X)."""
        totals = [-expected(self.given[-1], self.prior)]
        for near, step, back in zip(self.given[-2::-1], self.steps[::-1], self.reverse[::-1], strict=True):
            totals.append(totals[-1] + expected(near[:, :, None] + step, _finite(step) - back.T))
        return torch.stack(totals[::-1])

    @functools.cached_property
    def terms(self) -> Tensor:
        """l_j(x) = E[KL(q(z_{j-1}|z_j, x) || p(z_{j-1}|z_j))], row j - 1 of (T, X)."""
        return torch.stack([self._term(j, back.T) for j, back in enumerate(self.reverse)])

    @functools.cached_property
    def floors(self) -> Tensor:
        """E l_j of the best model, E KL(q(z_{j-1}|z_j, x) || q(z_{j-1}|z_j)) = I(x; z_{j-1}|z_j), (T,)."""
        return torch.stack([self.data.exp() @ self._term(j, back.T) for j, back in enumerate(self.exact_reverse)])

    def _term(self, j: int, back: Tensor) -> Tensor:
        pair = self.given[j][:, :, None] + self.steps[j]
        return expected(pair, _finite(pair) - _finite(self.given[j + 1])[:, None, :] - back)

    @functools.cached_property
    def prior_terms(self) -> Tensor:
        """KL(q(z_T|x) || p(z_T)), (X,)."""
        return expected(self.given[-1], _finite(self.given[-1]) - self.prior)

    @functools.cached_property
    def reconstructions(self) -> Tensor:
        """E[log q(x|z_i) | x], (T+1, X)."""
        return torch.stack([expected(z, decoder) for z, decoder in zip(self.given, self.decoders, strict=True)])

    @functools.cached_property
    def improvements(self) -> Tensor:
        """E KL(q(z_i|z_{i+1}) || p(z_i|z_{i+1})), what level i + 1 gains on level i, (T,)."""
        values = []
        for (near, far), step, back in zip(itertools.pairwise(self.marginals), self.steps, self.reverse, strict=True):
            pair = near[:, None] + step
            values.append(expected(pair, _finite(pair) - _finite(far) - back.T).sum())
        return torch.stack(values)

    @functools.cached_property
    def path_kls(self) -> Tensor:
        """KL(q(z_i..z_T) || p(z_i..z_T)), (T+1,), from log q(z_i) and the forward kernels of the mixed chain."""
        walk = -expected(self.marginals[-1], self.prior)
        values = [walk]
        for near, step, back in zip(self.marginals[-2::-1], self.steps[::-1], self.reverse[::-1], strict=True):
            walk = walk + expected(near[:, None] + step, _finite(step) - back.T).sum()
            values.append(walk)
        return torch.stack([v + expected(m, _finite(m)) for v, m in zip(values[::-1], self.marginals, strict=True)])

    @functools.cached_property
    def conditional_path_kls(self) -> Tensor:
        """E_x KL(q(z_i..z_T|x) || p(z_i..z_T)), (T+1,)."""
        starts = torch.stack([expected(z, _finite(z)) for z in self.given])
        return (starts + self._walks) @ self.data.exp()

    @functools.cached_property
    def marginal_kls(self) -> Tensor:
        """KL(q(z_i) || p(z_i)), (T+1,)."""
        pairs = zip(self.marginals, self.model_marginals, strict=True)
        return torch.stack([expected(q, _finite(q) - p) for q, p in pairs])

    @functools.cached_property
    def data_kls(self) -> Tensor:
        """KL(q || p^(i)), (T+1,)."""
        return (self.data - self.likelihoods) @ self.data.exp()

    @functools.cached_property
    def exact_reverse(self) -> Tables:
        """log q(z_{j-1}|z_j), (S_j, S_{j-1}), uniform where z_j never occurs: the reverse steps of the best model."""
        return tuple(posterior(near, step).T for near, step in zip(self.marginals[:-1], self.steps, strict=True))

    def with_model(self, reverse: Tables | None = None, prior: Tensor | None = None) -> Chain:
        """The same chain with another model."""
        return replace(self, reverse=reverse or self.reverse, prior=self.prior if prior is None else prior)


def posterior(data: Tensor, given: Tensor) -> Tensor:
    """log P(x|z), (X, S), of log laws (X,) and log q(z|x) (X, S); uniform where z never occurs."""
    joint = data[:, None] + given
    return torch.where(joint.isinf().all(0), 0.0, joint).log_softmax(0)


def expected(log_weight: Tensor, value: Tensor) -> Tensor:
    """The sum of exp(log_weight) value over the last dimension, or the last two of a 3-D table; 0 times inf is 0."""
    weight = log_weight.exp()
    product = torch.where(weight > 0, weight * value, 0.0)
    return product.sum((-2, -1)) if product.dim() == 3 else product.sum(-1)


def _finite(log: Tensor) -> Tensor:
    """0 for -inf: a logarithm that only occurs under an expectation that does not see it."""
    return torch.where(log.isinf(), 0.0, log)
