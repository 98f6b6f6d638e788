"""Generator matching: what a weight changes all the same, the optimiser's step (BIL-12)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim
from reproflow.exact import three_gaussians
from reproflow.foundation import seeds
from reproflow.numerics import gauss_rules
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import get_target
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SAME_STEP = "step not rescaled"
CLIPPED = "clipped gradients"
DECAY = "weight decay in the loss"
SAME_EPS = "eps not rescaled"
LARGE_EPS = "eps = 0.1"
K = 1 / 3
"""E_U[t²]: the weight t² on uniform times is the law Beta(3, 1) and this factor (Lemma 4.7)."""

STEP = 0.1
STEPS = 20
TIMES = 8
DRAWS = 32
SGD = "SGD"
ADAM = "Adam, eps = 1e-8 left alone"
RESCALED = "Adam, eps = 0.1 rescaled"
CONTROLS = {SGD: (SAME_STEP, CLIPPED), ADAM: (LARGE_EPS, DECAY), RESCALED: (SAME_EPS, DECAY)}

Optimiser = Callable[[Iterable[Tensor]], torch.optim.Optimizer]


@claim(
    "BIL-12",
    title="the constant K rescales SGD's step; Adam does not see it, up to its eps",
    source="000 Lemma 4.7",
    kind="exact",
    tolerance=lambda case: 1e-5 if case == ADAM else 1e-12,
    cases=tuple(CONTROLS),
    controls=lambda case: CONTROLS[case],
)
def step_size(case: str, variant: str, context: Context) -> Measurement:
    """grad E_D[w l] = K grad E_D~[l]: SGD's step h under w and D is K h under D~, and Adam's eps is eps/K.

    Statement: that a weight is justified says that conditional and marginal losses have equal gradients under it, and
        one minimiser with other weights if the network can be anything. It says nothing of restricted networks
        (LOSS-6), speed, clipping or the step: K multiplies every step of SGD and cancels in Adam's but for its eps.
    Assumptions: full-batch gradients, so that nothing is random; no clipping, no decay in the gradient.
    Proof idea: Lemma 4.7; Adam divides the mean gradient by the root of the mean square, both of which K rescales.
    Computed: 20 steps of torch.optim on a network of 31 parameters, linear path, 32 fixed draws at each of 8 quadrature
        times: once with the registered weight `t_squared` on uniform times, once on the law `beta` with a = 3, b = 1
        and K = 1/3 in the step (SGD), in eps or nowhere (Adam). The statistic is the largest distance of the parameters
        along the way, relative to how far they move. An eps of 0.1 is as large as the gradients are, so that it counts.
    Source: 000 Lemma 4.7 (the factor K), Theorem 4.8 (what is and what is not claimed).
    Refuted by: a distance above 1e-12, or 1e-5 for Adam with eps = 1e-8 on both sides. The step not rescaled, and
        gradients clipped to a norm of 1/2 (SGD); an eps of 0.1 on both sides, and weight decay added to the gradient
        (Adam).
    """
    weighted, reweighted = _losses()
    if case == SGD:
        clip = 0.5 if variant == CLIPPED else None
        rescaled = STEP if variant == SAME_STEP else K * STEP
        return Measurement(distance(train(weighted, _sgd(STEP), clip), train(reweighted, _sgd(rescaled), clip)))
    decay = 0.1 if variant == DECAY else 0.0
    eps = 0.1 if case == RESCALED or variant == LARGE_EPS else 1e-8
    other = eps / K if case == RESCALED and variant != SAME_EPS else eps
    return Measurement(distance(train(weighted, _adam(eps, decay)), train(reweighted, _adam(other, decay))))


def _sgd(step: float) -> Optimiser:
    return lambda parameters: torch.optim.SGD(parameters, lr=step)


def _adam(eps: float, decay: float) -> Optimiser:
    return lambda parameters: torch.optim.Adam(parameters, lr=0.02, eps=eps, weight_decay=decay)


def _losses() -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """The loss of parameters under the weight t² and uniform times, and without weight under Beta(3, 1) times."""
    t, weights = gauss_rules.legendre_on(0.0, 1.0, TIMES)
    c = forward_path("linear").at(t[:, None])
    generator = seeds.generator("BIL-12")
    z = three_gaussians.MIXTURE.sample(TIMES * DRAWS, generator).view(TIMES, DRAWS)
    eps = torch.randn(TIMES, DRAWS, generator=generator, dtype=torch.float64)
    x, u = c.alpha * z + c.sigma * eps, get_target("velocity").of(z[..., None], eps[..., None], c)[..., 0]

    def loss(theta: Tensor, in_time: Tensor) -> Tensor:
        return weights * in_time @ (three_gaussians.network(theta, x, c.t) - u).square().mean(1)

    factor = get_weighting("t_squared").at(forward_path("linear").at(t))
    density = get_time_law("beta:a=3,b=1").density(t)
    return functools.partial(loss, in_time=factor), functools.partial(loss, in_time=density)


def train(loss: Callable[[Tensor], Tensor], optimiser: Optimiser, clip: float | None = None) -> Tensor:
    """The parameters after each step, (STEPS + 1, 31)."""
    theta = three_gaussians.parameters(0).requires_grad_()
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
