"""Generator matching: the KL divergence of jump rates and the cross-entropies that it becomes (BIL-9)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, worst
from reproflow.exact import ctmc
from reproflow.exact.minimiser import loss_derivatives, minimise
from reproflow.foundation import registry, seeds
from reproflow.theory.divergences import get_divergence
from reproflow.theory.log_snr import elbo_coefficient
from reproflow.theory.paths import forward_path
from reproflow.theory.processes import masked

PHI = "divergence of phi"
TRAINABLE = "trainable part"
KERNEL = "known hazards"
MIXTURE = "mixture path, x1-prediction"
MASKED = "masked path, cross-entropy"

DIAGONAL = "diagonal included"
DROPPED = "sum of v dropped"
LATENT = "hazard depends on z"
STAYING = "p(x_t) dropped"
CARRY = "rates at unmasked tokens"
MASK = "mass on the mask"

CONTROLS = {
    PHI: (DIAGONAL,),
    TRAINABLE: (DROPPED,),
    KERNEL: (LATENT,),
    MIXTURE: (STAYING, DIAGONAL),
    MASKED: (CARRY, MASK),
}
STATES = 5
VOCABULARY = 4
LENGTH = 3


@claim(
    "BIL-9",
    title="jump processes: the Bregman divergence of u log u is the KL of rates, and on masked paths the cross-entropy",
    source="000, jump example; Holderrieth et al. 2024; Lipman et al. 2024",
    kind="exact",
    tolerance=1e-12,
    cases=tuple(CONTROLS),
    controls=lambda case: CONTROLS[case],
)
def jump_losses(case: str, variant: str, context: Context) -> Measurement:
    """D(u, v) = sum_{y != x} u log(u/v) - u + v; trained through sum v - sum u log v; masked: alpha'/(1-alpha) CE.

    Statement: (1) phi(u) = sum_{y != x} u log u - u has the divergence above, with 0 log 0 = 0 and without the
        diagonal. (2) Its part that depends on v is sum v - sum u log v, stationary at the marginal rates. (3) Rates
        h_j R_j with known hazards h_j(t, x) may be matched as sum_j c_j D(R_j, R_j^) with any c_j > 0: the minimiser
        times h generates p_t. (4) On the mixture path with v = alpha'/(1-alpha) p(y|x), D is -alpha'/(1-alpha)
        [p(x_t) - 1{x_t = x1} + 1{x_t != x1} log p(x1)]. (5) On a masked path it is alpha'/(1-alpha) times the
        cross-entropy of the hidden tokens, provided p puts nothing on the mask and shown tokens stay as they are.
    Assumptions: rates positive where a conditional one is; in (3) the hazards do not depend on z.
    Proof idea: insert; in (5) the terms v - u add up to zero because p and the data both have mass 1.
    Computed: (1) the registered `kl_rates` against phi and its automatic gradient, zero rates included. (2) the
        conditional gradient at the marginal rates of a chain of five states, relative to its two terms. (3) the
        minimiser by Newton's method and the residual of the chain's forward equation. (4), (5) `kl_rates` over every
        jump there is, against the formula with a random p; (5) on every registered masked path, against the
        package's own cross-entropy and ELBO coefficient. Relative gaps.
    Source: 000, jump example; Holderrieth et al. 2024; Lipman et al. 2024, generalised KL of mixture paths, kappa =
        alpha; 001 and Shi et al. 2024 for masks, with time reversed: -alpha'/(1-alpha).
    Refuted by: a gap above 1e-12. Wrong in value: the diagonal among the rates, p(x_t) left out, rates at shown tokens,
        mass on the mask. Wrong at the truth: sum v left out, whose gradients agree all the same (BIL-4), and
        hazards that depend on z.
    """
    return Measurement(
        {PHI: _phi, TRAINABLE: _trainable, KERNEL: _kernel, MIXTURE: _mixture, MASKED: _masked}[case](variant)
    )


def _phi(variant: str) -> float:
    u, v = torch.rand(2, 64, STATES - 1, generator=seeds.generator("BIL-9", PHI), dtype=torch.float64) * 3 + 0.01
    u = u * (torch.arange(u.numel()).view_as(u) % 3 > 0)
    b = v.clone().requires_grad_()
    phi_u, phi_v = (torch.xlogy(rates, rates).sum(1) - rates.sum(1) for rates in (u, b))
    slope = torch.autograd.grad(phi_v.sum(), b)[0]
    reference = phi_u - phi_v.detach() - (slope * (u - v)).sum(1)
    return _gap(_kl(u, v) + (_on_diagonal(u, v) if variant == DIAGONAL else 0.0), reference)


def _trainable(variant: str) -> float:
    problem = ctmc.problem()

    def part(u: Tensor, v: Tensor, t: Tensor, x: Tensor) -> Tensor:
        kept = 0.0 if variant == DROPPED else v.sum(1)
        return kept - (u * v.log()).sum(1)

    slope = loss_derivatives(problem, part, torch.ones_like(problem.t), problem.marginal)[0]
    # One of the two terms of the slope: d/dv of sum v is the node's mass.
    stationary = float((slope.abs() / problem.joint.sum(1, keepdim=True)).max())
    u, v = torch.rand(2, 64, 4, generator=seeds.generator("BIL-9", TRAINABLE), dtype=torch.float64) + 0.1
    left_over = _kl(u, v) - part(u, v, u[:, 0], u)
    constant = u.mul(u.log()).sum(1) - u.sum(1)
    return worst(stationary, _gap(left_over, constant))


def _kernel(variant: str) -> float:
    chain, t = ctmc.five_states("cosine"), torch.linspace(0.05, 0.85, 6, dtype=torch.float64)
    problem = chain.problem(t)
    known = 1 + problem.t[:, None] + torch.sin(problem.x) ** 2
    hazard = problem.target.sum(2, keepdim=True) if variant == LATENT else known[:, None]
    matched = replace(problem, target=problem.target / hazard)

    def loss(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        factor = 0.5 + t[:, None] + x.square()
        return get_divergence("kl_rates")(factor * a, factor * b, t, x)

    found = minimise(matched, loss, torch.ones_like(problem.t), 0.9 * matched.marginal, steps=6)
    mean = torch.einsum("nz,nzd->nd", problem.joint, hazard.expand_as(problem.target)) / problem.joint.sum(1)[:, None]
    residual = chain.forward_residual(ctmc.from_others(mean * found), t)
    slope = chain.forward_residual(torch.zeros_like(chain.marginal_rates(t)), t)
    return float(residual.abs().max() / slope.abs().max())


def _mixture(variant: str) -> float:
    c = forward_path("cosine", "masked").at(torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64)[:, None, None])
    p = _probabilities(MIXTURE, 3, STATES, 1, STATES)
    one = torch.eye(STATES, dtype=torch.float64)
    h, target = (c.dalpha / c.sigma)[..., None], one.expand(3, STATES, STATES, STATES)
    # u, v: (time, x_t, x1, y); the diagonal y = x_t is taken out.
    u, v = (ctmc.to_others((h * each).expand_as(target).transpose(1, 2)).transpose(1, 2) for each in (target, p))
    value = _kl(u.flatten(0, 2), v.flatten(0, 2)).view(3, STATES, STATES)
    if variant == DIAGONAL:
        value = value + _on_diagonal(u.flatten(0, 2), v.flatten(0, 2)).view_as(value)
    stays = torch.diagonal(p[:, :, 0], dim1=1, dim2=2)[..., None]
    bracket = (0.0 if variant == STAYING else stays) - one + (1 - one) * p[:, :, 0].log()
    return _gap(value, -h[..., 0] * bracket)


def _masked(variant: str) -> float:
    generator = seeds.generator("BIL-9", MASKED)
    x1 = torch.randint(VOCABULARY, (32, LENGTH), generator=generator)
    z = torch.where(torch.rand(32, LENGTH, generator=generator) < 0.5, x1, VOCABULARY)
    z[:, 0] = VOCABULARY
    logits = torch.randn(32, LENGTH, VOCABULARY, generator=generator, dtype=torch.float64)
    times = torch.linspace(0.05, 0.95, 32, dtype=torch.float64)
    gaps = []
    for entry in registry.entries("path", "masked"):
        c = forward_path(entry.name, "masked").at(times)
        h = c.dalpha / c.sigma
        u, v = (h[:, None, None] * each for each in _token_rates(x1, z, logits.softmax(-1), variant))
        value = _kl(u.flatten(1), v.flatten(1))
        gaps.append(_gap(value, elbo_coefficient(c) * masked.cross_entropy(x1, z, logits, VOCABULARY)))
    return worst(gaps)


def _token_rates(x1: Tensor, z: Tensor, p: Tensor, variant: str) -> tuple[Tensor, Tensor]:
    """Conditional and predicted rates over the hazard to every value of every token, mask included, (B, L, V + 1).

    A jump to the value that a token has is none: both rates are zero there.
    """
    moves = torch.nn.functional.one_hot(z, VOCABULARY + 1) == 0
    hidden = (z == VOCABULARY)[..., None]
    share = 0.1 if variant == MASK else 0.0
    law = torch.cat([(1 - share) * p, torch.full_like(p[..., :1], share)], -1)
    target = torch.nn.functional.one_hot(x1, VOCABULARY + 1).double()
    predicted = torch.where(moves & (hidden if variant != CARRY else torch.ones_like(hidden)), law, 0.0)
    return torch.where(moves & hidden, target, 0.0), predicted


def _kl(u: Tensor, v: Tensor) -> Tensor:
    """The registered divergence, (B, D), (B, D) -> (B,); it depends on neither time nor state."""
    return get_divergence("kl_rates")(u, v, torch.zeros(len(u), dtype=u.dtype), torch.zeros_like(u))


def _on_diagonal(u: Tensor, v: Tensor) -> Tensor:
    """What the diagonal -sum u, -sum v would add to the sum over the rates, (B,)."""
    total_u, total_v = u.sum(1), v.sum(1)
    return -torch.xlogy(total_u, total_u / total_v) + total_u - total_v


def _probabilities(purpose: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeds.generator("BIL-9", purpose), dtype=torch.float64).softmax(-1)


def _gap(value: Tensor, reference: Tensor) -> float:
    """The largest distance relative to the largest size of the reference."""
    return float((value - reference).abs().max() / reference.abs().max())
