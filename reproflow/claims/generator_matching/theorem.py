"""Generator matching: every Bregman divergence, weighting and time law has one gradient (BIL-2)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from reproflow.claims.losses.minimisers import wild
from reproflow.claims.policy import STATEMENT, Context, Measurement, claim
from reproflow.exact import ctmc, edit, flows, manifold, matching
from reproflow.exact.matching import Comparison, Loss, Problem
from reproflow.foundation import registry
from reproflow.theory.divergences import Divergence, get_divergence
from reproflow.theory.objective import Objective
from reproflow.theory.paths import forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

WEIGHT = "weight depends on z"
PRIOR = "prior average for posterior average"
COORDINATE = "a non-linear coordinate"

PROCESSES: dict[str, Callable[[], Problem]] = {
    "flow": functools.partial(flows.problem, "velocity", nodes=5),
    "diffusion x1": functools.partial(flows.problem, "x1", nodes=5),
    "diffusion eps": functools.partial(flows.problem, "eps", nodes=5),
    "diffusion score": functools.partial(flows.problem, "score", nodes=5),
    "jump": ctmc.problem,
    "edit": lambda: edit.problem(t=torch.tensor([0.15, 0.45, 0.8], dtype=torch.float64)),
    "sphere": functools.partial(manifold.problem, "sphere", n=5),
    "torus": functools.partial(manifold.problem, "torus", n=3),
}
POSITIVE = ("jump", "edit")
"""The processes that are matched in rates; their weights are those of masked processes."""


def bregman(process: str) -> tuple[str, ...]:
    """The registered Bregman divergences whose domain holds a process's targets."""
    return tuple(e.name for e in registry.entries("divergence") if e.meta.get("bregman") and _fits(e.name, process))


def _fits(divergence: str, process: str) -> bool:
    return get_divergence(divergence).domain == "real" or process in POSITIVE


def _cases() -> tuple[str, ...]:
    return tuple(f"{process}: {name}" for process in PROCESSES for name in bregman(process))


@claim(
    "BIL-2",
    title="conditional and marginal generator matching: equal gradients for Bregman divergences and weights of time",
    source="000 Theorem 4.8",
    kind="exact",
    tolerance=1e-12,
    cases=_cases,
    controls=(WEIGHT, PRIOR, COORDINATE),
)
def equal_gradients(case: str, variant: str, context: Context) -> Measurement:
    """grad E w D_tx(F^Z, F_theta) = grad E w D_tx(E[F^Z|x], F_theta) for every Bregman D_tx, w(t) > 0 and law of t.

    Statement: the generator is linear in F, L f(x) = <K_tx f, F(t, x)>; F^Z is the conditional one. For a divergence
        that is Bregman in (a, b) and may depend on (t, x) at will, the conditional loss exceeds the marginal one by
        E w D(F^Z, E[F^Z|x]), in which theta does not occur; so their gradients are equal, whatever w and the law of t.
    Assumptions: phi_tx convex with a continuous gradient; all expectations finite (times end before 1). The equality
        needs neither w > 0 nor D >> lambda, which identify the minimiser (BIL-3, BIL-5).
    Proof idea: E phi(F^Z) - phi(E F^Z) is all that b = F_theta does not multiply linearly in the target.
    Computed: one case a process and registered Bregman divergence. The process is enumerated (a chain of five states,
        edits of short strings, whose latent is the alignment, with 0.1 added to all rates since some divergences are
        infinite at zero) or put on nodes in x (flow and diffusion in the plane, sphere, torus), with posteriors from
        the joint weights; a random network predicts F. So the tower property holds at the nodes by construction, and
        what is tested is the divergence; LOSS-1, BIL-8, BIL-11 and BIL-13 take both sides by ways of their own. All
        registered weightings times all registered time laws whose coefficient is finite and positive (those of the
        linear path, Gaussian or masked), and a weight that swings between 1e-6 and 1e6, share one pair of Jacobians,
        time by time: at a time the weight cancels, so that all of them are one test of every function of t, and what
        tells cases apart is the divergence and the process. The statistic is the largest relative gap, over all of
        them, of the gradients and of the constant, which is computed as the conditional loss of the marginal target.
    Source: 000 Theorem 4.8; Holderrieth et al. 2024, Proposition 2; Banerjee et al. 2005.
    Refuted by: a relative gap above 1e-12. A weight that depends on the latent z, the prior average in place of the
        posterior average, and a divergence taken in a non-linear coordinate of F (log(1 + F) or arsinh F) must show it.
    """
    process, _, name = case.partition(": ")
    problem, divergence = _problem(process), get_divergence(name)
    weights = time_weights("masked" if process in POSITIVE else "gaussian", tuple(problem.t.unique().tolist()))
    found = _compare(problem, divergence, variant)
    gradient, constant = found.gradient_gaps(weights), found.constant_gaps(weights)
    detail = (
        f"{len(weights)} weights of time, one test: they cancel at each t; gradients {gradient.max():.2g}, "
        f"constant {constant.max():.2g}"
    )
    if variant == STATEMENT:
        return Measurement(float(torch.maximum(gradient, constant).max()), detail=detail)
    # A control is wrong for every weight, so the least of its gaps must be seen.
    return Measurement(float(gradient.min()), detail=f"at least, over {len(weights)} weights of time")


