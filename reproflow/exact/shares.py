r"""A secret dealt to L tokens so that any K tell it: masked diffusion of it, enumerated over a finite field.

The secret has law q; token n is the value at n of a random polynomial of degree < K over GF(prime) whose value at 0 is
the secret (Shamir 1979). K = 1 is L copies. The model is the exact masked diffusion of the same with r in place of q.
Everything depends on how many tokens are shown alone, which enumeration proves for a few tokens (tests), and `by_rule`
uses for many. In nats, float64.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

DATA = np.array([0.5, 0.3, 0.2])
MODEL = np.array([0.2, 0.3, 0.5])
"""q and r."""

SUBSETS = 512
STATES = 50_000


def kl(q: Array, p: Array) -> Array:
    """KL(q||p) in nats over the last axis, for laws of one mass; where q is zero there is nothing.

    As the sum of q (d - log(1 + d)), d = p/q - 1, whose terms are positive: laws that hardly differ do not cancel.
    """
    held = q > 0
    d = np.where(held, p - q, 0.0) / np.where(held, q, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(held, q * (d - np.log1p(d)), p).sum(-1))


@dataclass(frozen=True)
class Dealt:
    """A secret dealt to L tokens, by how many of them are shown, averaged over which ones.

    `law` (S,) is q over the states; by k = 0..L: `divergences` (L+1,) KL of what is seen, `gaps` (L+1,) the excess
    cross-entropy of the masked tokens together, `models` (L+1, S) the law p^(s).
    """

    law: Array
    divergences: Array
    gaps: Array
    models: Array


@functools.lru_cache(maxsize=64)
def dealt(k: int, length: int) -> Dealt:
    """The shares by enumeration of a finite field while there are few states, else by the rule that it proves."""
    prime = _prime(length + 1 if k > 1 else 0)
    small = 2**length <= SUBSETS and prime**k * 2**length <= STATES
    return enumerated(k, length, prime) if small else by_rule(k, length)


def by_rule(k: int, length: int) -> Dealt:
    """Fewer than K shares tell nothing; the K-th, whichever it is, is the secret under another name."""
    q, r = DATA, MODEL
    d = float(kl(q, r))
    shown = np.arange(length + 1)
    return Dealt(
        q, np.where(shown >= k, d, 0.0), np.where(shown == k - 1, (length - shown) * d, 0.0),
        np.where((shown >= k)[:, None], r, q),
    )  # fmt: skip


def enumerated(k: int, length: int, prime: int) -> Dealt:
    """All polynomials of degree < K over GF(prime), the secret at 0 and token n its value at n; all sets of tokens."""
    q, r = (np.pad(law, (0, prime - len(law))) for law in (DATA, MODEL))
    coefficients = np.array(list(itertools.product(range(prime), repeat=k)))
    coefficients = coefficients[q[coefficients[:, 0]] > 0]
    powers = np.array([[n**j for n in range(1, length + 1)] for j in range(k)])
    tokens = coefficients @ powers % prime
    law, model = (each[coefficients[:, 0]] / prime ** (k - 1) for each in (q, r))
    seen, gaps, models = np.zeros(length + 1), np.zeros(length + 1), np.zeros((length + 1, len(law)))
    for chosen in itertools.product((False, True), repeat=length):
        shown, share = sum(chosen), 1 / math.comb(length, sum(chosen))
        q_z, r_z = _grouped(tokens[:, list(chosen)], law, model)
        seen[shown] += share * float((law * np.log(q_z / r_z)).sum())
        models[shown] += share * law * r_z / q_z
        for n in np.flatnonzero(~np.array(chosen)):
            q_n, r_n = _grouped(tokens[:, [*np.flatnonzero(chosen), n]], law, model)
            gaps[shown] += share * float((law * np.log(q_n / q_z * r_z / r_n)).sum())
    return Dealt(law, seen, gaps, models)


def _grouped(tokens: Array, *laws: Array) -> list[Array]:
    """The probability, under each law over the states, of what is seen of each state's tokens (states, shown)."""
    _, group = np.unique(tokens, axis=0, return_inverse=True)
    return [np.bincount(group.ravel(), law)[group.ravel()] for law in laws]


def _prime(least: int) -> int:
    return next(n for n in itertools.count(max(least, 3)) if all(n % d for d in range(2, n)))
