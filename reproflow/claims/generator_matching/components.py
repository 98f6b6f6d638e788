"""Generator matching: a generator of several parts, each with its own divergence and weight (BIL-6)."""

from __future__ import annotations

import functools
from dataclasses import fields, replace

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, worst
from reproflow.exact import components, matching
from reproflow.exact.matching import Comparison, Loss, Problem
from reproflow.foundation import registry
from reproflow.theory.divergences import get_divergence

L1 = "L1 in one part"
WEIGHT = "weight of one part depends on z"
OWN = "one part's posterior sees its own state only"
FLOW = components.FLOW


def _cases() -> tuple[str, ...]:
    """Every registered Bregman divergence on the rates, and on the velocity those of real numbers in turn."""
    names = [e.name for e in registry.entries("divergence") if e.meta.get("bregman")]
    real = [name for name in names if get_divergence(name).domain == "real"]
    return tuple(f"{real[i % len(real)]} + {name}" for i, name in enumerate(names))


@claim(
    "BIL-6",
    title="parts of a generator may each have a divergence and a weight of their own",
    source="000, losses of several linear components",
    kind="exact",
    tolerance=1e-12,
    cases=_cases,
    controls=(L1, WEIGHT, OWN),
)
def several_parts(case: str, variant: str, context: Context) -> Measurement:
    """L = sum_k E w_k(t, x) D^k_tx(F^{Z,k}, F_theta^k) has the gradient of sum_k E w_k D^k(E[F^{Z,k}|x], F_theta^k).

    Statement: for a generator that is a sum of parts, each linear in its own F^k, the sum of their conditional losses
        has the gradient of the sum of the marginal ones; weights and divergences are chosen part by part.
    Assumptions: those of BIL-2 for each part; every posterior is given the whole state.
    Proof idea: a weighted sum of Bregman divergences in separate coordinates is one of phi = sum_k w_k phi_k.
    Computed: a flow in the plane and jumps among five states, one latent z leading both, all (t, x, y, z) enumerated on
        nodes; one random network that sees the whole state predicts the velocity and the rates, so that its parameters
        are shared. w_1 = 1/(1-t)² times a function of y, w_2 = 1 + |x|². Both sides are sums over one table of joint
        weights, so the tower property holds at the nodes by construction, and what is tested is that divergences and
        weights of parts may differ. The statistic is the larger relative gap of the gradients and of the constant.
    Source: 000, "decomposing losses across multiple linear components".
    Refuted by: a relative gap above 1e-12. L1 for the velocity, a weight of the velocity's part that depends on z, and
        a velocity averaged over the posterior given x alone, where y tells of z too, must each show one.
    """
    flow, _, jump = case.partition(" + ")
    found = compare_parts(flow, jump, variant)
    one = torch.ones(1, len(found.floor), dtype=torch.float64)
    gradient, constant = float(found.gradient_gaps(one)), float(found.constant_gaps(one))
    return Measurement(worst(gradient, constant), detail=f"gradients {gradient:.2g}, constant {constant:.2g}")


def compare_parts(flow: str, jump: str, variant: str) -> Comparison:
    """Both sides of BIL-6: the sum of the comparisons of the two parts."""
    problem = _problem()
    theta = matching.parameters(problem, 0)
    tilt = torch.linspace(0.5, 1.5, problem.joint.shape[1], dtype=torch.float64).expand_as(problem.joint)
    first = _velocity_loss("l1" if variant == L1 else flow)
    parts = [
        matching.compare(problem, first, theta, tilt if variant == WEIGHT else None, predict=predict),
        matching.compare(problem, _rates_loss(jump), theta, predict=predict),
    ]
    if variant == OWN:
        # The network's units are those of the right problem: only the posterior may differ.
        wrong = matching.compare(_problem(("flow",)), first, theta, predict=lambda _, theta: predict(problem, theta))
        parts[0] = replace(parts[0], marginal=wrong.marginal, marginal_gradient=wrong.marginal_gradient)
    return Comparison(*(sum(getattr(part, each.name) for part in parts) for each in fields(Comparison)))


def predict(problem: Problem, theta: Tensor) -> Tensor:
    """The network with its last four outputs made positive, (N, 6)."""
    raw = matching.predict(problem, theta)
    return torch.cat([raw[:, :FLOW], torch.nn.functional.softplus(raw[:, FLOW:])], 1)


def _velocity_loss(name: str) -> Loss:
    divergence = get_divergence(name)

    def loss(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        weight = (1 - t) ** -2 / (1 + x[:, FLOW:].square().mean(1))
        return weight * divergence(a[:, :FLOW], b[:, :FLOW], t, x[:, :FLOW])

    return loss


def _rates_loss(name: str) -> Loss:
    divergence = get_divergence(name)

    def loss(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        weight = 1 + x[:, :FLOW].square().sum(1)
        return weight * divergence(a[:, FLOW:], b[:, FLOW:], t, x[:, FLOW:])

    return loss


@functools.cache
def _problem(seen: tuple[str, ...] = ("flow", "jump")) -> Problem:
    return components.problem(seen=seen)
