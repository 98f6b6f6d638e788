"""Generator matching: which losses have the gradient of the marginal loss, and of those the right minimum (BIL-4)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim, worst
from reproflow.exact import criterion, ctmc, flows, functionals, matching
from reproflow.exact.matching import Loss, Problem
from reproflow.foundation import registry
from reproflow.theory.divergences import Divergence, get_divergence

AFFINE = "affine in the target"
GRADIENTS = "equal gradients"
MINIMUM = "minimum at the target"
FUNCTIONAL = "minimum at its functional"
NEGATED = "its negative"
DROPPED = "its part free of the target dropped"
MEAN = "the mean"
MEDIAN = "the median"
USUAL = {"real": "squared", "positive": "kl_rates"}


def _parts(case: str) -> tuple[Divergence, str]:
    name, _, aspect = case.partition(": ")
    return get_divergence(name), aspect


def _cases() -> tuple[str, ...]:
    """Every divergence that says whether it is a Bregman one; two of the aspects are not for all of them."""
    known = [e.name for e in registry.entries("divergence") if e.meta.get("bregman") is not None]
    bregman = [name for name in known if get_divergence(name).bregman]
    closed = [name for name in known if get_divergence(name).functional in functionals.FUNCTIONALS]
    aspects = ((AFFINE, known), (GRADIENTS, known), (MINIMUM, bregman), (FUNCTIONAL, closed))
    return tuple(f"{name}: {aspect}" for aspect, names in aspects for name in names)


def _controls(case: str) -> tuple[str, ...]:
    divergence, aspect = _parts(case)
    if aspect == MINIMUM:
        return NEGATED, DROPPED
    if aspect == FUNCTIONAL:
        return (MEDIAN,) if divergence.functional == "mean" else (MEAN,)
    if not divergence.bregman:
        return (USUAL[divergence.domain],)
    others = (e for e in registry.entries("divergence") if e.meta.get("bregman") is False)
    return tuple(e.name for e in others if e.meta.get("domain", "real") == divergence.domain)


class _Expected(Mapping[str, str]):
    """Refuted for the divergences that are not Bregman ones, also for those registered later."""

    def __getitem__(self, case: str) -> str:
        if not self._refuted(case):
            raise KeyError(case)
        return REFUTED

    def __iter__(self) -> Iterator[str]:
        return filter(self._refuted, _cases())

    @staticmethod
    def _refuted(case: str) -> bool:
        divergence, aspect = _parts(case)
        return aspect in (AFFINE, GRADIENTS) and not divergence.bregman

    def __len__(self) -> int:
        return sum(1 for _ in self)


@claim(
    "BIL-4",
    title="only gradients that are affine in the target agree with the marginal loss's: Bregman divergences, no others",
    source="000 Theorem 4.8, converse; Banerjee et al. 2005",
    kind="exact",
    tolerance=lambda case: 1e-12 if case.endswith(GRADIENTS) else criterion.AFFINE,
    cases=_cases,
    controls=_controls,
    expected=_Expected(),
)
def only_bregman(case: str, variant: str, context: Context) -> Measurement:
    """E grad_b l(F, b) = grad_b l(E F, b) for all laws of F <=> grad_b l affine in a <=> l = Bregman(a, b) + h(a).

    Statement: for a loss with a continuous gradient in b, conditional and marginal gradients agree for every law of
        the target exactly when grad_b l(a, b; t, x) is affine in a; if moreover b = a is the only minimum of l(a, .), l
        is a Bregman divergence plus a function of a. Every registered divergence falls on the side that it says.
    Assumptions: l(a, .) differentiable. Affine alone is not enough: the negative of a Bregman divergence passes, with a
        maximum at the truth, and so does one without its part free of the target, with no minimum there.
    Proof idea: two-point laws give affinity; stationarity gives grad_b l = H(b)(b - a), and H is a Hessian of a phi.
    Computed: `affine in the target`: the largest relative residual of grad_b l(s a + (1-s) a') over 2000 targets and
        predictions at distances from 0.01 to 6, by `exact.criterion.affine_in_target`. `equal gradients`: the
        relative gap of the two gradients in a random network's parameters, on the chain of five states for positive
        divergences, on flow matching in the plane for the others (both sides over one table of joint weights: it is the
        divergence that is tested, not the posterior). `minimum at the target`: the relative size of grad_b
        l(a, a), or 1 where the least eigenvalue of the Hessian there is not above 1e-9 of the largest. `minimum at its
        functional`: by how much of itself the posterior mean of the loss falls when the functional of the posterior
        that the divergence names (mean, median, geometric mean ..) is moved, coordinate by coordinate, by 0.1, 1 and 10
        per cent of itself; this tells values apart that differ by more than half of the least step.
    Source: 000 Theorem 4.8; the converse is not in 000 (Banerjee, Guo and Wang 2005).
    Refuted by: a number above 1e-9, of the gradients above 1e-12. The divergences that are not Bregman ones (L1, Huber,
        swapped KL, Hellinger, the squared error of logarithms, both chi-squares) must be refuted in the first two ways,
        and are the controls of the others. The mean must not be the minimum of a loss that targets something else, nor
        the median of one that targets the mean.
    """
    divergence, aspect = _parts(case)
    if aspect == MINIMUM:
        return _minimum(_spoiled(divergence, variant), divergence.domain)
    if aspect == FUNCTIONAL:
        return _at_functional(divergence, {MEAN: "mean", MEDIAN: "median"}.get(variant, str(divergence.functional)))
    if variant != STATEMENT:
        divergence = get_divergence(variant)
    if aspect == GRADIENTS:
        return Measurement(gradient_gap(divergence))
    found = criterion.affine_in_target(divergence, divergence.domain)
    return Measurement(found.residual)


def gradient_gap(divergence: Divergence) -> float:
    """|grad L_gm - grad L_cgm| / |grad L_cgm| on the problem of the divergence's domain, weight 1 at every time."""
    problem = _problem(divergence.domain)
    found = matching.compare(problem, divergence, matching.parameters(problem, 1))
    return float(found.gradient_gaps(torch.ones(1, len(found.floor), dtype=torch.float64)))


def _minimum(loss: Loss, domain: str) -> Measurement:
    slope = criterion.stationary_at_target(loss, domain).residual
    curvature = criterion.least_curvature(loss, domain)
    detail = f"slope {slope:.2g}, least curvature {curvature:.2g}"
    if curvature > 1e-9:
        return Measurement(slope, detail=detail)
    return Measurement(worst(slope, 1.0), detail=f"not identified: {detail}")


def _at_functional(divergence: Divergence, functional: str) -> Measurement:
    problem = _problem(divergence.domain)
    value = functionals.FUNCTIONALS[functional](problem.joint, problem.target)
    drop = functionals.largest_drop(problem, divergence, value)
    if divergence.domain == "real":
        return Measurement(drop, detail=functional)
    t = problem.t.unique()
    residual = ctmc.five_states().forward_residual(ctmc.from_others(value), t).abs().max()
    return Measurement(drop, detail=f"{functional}: its rates miss the forward equation by {residual:.2g}")


def _spoiled(divergence: Divergence, variant: str) -> Loss:
    def negative(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return -divergence(a, b, t, x)

    def dropped(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        # What is left of KL's sum of v - u log v is - sum of (u - 1) log v: affine in u, without a minimum at u.
        return divergence(a, b, t, x) - divergence(torch.ones_like(a), b, t, x)

    return {NEGATED: negative, DROPPED: dropped}.get(variant, divergence)


@functools.cache
def _problem(domain: str) -> Problem:
    return ctmc.problem() if domain == "positive" else flows.problem(nodes=5)
