"""Losses: flow matching against conditional flow matching, exactly and on a trained network (LOSS-1, LOSS-2)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from reproflow.claims.gradient_gap import relative_gap
from reproflow.claims.policy import STATEMENT, Context, Digits, Measurement, claim, worst
from reproflow.exact import conditional_losses, three_gaussians
from reproflow.exact.empirical import posterior_mean
from reproflow.foundation import seeds
from reproflow.foundation.errors import UndecidedError
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.divergences import get_divergence
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import get_target

L1 = "L1 loss"
WEIGHT = "weight depends on z"
PRIOR = "prior average for posterior average"

SHRINK = 0.8
MC_RANGE = (1e-3, 0.95)
TOLERANCE = 1e-4
"""Of the squared norm: 1 % of the gradient."""


@claim(
    "LOSS-1",
    title="flow matching and conditional flow matching have equal gradients",
    source="002; 004 eq. 6",
    kind="exact",
    tolerance=1e-12,
    cases=three_gaussians.gaussian_paths,
    controls=(L1, WEIGHT, PRIOR),
)
def fm_equals_cfm(case: str, variant: str, context: Context) -> Measurement:
    """L_FM(theta) = L_CFM(theta) + C with C = -E tr Var(u_t(x|Z) | x) free of theta, so grad L_FM = grad L_CFM.

    Statement: with the squared loss, regressing on the velocity of the one data point that made x has the gradient of
        regressing on the marginal velocity, the posterior average of all of them.
    Assumptions: E|u_t(x|Z)|² finite (on VP paths it is not up to the ends, LOSS-7; times stay in [0.001, 0.999]).
    Proof idea: expand the square; the cross term is E[u_theta . u_t(x|Z)] = E[u_theta . E(u_t(x|Z)|x)].
    Computed: L_CFM by Gauss-Hermite over (component, z, eps), where no posterior occurs; L_FM by the trapezoid rule
        over x with the closed marginal velocity; both at the same Gauss-Legendre times; two random networks.
        The statistic is the largest of the relative gaps of gradient and of C.
    Source: 002 "L_FM = L_CFM + C"; 004 eq. 6 (where it counts anew, from L_fm on); Lipman et al. 2023, Theorem 2.
    Refuted by: a relative gap above 1e-12. The L1 loss, a weight that depends on the component of z, and the prior
        average in place of the posterior average must show one in the gradient.
    """
    return worst_of((fm_cfm_gap(case, variant, seed) for seed in range(2)), variant)


def worst_of(pairs: Iterable[tuple[float, float]], variant: str) -> Measurement:
    """The largest of the relative gaps of (gradient, constant); a control must break the gradient itself."""
    gradient, constant = (worst(values) for values in zip(*pairs, strict=True))
    detail = f"relative gap of gradients {gradient:.2g}, of the constant {constant:.2g}"
    return Measurement(worst(gradient, constant) if variant == STATEMENT else gradient, detail=detail)


def fm_cfm_gap(path_name: str, variant: str, seed: int) -> tuple[float, float]:
    """Relative gaps of grad L_FM and grad L_CFM, and of L_CFM - L_FM and E tr Var(u|x), on the toy problem."""
    loss = conditional_losses.absolute if variant == L1 else conditional_losses.squared
    weight = conditional_losses.of_component() if variant == WEIGHT else conditional_losses.ONE
    mean = conditional_losses.prior_mean("velocity") if variant == PRIOR else None
    problem = conditional_losses.Regression(get_target("velocity"), loss, weight, mean)
    return conditional_losses.gaps(problem, forward_path(path_name), seed)


ON_Z = "weight depends on z"
ON_EPS = "weight depends on eps"


@claim(
    "LOSS-2",
    title="a weight of time and state keeps the two gradients equal",
    source="000, abstract; 003, 'Weighted Loss'",
    kind="exact",
    tolerance=1e-12,
    cases=three_gaussians.gaussian_paths,
    controls=(ON_Z, ON_EPS),
)
def weighted_fm_equals_cfm(case: str, variant: str, context: Context) -> Measurement:
    """E[w |u_theta - u_t(x|z)|²] = E[w |u_theta - u_t(x)|²] + C_w for every w(t, x) >= 0, so the gradients are equal.

    Statement: LOSS-1 holds under any weight that is a function of t and x, and C_w = E[w tr Var(u_t(x|Z)|x)]; it fails
        under one that, given t and x, still depends on z or eps.
    Assumptions: w measurable in (t, x); E[w |u_t(x|Z)|²] finite.
    Proof idea: given (t, x) such a w is a constant, and comes out of the conditional expectation over Z.
    Computed: as in LOSS-1, with w = (1 + t)³ exp(-x²/4), taken from the registered divergence `weighted_squared`; on
        the marginal side of the controls stands E[w|x], so that only the dependence on z or eps is at fault.
    Source: 000 (losses that depend on t and X_t); 003 "Weighted Loss", for w(t).
    Refuted by: a relative gap above 1e-12. A weight that depends on the component of z and the weight eps² must show
        one in the gradient.
    """
    weight = {ON_Z: conditional_losses.of_component(), ON_EPS: conditional_losses.of_noise()}.get(
        variant, state_weight()
    )
    problem = conditional_losses.Regression(get_target("velocity"), weight=weight)
    return worst_of((conditional_losses.gaps(problem, forward_path(case), seed) for seed in range(2)), variant)


def state_weight() -> conditional_losses.Weight:
    """(1 + t)³ exp(-x²/4), read off the registered divergence: it is that divergence of 1 from 0 on a line."""
    divergence = get_divergence("weighted_squared")

    def w(t: Tensor, x: Tensor) -> Tensor:
        points = x.flatten()[:, None]
        at = t.expand_as(x).flatten()
        return divergence(torch.ones_like(points), torch.zeros_like(points), at, points).view_as(x)

    return conditional_losses.of_state(w)


@claim(
    "LOSS-1",
    title="the same on a trained network, against the exact posterior of the data set",
    source="002; 004 eq. 6",
    kind="identity",
    tier="mc",
    tolerance=TOLERANCE,
    cases=("x1", "velocity"),
    controls=(L1, WEIGHT, PRIOR),
)
def fm_equals_cfm_trained(case: str, variant: str, context: Context) -> Measurement:
    """Near a trained class-conditional network, |E[grad l_CFM - grad l_FM]| is 0 to 1 % of |E grad l_CFM|.

    Statement: as in the exact tier; the marginal target is E[x1 | x_t, class] over the finite data set, by attention.
    Assumptions: the data distribution is the data set itself; t uniform on [0.001, 0.95].
    Computed: at the network with all its parameters times 0.8, for at the trained parameters the gradient, the unit of
        the tolerance, all but vanishes, and the statement is about every network. Both gradients at the same (t, x),
        their difference averaged in blocks; the unbiased relative squared gap U(d)/U(g) and its 95 % jackknife
        interval, which must lie inside +-1e-4, the square of 1 %, as a whole (an equivalence test: too few samples can
        never support).
        Cases: the squared error of the x1 prediction, and of the velocity that it implies.
    Source: 002 "L_FM = L_CFM + C"; 004 eq. 6.
    Refuted by: an interval outside +-1e-4. The L1 loss, a weight in z, and the class mean in place of the posterior
        mean must have one.
    """
    if context.digits is None:
        raise UndecidedError("needs a trained digits network: pass --network")
    digits = replace(context.digits, denoiser=_shrunk(context.digits.denoiser))
    size = context.samples // context.blocks
    pairs = [_block(digits, case, variant, size, context.seed, index) for index in range(context.blocks)]
    differences, gradients = (torch.stack(column) for column in zip(*pairs, strict=True))
    return relative_gap(differences, gradients, size * context.blocks)


def _shrunk(denoiser: Any) -> Any:
    """A copy of the denoiser with every parameter times `SHRINK`."""
    moved = copy.deepcopy(denoiser)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.mul_(SHRINK)
    return moved


def _block(digits: Digits, case: str, variant: str, size: int, seed: int, index: int) -> tuple[Tensor, Tensor]:
    """Mean over one block of grad l_CFM - grad l_FM, and of grad l_CFM, each (P,)."""
    chosen, t, x = _draw(digits, size, seed, index)
    data, labels, y = digits.data.double(), digits.labels, digits.labels[chosen]
    c = digits.denoiser.path.at(t)
    marginal = _class_means(data, labels)[y] if variant == PRIOR else posterior_mean(x, data, c, y, labels)
    weight = _data_weight(data)[chosen] if variant == WEIGHT else torch.ones_like(t)
    scale, prediction = _scale(case, c), _predict(digits.denoiser, x, t, y)
    loss = conditional_losses.absolute if variant == L1 else conditional_losses.squared
    conditional, averaged = (
        (weight * loss(scale * prediction, scale * target).sum(1)).mean() for target in (data[chosen], marginal)
    )
    parameters = list(digits.denoiser.parameters())
    difference = torch.autograd.grad(conditional - averaged, parameters, retain_graph=True)
    return _flat(difference), _flat(torch.autograd.grad(conditional, parameters))


def _draw(digits: Digits, size: int, seed: int, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of data points (B,), times (B,) and x_t (B, D) in float64; the same for every variant."""
    generator = seeds.generator("LOSS-1", seed, index)
    chosen = torch.randint(len(digits.data), (size,), generator=generator)
    low, high = MC_RANGE
    t = low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)
    eps = torch.randn(size, digits.data.shape[1], generator=generator, dtype=torch.float64)
    alpha, sigma = digits.denoiser.path(t)
    return chosen, t, alpha[:, None] * digits.data[chosen].double() + sigma[:, None] * eps


def _predict(denoiser: Any, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """x1-hat in the network's own type and on its device, brought back to float64 on the CPU."""
    own = next(iter(denoiser.parameters()))
    return denoiser.x1(x.to(own), t.to(own), y.to(own.device)).double().cpu()


def _scale(case: str, c: Coefficients) -> Tensor:
    """What turns an error of x1 into an error of the case's target, (B, 1)."""
    return (get_target(case).error_factor(c) / get_target("x1").error_factor(c)).sqrt()[:, None]


def _class_means(data: Tensor, labels: Tensor) -> Tensor:
    """Mean of each class, (classes, D), rows by label."""
    return torch.stack([data[labels == label].mean(0) for label in range(int(labels.max()) + 1)])


def _data_weight(data: Tensor) -> Tensor:
    """A weight in z: 2 on the points whose coordinates sum to more than the median, else 0."""
    total = data.sum(1)
    return 2.0 * (total > total.median())


def _flat(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([tensor.detach().flatten().cpu() for tensor in tensors])
