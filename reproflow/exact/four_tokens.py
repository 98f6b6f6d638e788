r"""Four tokens with a known law: the masked process enumerated, for what is judged by sums over every state.

The tokens form a Markov chain over three letters, so each tells something about the others. A state z is a sequence in
0..V with V the mask; at time t it has the probability

.. math:: p_t(z) = \alpha_t^{\#shown} \sigma_t^{\#hidden} \sum_{x \text{ agreeing with } z} q(x).

`pairs` lists data and masks and knows no posterior; `states` lists what can be seen, with the exact posterior of every
token (`exact.discrete`). Everything is float64.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from reproflow.exact.discrete import TableDenoiser
from reproflow.foundation import seeds

LETTERS = 3
LENGTH = 4
HIDDEN = 16
FIRST = (0.5, 0.3, 0.2)
NEXT = ((0.7, 0.2, 0.1), (0.15, 0.6, 0.25), (0.3, 0.1, 0.6))


@functools.cache
def data() -> tuple[Tensor, Tensor]:
    """Every sequence (X, L) and its probability (X,)."""
    x = torch.cartesian_prod(*[torch.arange(LETTERS)] * LENGTH)
    step, q = torch.tensor(NEXT, dtype=torch.float64), torch.tensor(FIRST, dtype=torch.float64)[x[:, 0]]
    for place in range(1, LENGTH):
        q = q * step[x[:, place - 1], x[:, place]]
    return x, q


@functools.cache
def masks() -> Tensor:
    """Which tokens are hidden, (S, L) bool, every set of them."""
    return (torch.arange(2**LENGTH)[:, None] >> torch.arange(LENGTH) & 1).bool()


@functools.cache
def pairs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sequences x (P, L), states z (P, L), the index of x (P,) and q(x) (P,), for every x and set of hidden tokens."""
    x, q = data()
    hidden = masks()
    z = torch.where(hidden, LETTERS, x[:, None]).flatten(0, 1)
    index = torch.arange(len(x)).repeat_interleave(len(hidden))
    return x[index], z, index, q[index]


@functools.cache
def states() -> tuple[Tensor, Tensor, Tensor]:
    """States z (Z, L), the probability of what each shows (Z,), and the posterior of its tokens (Z, L, V)."""
    x, q = data()
    z = torch.cartesian_prod(*[torch.arange(LETTERS + 1)] * LENGTH)
    agrees = ((z[:, None] == x) | (z[:, None] == LETTERS)).all(-1)
    return z, agrees.double() @ q, TableDenoiser(q.view([LETTERS] * LENGTH)).logits(z).exp()


def seen(z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """alpha^shown sigma^hidden for z (N, L) and alpha, sigma (T,): (T, N)."""
    hidden = (z == LETTERS).sum(1)
    return alpha[:, None] ** (LENGTH - hidden) * sigma[:, None] ** hidden


def features(z: Tensor) -> Tensor:
    """One hidden layer with fixed random weights, tanh, and a constant: z (N, L) -> (N, 17)."""
    generator = seeds.generator("features of tokens")
    size = LENGTH * (LETTERS + 1)
    weight = torch.randn(size, HIDDEN, generator=generator, dtype=torch.float64)
    bias = torch.randn(HIDDEN, generator=generator, dtype=torch.float64)
    onehot = torch.nn.functional.one_hot(z, LETTERS + 1).double().flatten(1)
    layer = torch.tanh(onehot @ weight / LENGTH**0.5 + bias)
    return torch.cat([layer, torch.ones(len(z), 1, dtype=torch.float64)], 1)
