"""Generator matching: what a weight changes all the same, the optimiser's step (BIL-12)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from reproflow.claims import toy
from reproflow.claims.policy import Context, Measurement, claim, worst
from reproflow.foundation import seeds
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SAME_STEP, CLIPPED, LARGE_EPS, DECAY = "step not rescaled", "clipped gradients", "eps = 0.1", "weight decay in the loss"
K = 1 / 3
"""E_U[t²]: the weight t² on uniform times is the law Beta(3, 1) and this factor (Lemma 4.7)."""

STEP, STEPS, TIMES, DRAWS = 0.1, 20, 8, 32
SGD, ADAM = "SGD", "Adam"

Optimiser = Callable[[Iterable[Tensor]], torch.optim.Optimizer]


@claim(
    "BIL-12",
    title="the constant K rescales SGD's step; Adam does not see it, up to its eps",
    source="000 Lemma 4.7",
    kind="exact",
    tolerance=lambda case: 1e-12 if case == SGD else 1e-5,
    cases=(SGD, ADAM),
    controls=lambda case: (SAME_STEP, CLIPPED) if case == SGD else (LARGE_EPS, DECAY),
)
def step_size(case: str, variant: str, context: Context) -> Measurement:
    """grad E_D[w l] = K grad E_D~[l]: SGD with step h there is SGD with step K h here, Adam with eps there with eps/K.

    Statement: that a weight is justified says that conditional and marginal losses have equal gradients under it, and
        one minimiser with other weights if the network can be anything. It says nothing of restricted networks
        (LOSS-6), speed, clipping or the step: K multiplies every step of SGD and cancels in Adam's but for its eps.
    Assumptions: full-batch gradients, so that nothing is random; no clipping, no decay in the gradient.
    Proof idea: Lemma 4.7; Adam divides the mean gradient by the root of the mean square, both of which K rescales.
    Computed: 20 steps of torch.optim on a network of 31 parameters, linear path, 32 fixed draws at each of 8 quadrature
        times: once with the registered weight `t_squared` on uniform times, once on the law `beta` with a = 3, b = 1
        and K = 1/3 in the step (SGD), in eps or nowhere (Adam). The statistic is the largest distance of the parameters
        along the way, relative to how far they move.
    Source: 000 Lemma 4.7 (the factor K), Theorem 4.8 (what is and what is not claimed).
    Refuted by: a distance above 1e-12 (SGD), 1e-5 (Adam, eps = 1e-8 on both sides). The step not rescaled, and
        gradients clipped to a norm of 1/2; an eps as large as gradients are, and weight decay added to the gradient.
    """
    weighted, reweighted = _losses()
    if case == SGD:
        clip = 0.5 if variant == CLIPPED else None
        rescaled = STEP if variant == SAME_STEP else K * STEP
        return Measurement(distance(train(weighted, _sgd(STEP), clip), train(reweighted, _sgd(rescaled), clip)))
    eps, decay = (0.1 if variant == LARGE_EPS else 1e-8), (0.1 if variant == DECAY else 0.0)
    first = train(weighted, _adam(eps, decay))
    plain, scaled = (distance(first, train(reweighted, _adam(each, decay))) for each in (eps, eps / K))
    return Measurement(worst(plain, scaled), detail=f"the same eps {plain:.2g}, eps / K {scaled:.2g}")


def _sgd(step: float) -> Optimiser:
    return lambda parameters: torch.optim.SGD(parameters, lr=step)


def _adam(eps: float, decay: float) -> Optimiser:
    return lambda parameters: torch.optim.Adam(parameters, lr=0.02, eps=eps, weight_decay=decay)


def _losses() -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """The loss of parameters under the weight t² and uniform times, and without weight under Beta(3, 1) times."""
    t, weights = toy.legendre(TIMES, 0.0, 1.0)
    c = get_path("linear").at(t[:, None])
    generator = seeds.generator("BIL-12")
    z = toy.MIXTURE.sample(TIMES * DRAWS, generator).view(TIMES, DRAWS)
    eps = torch.randn(TIMES, DRAWS, generator=generator, dtype=torch.float64)
    x, u = c.alpha * z + c.sigma * eps, get_target("velocity").of(z[..., None], eps[..., None], c)[..., 0]

    def loss(theta: Tensor, in_time: Tensor) -> Tensor:
        return weights * in_time @ (toy.network(theta, x, c.t) - u).square().mean(1)

    factor = get_weighting("t_squared").at(get_path("linear").at(t))
    density = get_time_law("beta:a=3,b=1").density(t)
    return functools.partial(loss, in_time=factor), functools.partial(loss, in_time=density)


def train(loss: Callable[[Tensor], Tensor], optimiser: Optimiser, clip: float | None = None) -> Tensor:
    """The parameters after each step, (STEPS + 1, 31)."""
    theta = toy.parameters(0).requires_grad_()
    steps, seen = optimiser([theta]), [theta.detach().clone()]
    for _ in range(STEPS):
        steps.zero_grad()
        loss(theta).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_([theta], clip)
        steps.step()
        seen.append(theta.detach().clone())
    return torch.stack(seen)


def distance(first: Tensor, second: Tensor) -> float:
    """Largest distance of two ways (S, P), relative to the farthest that the first goes."""
    return float((first - second).norm(dim=1).max() / (first - first[0]).norm(dim=1).max())
