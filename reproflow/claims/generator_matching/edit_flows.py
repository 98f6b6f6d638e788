"""Generator matching: Edit Flows, whose loss looks at an alignment that the state does not show (BIL-11)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reproflow.claims.policy import STATEMENT, Context, Measurement, claim, told, worst
from reproflow.exact import edit
from reproflow.exact.matching import Problem
from reproflow.foundation import registry, seeds
from reproflow.numerics import gauss_rules
from reproflow.theory.divergences import get_divergence
from reproflow.theory.paths import Path, forward_path

WEIGHT = "weight depends on z_t"
MERGED = "equal results not added"
POSITIONS = "squared error by position"
BREGMAN = ("kl_rates", "weighted_kl", "squared", "mahalanobis", "weighted_squared")
"""Divergences of the aggregated rates. Itakura and Saito's is infinite where a rate is zero, and exponentials of rates
of some tens leave no digits: BIL-2 has both, with a background and smaller rates."""

T_RANGE = (0.05, 0.9)
NODES = 5
HIDDEN = 6


def _cases() -> tuple[str, ...]:
    return tuple(entry.name for entry in registry.entries("path", "masked"))


@claim(
    "BIL-11",
    title="Edit Flows: the loss given the alignment has the marginal loss's gradient",
    source="000 abstract, Edit Flows",
    kind="exact",
    tolerance=1e-12,
    cases=_cases,
    controls=(WEIGHT, MERGED, POSITIONS),
)
def edit_flow_loss(case: str, variant: str, context: Context) -> Measurement:
    """E w(t,x_t) [sum_x' u(x'|x_t) - kappa'/(1-kappa) sum_i 1[z_t^i != z_1^i] log u(x'_i|x_t)] is the marginal loss.

    Statement: X_t = strip(z_t) hides where the blanks of the alignment z_t were, and the rates of the process given z_t
        are no function of X_t: this falls outside Generator Matching. All the same the loss that conditions on z_t
        equals, in value, the loss with the marginal rates u_t(x'|x) = E[sum_i 1[..] kappa'/(1-kappa) | X_t = x]; and
        for any Bregman divergence of the rates, added up over the positions i that lead to the same x' = x'_i, it has
        the gradient of the marginal one. Both for any weight w(t, x_t).
    Assumptions: w depends on the state and not on the alignment; kappa < 1 at the times that occur.
    Proof idea: the loss is linear in the conditional rates up to a term free of u, and u and w depend on (t, x_t) only:
        the tower property takes the mean given X_t.
    Computed: by enumeration of eight aligned pairs over two letters (15 sequences), at five Gauss-Legendre times in
        [0.05, 0.9], for two random networks. The conditional side runs over the alignments; the marginal side takes law
        and rates from the derivative of P(X_t = x, X_s = x') in s at s = t, where each position moves at a time of its
        own. The statistic is the largest of: the relative gaps of gradient and value of the loss above; of gradient and
        constant (the conditional loss at the truth) with five Bregman divergences of the rates added up; and, for the
        rates themselves, the relative residual of Kolmogorov's forward equation, their distance from those of the
        package's enumeration, and the error of the law that they carry from t = 0.05 to 0.9.
    Source: 000 abstract (Edit Flows fall outside of Generator Matching); the loss is Havasi et al. 2025, eq. 23. The
        proof in 000 could not be had.
    Refuted by: anything above 1e-12. A weight that depends on the number of positions left in z_t, counting positions
        that lead to the same x' once, and a squared error for each position must show it.
    """
    setting = _setting(case, variant)
    parts = [_loss_gaps(setting, seed) for seed in range(2)]
    gaps = {name: worst(part[name] for part in parts) for name in parts[0]}
    if variant == STATEMENT:
        gaps |= rate_gaps(setting.path)
    return Measurement(worst(gaps.values()), detail=told(gaps))


@dataclass(frozen=True)
class _Setting:
    """One schedule and variant: the enumerated problem, its weight (N,) or (N, Z), kappa'/(1 - kappa) (N, 1)."""

    path: Path
    variant: str
    problem: Problem
    weight: Tensor
    hazard: Tensor

    @property
    def joint(self) -> Tensor:
        """The weighted probability of every node and alignment, (N, Z)."""
        return self.problem.joint * self.weight.reshape(len(self.hazard), -1)


def rate_gaps(path: Path) -> dict[str, float]:
    """What is wrong with the marginal rates: forward equation, two-time law, transport."""
    t, _ = gauss_rules.legendre_on(*T_RANGE, NODES)
    p, slope = torch.func.jvp(lambda t: edit.law(*path(t)), (t,), (torch.ones_like(t),))[:2]
    rates = edit.marginal_rates(path.at(t))
    by_two_times = torch.stack([_law_and_rates(path, time)[1] for time in t])
    end = torch.tensor(T_RANGE[1], dtype=torch.float64)
    return {
        "forward equation": float((edit.drift(p, rates) - slope).abs().max() / slope.abs().max()),
        "rates": float((rates - by_two_times).abs().max() / rates.max()),
        "transport": float((edit.transport(path, *T_RANGE) - edit.law(*path(end))).abs().max()),
    }


def _loss_gaps(setting: _Setting, seed: int) -> dict[str, float]:
    """Relative gaps of the gradients, of the value of the Edit Flow loss, and of the constants of the others."""
    problem, theta = setting.problem, _parameters(seed).requires_grad_()
    prediction, (mass, rates) = _network(problem, theta), _marginal(setting)
    entropy = _edit_flow_loss(setting, prediction, mass, rates)
    gradients, constants = [_gradient_gap(*entropy, theta)], []
    for name in BREGMAN:
        loss = get_divergence(name)
        conditional = _conditional(setting, name, prediction)
        marginal = (mass * loss(rates, prediction, problem.t, problem.x)).sum()
        gradients.append(_gradient_gap(conditional, marginal, theta))
        constants.append((conditional - marginal - _conditional(setting, name, rates)) / conditional)
    value = (entropy[0] - entropy[1]) / entropy[0]
    return {
        "gradient": worst(gradients),
        "value": float(value.abs().detach()),
        "constant": float(torch.stack(constants).abs().max().detach()),
    }


def _setting(case: str, variant: str) -> _Setting:
    problem = edit.problem(case, *gauss_rules.legendre_on(*T_RANGE, NODES), background=0.0)
    path, lengths = forward_path(case, "masked"), torch.tensor([float(len(state)) for state in edit.STATES]).double()
    weight = (1 + problem.t) * (1 + 0.5 * problem.x @ lengths)
    if variant == WEIGHT:
        weight = weight[:, None] * (1 + edit.alignments().left.sum(1))
    return _Setting(path, variant, problem, weight, edit.hazard(path.at(problem.t))[:, None])


def _conditional(setting: _Setting, name: str, prediction: Tensor) -> Tensor:
    """The loss given the alignments with a divergence of the aggregated rates, or what the control makes of it."""
    problem = setting.problem
    if setting.variant == POSITIONS and name == "squared":
        return _by_position(setting, prediction)
    if setting.variant == MERGED:
        problem = replace(problem, target=torch.minimum(problem.target, setting.hazard[..., None]))
    return problem.conditional_loss(prediction, get_divergence(name), setting.weight)


def _edit_flow_loss(setting: _Setting, prediction: Tensor, mass: Tensor, rates: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of the statement, position by position, and the same with marginal law and rates."""
    each, log_u = edit.alignments(), _log(prediction)
    left = _first(each) if setting.variant == MERGED else each.left
    at_edits = (left * log_u[:, each.after]).sum(-1)
    conditional = (setting.joint * (prediction.sum(1, keepdim=True) - setting.hazard * at_edits)).sum()
    return conditional, (mass * (prediction - rates * log_u).sum(1)).sum()


def _by_position(setting: _Setting, prediction: Tensor) -> Tensor:
    """The squared error of the rate of each position's edit, and of zero where no position leads: wrong."""
    each = edit.alignments()
    left = each.left * (setting.hazard[..., None] - prediction[:, each.after]).square()
    nowhere = (each.edits == 0) * prediction[:, None].square()
    return (setting.joint * (left.sum(-1) + nowhere.sum(-1))).sum()


def _marginal(setting: _Setting) -> tuple[Tensor, Tensor]:
    """Weighted probability of every node (N,) and the marginal rates there (N, S), from the law at two times."""
    problem = setting.problem
    times, place = problem.t.unique(return_inverse=True)
    found = [_law_and_rates(setting.path, t) for t in times]
    p, u = (torch.stack(column)[place, problem.x.argmax(1)] for column in zip(*found, strict=True))
    weight = setting.joint.sum(1) / problem.joint.sum(1)
    return gauss_rules.legendre_on(*T_RANGE, NODES)[1][place] * p * weight, u


def _law_and_rates(path: Path, t: Tensor) -> tuple[Tensor, Tensor]:
    """p_t (S,) and u_t (S, S), the derivative of the two-time law over p_t; zero where p_t is."""
    alpha = path(t)[0]
    both, slope = torch.func.jvp(lambda s: edit.two_time_law(alpha, path(s)), (t,), (torch.ones_like(t),))[:2]
    p = both.sum(1)
    return p, torch.where(p[:, None] > 0, slope / p[:, None], 0.0).fill_diagonal_(0.0)


def _first(each: edit.Alignments) -> Tensor:
    """`left` without the positions that lead where an earlier one does, (Z, 3)."""
    same = (each.after[:, :, None] == each.after[:, None]) & each.left[:, None]
    return each.left & ~same.tril(-1).any(-1)


def _parameters(seed: int) -> Tensor:
    size = HIDDEN * (2 * len(edit.STATES) + 2)
    return 0.5 * torch.randn(size, generator=seeds.generator("BIL-11", seed), dtype=torch.float64)


def _network(problem: Problem, theta: Tensor) -> Tensor:
    """u_theta(x'|x) = exp(V tanh(W (x, t, t²))), zero where no single edit leads, (N, S)."""
    features = torch.cat([problem.x, problem.t[:, None], problem.t[:, None] ** 2], 1)
    first, second = theta.split([HIDDEN * features.shape[1], HIDDEN * len(edit.STATES)])
    value = torch.tanh(features @ first.view(-1, HIDDEN)) @ second.view(HIDDEN, -1)
    return torch.where(edit.one_edit()[problem.x.argmax(1)], value.exp(), 0.0)


def _log(prediction: Tensor) -> Tensor:
    """log u, zero where u is zero: no edit leads there, so it meets no rate."""
    return torch.where(prediction > 0, prediction, 1.0).log()


def _gradient_gap(conditional: Tensor, marginal: Tensor, theta: Tensor) -> float:
    """|grad marginal - grad conditional| / |grad conditional|."""
    given, averaged = (torch.autograd.grad(loss, theta, retain_graph=True)[0] for loss in (conditional, marginal))
    return float((averaged - given).norm() / given.norm())
