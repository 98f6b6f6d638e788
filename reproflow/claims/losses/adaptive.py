"""Losses: weights that the training itself sets, and when they leave the minimiser where it is (LOSS-8)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, told, worst
from reproflow.exact import flows
from reproflow.exact.minimiser import of_quadratic
from reproflow.foundation import seeds

SUM = "divided by its sum over the batch"
PAST = "one over the average of past losses"
LEARNED = "learned log-variance u(t)"

PER_SAMPLE = "one over the sample's own loss"
PLAIN = "w for w_eff"
PRESENT = "average updated before the step"

BATCHES = (2, 3)
ROUNDS = 60
KEPT = 0.9
FLOOR = 1e-3
"""Added to a sample's loss before it divides: the logarithm of a loss has no least value on a data set."""


@dataclass(frozen=True)
class Samples:
    """All samples (t, x, z) there are: their probabilities (N, Z), targets (N, Z, D), the node's time of K, (N,)."""

    p: Tensor
    target: Tensor
    time: Tensor
    times: Tensor

    def losses(self, prediction: Tensor) -> Tensor:
        """|prediction - target|² of a prediction (N, D) at every sample, (N, Z)."""
        return (prediction[:, None] - self.target).square().sum(-1)

    def by_time(self, losses: Tensor) -> Tensor:
        """E[loss | t] at the K times, (K,)."""
        sums = [torch.zeros_like(self.times).index_add(0, self.time, x.sum(1)) for x in (self.p * losses, self.p)]
        return sums[0] / sums[1]

    @property
    def mean(self) -> Tensor:
        """E[target | t, x], (N, D): what the minimiser has to be."""
        return torch.einsum("nz,nzd->nd", self.p, self.target) / self.p.sum(1, keepdim=True)


@functools.cache
def samples() -> Samples:
    """Flow matching on five points of the plane: four times, four places x each, five z."""
    problem = flows.problem("velocity", t=torch.tensor([0.1, 0.3, 0.5, 0.7], dtype=torch.float64), nodes=2)
    times, time = problem.t.unique(return_inverse=True)
    return Samples(problem.joint / problem.joint.sum(), problem.target, time, times)


def _controls(case: str) -> tuple[str, ...]:
    return {SUM: (PER_SAMPLE, PLAIN), PAST: (PER_SAMPLE, PRESENT), LEARNED: (PER_SAMPLE,)}[case]


@claim(
    "LOSS-8",
    title="weights that depend on t and on what was before leave the minimiser; one over a sample's own loss does not",
    source="practice of weighted training; 000 for weights in t",
    kind="exact",
    tolerance=1e-12,
    cases=(SUM, PAST, LEARNED),
    controls=_controls,
)
def adaptive_weights(case: str, variant: str, context: Context) -> Measurement:
    """E[sum w_i l_i / sum w_j] = B E[w_eff(t) l], w_eff(t) = E[w(t)/(w(t) + w(t_2) + .. + w(t_B))], a weight in t.

    Statement: a weight w(t) that is divided by its sum over the batch, one over an average of earlier losses at t, and
        exp(-u(t)) with a learned log-variance (loss exp(-u) l + u) each are weights of time for the step that they are
        in, and training ends at E[target | t, x]. One over the sample's own loss, held constant in the gradient, is
        none: its stationary points are those of E log l.
    Assumptions: samples of a batch independent; the network unrestricted; w > 0; averages updated after the step.
    Proof idea: samples are exchangeable, and given t_1 the sum of the others' weights is independent of l_1; the
        gradient of log l is that of l over l.
    Computed: five points in the plane, four times, four places x each: 80 samples (t, x, z). Sum over the batch: all
        batches of two and three of them, enumerated; the gradient at a random prediction against that of B E[w_eff l],
        w_eff from the times alone, and the minimiser of the enumerated loss, with w = (t/(1-t))², against the posterior
        mean. The others: 60 rounds of training, each half of the way to the minimiser of the loss with the weights of
        the round, from a random start; distance of the end from the posterior mean, relative to its largest, and for
        the log-variance the gradient in u. The largest counts.
    Source: written out here; weights by batch, by running averages and by learned variances are in use.
    Refuted by: a gap above 1e-12. One over the sample's own loss (plus 0.001, since E log l has no minimum on a data
        set), an average that the own loss has entered already, and w for w_eff must show one.
    """
    parts = _batches(variant) if case == SUM else _training(case, variant)
    return Measurement(worst(parts.values()), detail=told(parts))


