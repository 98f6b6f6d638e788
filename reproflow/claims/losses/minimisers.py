"""Losses: what is trained does not depend on parametrisation or weight, for a network that can be anything (LOSS-6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim
from reproflow.exact import three_gaussians
from reproflow.exact.minimiser import of_quadratic
from reproflow.foundation import registry, seeds
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.objective import Objective
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import Target, convert, get_target
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

RESTRICTED = "linear in x, without time"
WEIGHT = "weight depends on z"
HOLE = "w = 0 on (0.3, 0.5)"
POINTS = torch.tensor([[-1.5, 0.5], [0.0, 1.0], [1.0, -0.5], [2.0, 1.5], [-0.5, -1.0]], dtype=torch.float64)
TIMES = 9
DRAWS = 16


@dataclass(frozen=True)
class Nodes:
    """Places (t, x) and what is known there: x (N, D), posterior of the data points (N, Z), their eps (N, Z, D)."""

    c: Coefficients
    x: Tensor
    posterior: Tensor
    eps: Tensor


@claim(
    "LOSS-6",
    title="one minimiser under every parametrisation and every positive weight of time",
    source="000; 002; 003, 'Weighted Loss'",
    kind="exact",
    tolerance=1e-10,
    cases=three_gaussians.gaussian_paths,
    controls=(RESTRICTED, WEIGHT, HOLE),
)
def one_minimiser(case: str, variant: str, context: Context) -> Measurement:
    """argmin of E[w |y_hat - y|²] is E[y|x] for every target y and every w(t) > 0, and all imply one velocity u_t(x).

    Statement: a network that can take any value at any (t, x) learns the marginal velocity, whichever target it
        predicts and whichever positive weight is on the loss. One that cannot learns a compromise that depends on the
        weight, so equality of trained networks is not claimed.
    Assumptions: w > 0 almost everywhere (where it is 0 nothing is learnt); the model unrestricted; alpha, sigma > 0.
    Proof idea: the minimum is taken at each (t, x) for itself, where w(t) and the conversion factor are constants.
    Computed: five points in the plane as data, 144 places (t, x) drawn from the path at t in [0.1, 0.9]. For every
        registered target and weighting the weighted loss over the exact posterior is minimised in the prediction at
        each place, by a Newton step of automatic derivatives from a random start; the minimisers are converted to
        velocities and compared with the posterior average of the conditional velocities, relative to its largest. At
        a place the weight is a factor, and cancels: whatever is a positive function of t is one test, the registered
        weightings as well as one that swings between 1e-6 and 1e6.
    Source: 003 "Weighted Loss" (weights as a choice of emphasis); 000, abstract, that they are justified.
    Refuted by: a relative distance above 1e-10. A model c0 + C1 x, fitted under each weight and compared with its fit
        under the first, a weight in z, and a weight that is zero on (0.3, 0.5), where every prediction is as good as
        any other, must show one.
    """
    nodes = _nodes(case)
    weights = _coefficients(case, nodes.c.t, variant)
    conditional = nodes.c.dalpha[:, None, None] * POINTS + nodes.c.dsigma[:, None, None] * nodes.eps
    truth = (nodes.posterior[..., None] * conditional).sum(1)
    if variant == RESTRICTED:
        on_velocity = weights / get_target("velocity").error_factor(nodes.c)
        fits = torch.stack([linear_fit(each, nodes.x, truth) for each in on_velocity])
        return Measurement(float((fits - fits[0]).abs().max() / truth.abs().max()))
    table = torch.tensor([0.25, 0.5, 1.0, 1.5, 2.0] if variant == WEIGHT else [1.0] * 5, dtype=torch.float64)
    found = torch.stack([_velocity(entry.name, nodes, weights, table) for entry in registry.entries("target")])
    detail = f"{len(weights)} weightings, one test: at each (t, x) the weight cancels"
    return Measurement(float((found - truth).abs().max() / truth.abs().max()), detail=detail)


def _nodes(path_name: str) -> Nodes:
    generator = seeds.generator("LOSS-6")
    t = torch.linspace(0.1, 0.9, TIMES, dtype=torch.float64).repeat_interleave(DRAWS)
    c = forward_path(path_name).at(t)
    chosen = torch.randint(len(POINTS), (len(t),), generator=generator)
    noise = torch.randn(len(t), 2, generator=generator, dtype=torch.float64)
    x = c.alpha[:, None] * POINTS[chosen] + c.sigma[:, None] * noise
    eps = (x[:, None] - c.alpha[:, None, None] * POINTS) / c.sigma[:, None, None]
    return Nodes(c, x, (-0.5 * eps.square().sum(2)).softmax(1), eps)


def _coefficients(path_name: str, t: Tensor, variant: str) -> Tensor:
    """The coefficients on the eps error of every weighting without a zero here and of a wild one, (W, N).

    Relative to their largest.
    """
    path, law = forward_path(path_name), get_time_law("uniform")
    names = [entry.name for entry in registry.entries("weighting", "gaussian")]
    rows = torch.stack([Objective(path, law, get_weighting(name)).coefficient(t) for name in names])
    # What is not a number stays, and shows.
    rows = torch.cat([rows[~(rows <= 0).any(1)], wild(t)[None]])
    if variant == HOLE:
        rows = torch.where((t > 0.3) & (t < 0.5), 0.0, rows)
    return rows / rows.amax(1, keepdim=True)


def wild(t: Tensor) -> Tensor:
    """An admissible weight like no other: from 1e-6 to 1e6 and back every 0.16 in t, of t's shape."""
    return 10 ** (6 * torch.sin(40 * t))


def _velocity(name: str, nodes: Nodes, weights: Tensor, table: Tensor) -> Tensor:
    """The velocities that the minimising predictions of one target imply, (W, N, D)."""
    target = get_target(name)
    start = torch.randn(nodes.x.shape, generator=seeds.generator("LOSS-6", name), dtype=torch.float64)
    best = _newton(target, nodes, weights, table, start)
    return torch.stack([convert(each, nodes.x, nodes.c, target, get_target("velocity")) for each in best])


def _newton(target: Target, nodes: Nodes, weights: Tensor, table: Tensor, start: Tensor) -> Tensor:
    """The minimiser of each weight's loss, (W, N, D): the losses are quadratic and separable."""

    def total(y: Tensor) -> Tensor:
        implied = torch.stack([target.eps(each, nodes.x, nodes.c) for each in y])
        error = (implied[:, :, None] - nodes.eps).square().sum(-1)
        return (weights[..., None] * nodes.posterior * table * error).sum()

    return of_quadratic(total, start.expand(len(weights), -1, -1))


def linear_fit(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """c0 + C1 x at every x (N, D), with c0, C1 by least squares of y (N, D) under the weights (N,)."""
    basis = torch.cat([torch.ones(len(x), 1, dtype=x.dtype), x], 1)
    scale = weight.sqrt()[:, None]
    return basis @ torch.linalg.lstsq(scale * basis, scale * y).solution