def _compare(problem: Problem, divergence: Divergence, variant: str) -> Comparison:
    theta = matching.parameters(problem, 0)
    weight = torch.linspace(0.5, 1.5, problem.joint.shape[1], dtype=torch.float64).expand_as(problem.joint)
    loss = in_coordinate(divergence, problem.domain) if variant == COORDINATE else divergence
    found = matching.compare(problem, loss, theta, weight if variant == WEIGHT else None)
    if variant == PRIOR:
        # The network's units are those of the right problem: only the posterior may differ.
        wrong = matching.compare(with_prior(problem), loss, theta, predict=lambda _, th: matching.predict(problem, th))
        return replace(found, marginal=wrong.marginal, marginal_gradient=wrong.marginal_gradient)
    return found


def with_prior(problem: Problem) -> Problem:
    """The problem with the prior in place of each node's posterior: the nodes keep their mass, z forgets x."""
    prior = problem.joint.sum(0) / problem.joint.sum()
    return replace(problem, joint=problem.joint.sum(1, keepdim=True) * prior)


def in_coordinate(loss: Loss, domain: str) -> Loss:
    """The loss of log(1 + a) and log(1 + b), or of arsinh where numbers are real: not linear in the generator."""
    change = torch.log1p if domain == "positive" else torch.asinh
    return lambda a, b, t, x: loss(change(a), change(b), t, x)


def time_weights(process: str, times: tuple[float, ...]) -> Tensor:
    """pi(t) c(t) at times (K,) of all registered weightings and time laws, (W, K), and a wild weight in the last row.

    c is the coefficient of the process's linear path: on the eps error, or on the cross-entropy where masked. What is
    not finite and positive is left out.
    """
    names = (
        [e.name for e in registry.entries("weighting", process)],
        [e.name for e in registry.entries("time", process)],
    )
    table = _time_weights(process, times, *(tuple(each) for each in names))
    return torch.cat([table, wild(torch.tensor(times, dtype=torch.float64))[None]])


@functools.cache
def _time_weights(process: str, times: tuple[float, ...], weightings: tuple[str, ...], laws: tuple[str, ...]) -> Tensor:
    path = forward_path("linear", process)
    # Positive at the times of the problem is not enough: a weight may vanish between them.
    t = torch.cat(
        [torch.tensor(times, dtype=torch.float64), torch.linspace(times[0], times[-1], 33, dtype=torch.float64)]
    )
    rows = []
    for law in map(get_time_law, laws):
        density = law.density(t)
        rows += [density * Objective(path, law, get_weighting(name, process)).coefficient(t) for name in weightings]
    table = torch.stack(rows)
    return table[(table.isfinite() & (table > 0)).all(1), : len(times)]


@functools.cache
def _problem(process: str) -> Problem:
    return PROCESSES[process]()
