r"""A small Edit Flow, enumerated: sequences over two letters, up to three long, that grow, shrink and change letters.

A pair of aligned sequences (z_0, z_1) has a letter or a blank at each of three positions. Every position of z_t has
moved from z_0 to z_1 with probability kappa_t, and the state is what is left without the blanks, X_t = strip(z_t). A
position that has yet to move is an insertion, a deletion or a substitution, at the hazard kappa'/(1 - kappa):

.. math:: F_t^{z_t}(x') = \frac{\dot\kappa}{1-\kappa} \sum_i
          1[z_t^i \ne z_1^i]\; 1[\mathrm{strip}(z_t \text{ with } z_1^i \text{ at } i) = x'], \qquad
          u_t(x'|x) = E[F_t^{z_t}(x') \,|\, \mathrm{strip}(z_t) = x]

(Havasi et al. 2025, Edit Flows; 000 shows that the loss may be weighted). The conditional target hangs on the alignment
z_t, not on the state alone: this is what leaves Generator Matching. Times run from noise (0) to data (1); kappa is the
alpha of a masked path. States are the 15 sequences of `STATES`; tensors are float64, S = 15, Z the alignments.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.exact import ctmc
from reproflow.exact.matching import Problem
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, forward_path

LETTERS = "ab"
LENGTH = 3
STATES = tuple("".join(each) for n in range(LENGTH + 1) for each in itertools.product(LETTERS, repeat=n))

PAIRS: tuple[tuple[float, str, str], ...] = (
    (0.15, "---", "aab"), (0.10, "b-b", "aab"), (0.12, "bbb", "-aa"), (0.12, "---", "ab-"), (0.08, "ba-", "-ab"),
    (0.18, "bba", "--b"), (0.10, "aba", "---"), (0.15, "-a-", "b-b"),
)  # fmt: skip
"""Weight, z_0, z_1; '-' is the blank. All three edits occur, and edits at two positions with the same result."""


@dataclass(frozen=True)
class Alignments:
    """Every (z_0, z_1, z_t): q (Z,) of its pair, `moved` and `left` (Z, 3), state (Z,), `after` each edit (Z, 3).

    `left` marks positions where z_t differs from z_1, `moved` those that differed in z_0 and do not any more; `after`
    is the state that z_t with the position's letter of z_1 strips to.
    """

    q: Tensor
    moved: Tensor
    left: Tensor
    state: Tensor
    after: Tensor

    def probability(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """P(z_0, z_1, z_t) = q alpha^moved sigma^left for alpha = kappa, sigma = 1 - kappa of any shape, (..., Z)."""
        return self.q * alpha[..., None] ** self.moved.sum(1) * sigma[..., None] ** self.left.sum(1)

    @property
    def emits(self) -> Tensor:
        """1 where strip(z_t) is the state, (Z, S)."""
        return torch.nn.functional.one_hot(self.state, len(STATES)).double()

    @property
    def edits(self) -> Tensor:
        """How many positions yet to move lead to each state, (Z, S): the conditional rates over the hazard."""
        counts = torch.nn.functional.one_hot(self.after, len(STATES)).double()
        return (self.left[..., None] * counts).sum(1)


@functools.cache
def alignments() -> Alignments:
    """All alignments of `PAIRS`, one for each set of the differing positions that has moved."""
    rows = [
        (q, moved, [a != b and not m for a, b, m in zip(z0, z1, moved, strict=True)], z0, z1)
        for q, z0, z1 in PAIRS
        for moved in itertools.product((False, True), repeat=LENGTH)
        if not any(m and a == b for a, b, m in zip(z0, z1, moved, strict=True))
    ]
    mixed = [(mix(z0, z1, moved), z1) for _, moved, _, z0, z1 in rows]
    after = [[strip(z[:i] + z1[i] + z[i + 1 :]) for i in range(LENGTH)] for z, z1 in mixed]
    return Alignments(
        torch.tensor([row[0] for row in rows], dtype=torch.float64),
        torch.tensor([row[1] for row in rows]),
        torch.tensor([row[2] for row in rows]),
        torch.tensor([strip(z) for z, _ in mixed]),
        torch.tensor(after),
    )


def mix(z0: str, z1: str, moved: tuple[bool, ...]) -> str:
    """z_1 where moved, else z_0."""
    return "".join(b if m else a for a, b, m in zip(z0, z1, moved, strict=True))


def strip(aligned: str) -> int:
    """The index in `STATES` of an aligned sequence without its blanks."""
    return STATES.index(aligned.replace("-", ""))


@functools.cache
def one_edit() -> Tensor:
    """Which states one insertion, deletion or substitution leads to, (S, S) bool, from the row to the column."""
    return torch.tensor([[_neighbours(x, y) for y in STATES] for x in STATES])


def _neighbours(x: str, y: str) -> bool:
    if len(x) == len(y):
        return sum(a != b for a, b in zip(x, y, strict=True)) == 1
    short, long = sorted((x, y), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def hazard(c: Coefficients) -> Tensor:
    """kappa'/(1 - kappa), the rate at which a position moves, of t's shape."""
    return c.dalpha / c.sigma


def law(alpha: Tensor, sigma: Tensor) -> Tensor:
    """p_t of the states for alpha = kappa and sigma = 1 - kappa of any shape (...), (..., S)."""
    each = alignments()
    return each.probability(alpha, sigma) @ each.emits


def marginal_rates(c: Coefficients) -> Tensor:
    """u_t(x'|x) for c at t (T,): (T, S, S) from x to x', zero on the diagonal and where p_t(x) = 0."""
    each = alignments()
    joint = torch.einsum("tz,zs->tsz", each.probability(c.alpha, c.sigma), each.emits)
    mass = joint.sum(-1, keepdim=True)
    return torch.where(mass > 0, hazard(c)[:, None, None] * (joint @ each.edits) / mass, 0.0)


def drift(p: Tensor, rates: Tensor) -> Tensor:
    """Inflow less outflow, the forward equation's right side: p (..., S), rates (..., S, S) -> (..., S)."""
    return torch.einsum("...x,...xy->...y", p, rates) - p * rates.sum(-1)


def transport(path: Path, start: float, end: float, pieces: int = 32) -> Tensor:
    """p_end (S,) from p_start by the forward equation with the marginal rates, by collocation in pieces of time."""
    edges = torch.linspace(start, end, pieces + 1, dtype=torch.float64)
    rates = marginal_rates(path.at(ctmc.stage_times(edges)))
    return ctmc.transport(law(*path(edges[:1]))[0], rates, edges)


def two_time_law(alpha: Tensor, later: tuple[Tensor, Tensor]) -> Tensor:
    """P(X_t = x, X_s = x') (S, S) for s >= t from alpha at t and (alpha, sigma) at s, all scalars, by enumeration.

    The positions move independently of each other, each once, at a time of CDF kappa. The derivative in s at s = t is
    p_t(x) u_t(x'|x) for x' other than x: no posterior, no hazard and no single edit enter.
    """
    q, counts, cells = _moves()
    before, between, after = counts
    p = q * alpha**before * (later[0] - alpha) ** between * later[1] ** after
    return torch.zeros(len(STATES) ** 2, dtype=torch.float64).index_add(0, cells, p).view(len(STATES), len(STATES))


@functools.cache
def _moves() -> tuple[Tensor, Tensor, Tensor]:
    """By pair and order of moves: q (M,), how many are before t, between, after (3, M), the cell of (x, x') (M,)."""
    rows = []
    for q, z0, z1 in PAIRS:
        differ = [i for i in range(LENGTH) if z0[i] != z1[i]]
        for order in itertools.product(range(3), repeat=len(differ)):
            when = dict(zip(differ, order, strict=True))
            z, later = (mix(z0, z1, tuple(when.get(i, 2) <= k for i in range(LENGTH))) for k in (0, 1))
            rows.append((q, [order.count(k) for k in range(3)], strip(z) * len(STATES) + strip(later)))
    weights, counts, cells = zip(*rows, strict=True)
    return torch.tensor(weights, dtype=torch.float64), torch.tensor(counts).T, torch.tensor(cells)


def problem(
    path: str = "linear", t: Tensor | None = None, weights: Tensor | None = None, background: float = 0.1
) -> Problem:
    """The Edit Flow as a matching problem: z an alignment, x the state in one-hot form, target the rates to all states.

    Rates are zero where no single edit leads, and at x itself. `background`, added to all of them, makes targets
    positive, for divergences that are infinite at zero: phi(. + background) is as convex as phi. t (T,) are times with
    quadrature weights (T,); four times with weights 1/4 otherwise. Nodes of probability zero are left out.
    """
    t = torch.tensor([0.1, 0.35, 0.6, 0.85], dtype=torch.float64) if t is None else t
    weights = torch.full_like(t, 1 / len(t)) if weights is None else weights
    c, each = forward_path(path, "masked").at(t), alignments()
    joint = torch.einsum("t,tz,zs->tsz", weights, each.probability(c.alpha, c.sigma), each.emits)
    time, state = joint.sum(-1).nonzero(as_tuple=True)
    target = background + hazard(c)[time, None, None] * each.edits
    onehot = torch.eye(len(STATES), dtype=torch.float64)[state]
    return Problem("edit", "positive", t[time], onehot, joint[time, state], target)