def _batches(variant: str) -> dict[str, float]:
    """For each batch size, the gap of gradients and the distance of the minimiser."""
    every = samples()
    start = _start()
    raw = (every.times / (1 - every.times)).square()[every.time]
    weights = raw[:, None].expand_as(every.p)
    parts = {}
    for size in BATCHES:
        frozen = 1 / (every.losses(start) + FLOOR) if variant == PER_SAMPLE else weights
        loss = functools.partial(batch_loss, every, frozen, size)
        factor = raw / raw.mean() if variant == PLAIN else effective(every, size)[every.time]
        stated = functools.partial(_weighted, every, size * factor[:, None])
        first, second = (_gradient(side, start) for side in (loss, stated))
        parts[f"gradient, B = {size}"] = float((first - second).norm() / first.norm())
        parts[f"minimiser, B = {size}"] = _distance(of_quadratic(loss, start))
    return parts


def _weighted(every: Samples, weights: Tensor, prediction: Tensor) -> Tensor:
    """E[w l] of a prediction (N, D) with weights that (N, Z) broadcast to, a scalar."""
    return (every.p * weights * every.losses(prediction)).sum()


def batch_loss(every: Samples, weights: Tensor, size: int, prediction: Tensor) -> Tensor:
    """E[sum_i w_i l_i / sum_j w_j] over all batches of `size` independent samples, a scalar."""
    p, w, losses = (values.flatten() for values in (every.p, weights, every.losses(prediction)))

    def over(values: Tensor) -> list[Tensor]:
        """The values of each member of a batch, on an axis of its own."""
        return [values.view([-1 if axis == member else 1 for axis in range(size)]) for member in range(size)]

    chance, total = functools.reduce(torch.mul, over(p)), functools.reduce(torch.add, over(w))
    weighted = functools.reduce(torch.add, over(w * losses))
    return (chance * weighted / total).sum()


def effective(every: Samples, size: int) -> Tensor:
    """w_eff at the K times, from the probabilities of the times alone, (K,)."""
    w = (every.times / (1 - every.times)).square()
    chance = torch.zeros_like(w).index_add(0, every.time, every.p.sum(1))
    total = torch.zeros_like(w)
    for others in itertools.product(range(len(w)), repeat=size - 1):
        picked = list(others)
        total += chance[picked].prod() * w / (w + w[picked].sum())
    return total


def _training(case: str, variant: str) -> dict[str, float]:
    every, prediction = samples(), _start()
    average = torch.ones_like(every.times)
    for _ in range(ROUNDS):
        losses = every.losses(prediction)
        weights = _weights(case, variant, every, losses, average)
        best = of_quadratic(functools.partial(_weighted, every, weights), prediction)
        prediction = 0.5 * (prediction + best)
        average = KEPT * average + (1 - KEPT) * every.by_time(losses)
    parts = {"end of training": _distance(prediction)}
    if case == LEARNED:
        parts["gradient in u"] = _log_variance_slope(every, prediction)
    return parts


def _weights(case: str, variant: str, every: Samples, losses: Tensor, average: Tensor) -> Tensor:
    """What a round multiplies the losses with, (N, Z), from numbers that carry no gradient."""
    if variant == PER_SAMPLE:
        return 1 / (losses + FLOOR)
    if variant == PRESENT:
        return 1 / (KEPT * average[every.time][:, None] + (1 - KEPT) * losses)
    scale = average if case == PAST else every.by_time(losses)
    return (1 / scale)[every.time][:, None].expand_as(losses)


def _log_variance_slope(every: Samples, prediction: Tensor) -> float:
    """Largest derivative of E[exp(-u) l + u | t] in u at u = log E[l | t]."""
    u = every.by_time(every.losses(prediction)).log()

    def loss(u: Tensor) -> Tensor:
        at = u[every.time][:, None]
        return (every.p * ((-at).exp() * every.losses(prediction) + at)).sum()

    return float(_gradient(loss, u).abs().max())


def _gradient(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(at), at)[0]


def _start() -> Tensor:
    """A random prediction (N, D), about as far from the posterior mean as the targets are."""
    mean = samples().mean
    return mean + torch.randn(mean.shape, generator=seeds.generator("LOSS-8"), dtype=torch.float64)


def _distance(prediction: Tensor) -> float:
    mean = samples().mean
    return float((prediction - mean).abs().max() / mean.abs().max())
