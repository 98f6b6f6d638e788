"""The numbers behind the verdicts on a divergence, in one domain: gaps, slope, curvature, and the minimiser found."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reproflow.exact import criterion, ctmc, flows, matching, minimiser
from reproflow.exact.criterion import Finding
from reproflow.exact.matching import Loss, Problem
from reproflow.judge.divergences import minimisers, scaled_loss, stratified
from reproflow.judge.divergences.minimisers import Minimiser
from reproflow.judge.divergences.scaled_loss import Scaled

TOLERANCE = 1e-8
STEP = 1e-4
NEXT = 1e-6
"""Of b itself: for differences, and for what is next to b."""


@dataclass(frozen=True)
class Facts:
    """One domain's. `times` is the range of t that was looked at.

    `network_gap` is the relative gap of the gradients of a random network, `two_point` the largest over two-point laws
    of targets. `finite` says whether the loss is, at ordinary numbers, and `depends` whether the prediction makes a
    difference at all. `slope` is the relative size of grad_b l at b = a, `curvature` the least eigenvalue of the
    Hessian there, its diagonal scaled to one (None where the gradient is not affine). `cut`: the loss moves with the
    prediction, but autograd does not see it. `found` minimises the loss on an
    enumerated problem, by `improves` of itself lower than the posterior mean; `name` is what it is called, `nearest`
    what comes closest.
    """

    domain: str
    unit: float
    times: tuple[float, float]
    network_gap: float
    two_point: Finding
    two_point_unit: float
    slope: Finding
    curvature: float | None
    finite: bool
    depends: bool
    cut: bool
    found: Minimiser
    improves: float
    name: str
    nearest: tuple[str, float]

    @property
    def gap(self) -> float:
        """The larger gap of the two; infinite where the loss is."""
        return math.inf if not self.finite else max(self.network_gap, self.two_point.residual)


def facts(loss: Scaled, domain: str) -> Facts:
    """All that is measured."""
    enumerated = problem(domain)
    found = minimisers.minimiser(enumerated, loss)
    span = stratified.times(loss, domain)
    two_point = _worse(criterion.affine_in_target(loss, domain), stratified.affine_in_target(loss, domain, span))
    return Facts(
        domain=domain,
        unit=loss.unit,
        times=span,
        network_gap=network_gap(enumerated, loss),
        two_point=two_point,
        two_point_unit=loss.unit,
        slope=_worse(_slope(loss, domain), stratified.stationary_at_target(loss, domain, span)),
        curvature=curvature(loss, domain, span) if two_point.residual <= TOLERANCE else None,
        finite=bool(loss(*scaled_loss.arguments(domain)).isfinite().all()) and stratified.finite(loss, domain, span),
        depends=_depends(loss, domain),
        cut=not _depends(loss, domain) and _moves(loss, domain),
        found=found,
        improves=found.improves(enumerated, loss),
        name=minimisers.named(enumerated, found, loss.unit),
        nearest=minimisers.nearest(enumerated, found),
    )


@functools.cache
def problem(domain: str) -> Problem:
    """The rates of a chain of five states, or flow matching between five points of the plane."""
    return ctmc.problem() if domain == "positive" else flows.problem(nodes=3)


def network_gap(enumerated: Problem, loss: Loss) -> float:
    """|grad L_gm - grad L_cgm| / |grad L_cgm| of a random network; 0 where both gradients are."""
    weight = torch.ones_like(enumerated.t)
    theta = matching.parameters(enumerated, 1).requires_grad_()
    prediction = matching.predict(enumerated, theta)
    conditional, marginal = (
        torch.autograd.grad(each(prediction, loss, weight), theta, retain_graph=True)[0]
        for each in (enumerated.conditional_loss, enumerated.marginal_loss)
    )
    gap, size = float((marginal - conditional).norm()), float(conditional.norm())
    if not math.isfinite(gap) or (gap and not size):
        return math.inf
    return gap / size if size else 0.0


def _worse(one: Finding, other: Finding) -> Finding:
    return max(one, other, key=lambda finding: finding.residual)


def curvature(loss: Loss, domain: str, span: tuple[float, float] | None = None) -> float:
    """The least eigenvalue of the Hessian of l in b at b = a with its diagonal scaled to one, the least of many.

    Over the whole domain, and with `span` over every stretch of numbers and of these times.
    Scaled so that a loss whose curvature spans many decades over b is not taken for flat. Where the diagonal is not
    positive its least entry over the largest is told; -inf where the Hessian is not finite. Where it is no number at
    b = a itself, as autograd has it for a norm squared, it is the gradient's differences across that place.
    """
    _, b, t, x = scaled_loss.arguments(domain)
    found = _curvature_at(loss, b, t, x)
    if span is not None:
        _, _, b, t, x, _ = stratified.rows(domain, span)
        found = min(found, _curvature_at(loss, b, t, x))
    return found


def _curvature_at(loss: Loss, b: Tensor, t: Tensor, x: Tensor) -> float:
    _, hessian = minimiser.derivatives(lambda prediction: loss(b, prediction, t, x).sum(), b)
    if bool(hessian.isnan().any()):
        hessian = _differences(loss, b, t, x)
    if not bool(hessian.isfinite().all()):
        return -math.inf
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    if bool((diagonal <= 0).any()):
        largest = hessian.abs().amax((1, 2))
        return float((diagonal.amin(1) / torch.where(largest > 0, largest, 1.0)).min())
    scale = diagonal.rsqrt()
    return float(torch.linalg.eigvalsh(scale[:, :, None] * hessian * scale[:, None, :]).min())


def _slope(loss: Scaled, domain: str) -> Finding:
    """grad_b l at b = a; where autograd has no number for it there, as for a squared square root, beside that place."""
    found = criterion.stationary_at_target(loss, domain)
    if math.isfinite(found.residual):
        return found

    def beside(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return 0.5 * (loss(a, (1 + NEXT) * b, t, x) + loss(a, (1 - NEXT) * b, t, x))

    return criterion.stationary_at_target(beside, domain)


def _differences(loss: Loss, a: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The Hessian of l in b at b = a, (B, D, D), by central differences of the gradient, made symmetric."""

    def gradient(b: Tensor) -> Tensor:
        b = b.detach().requires_grad_()
        return torch.autograd.grad(loss(a, b, t, x).sum(), b)[0]

    columns = []
    for d in range(a.shape[1]):
        step = torch.zeros_like(a)
        step[:, d] = STEP * a[:, d].abs()
        columns.append((gradient(a + step) - gradient(a - step)) / (2 * step[:, d : d + 1]))
    found = torch.stack(columns, 2)
    return 0.5 * (found + found.transpose(1, 2))


def with_gaps_of(own: Facts, other: Facts) -> Facts:
    """Facts on real numbers with the larger gaps that were found among the positive ones, which are real, too."""
    two_point = max(own.two_point, other.two_point, key=lambda finding: finding.residual)
    if two_point is own.two_point:
        return own
    return replace(own, two_point=two_point, two_point_unit=other.unit)


def _depends(loss: Loss, domain: str) -> bool:
    a, b, t, x = scaled_loss.arguments(domain)
    prediction: Tensor = b.clone().requires_grad_()
    return bool(torch.autograd.grad(loss(a, prediction, t, x).sum(), prediction)[0].any())


def _moves(loss: Loss, domain: str) -> bool:
    a, b, t, x = scaled_loss.arguments(domain)
    return bool((loss(a, b, t, x) != loss(a, 1.01 * b, t, x)).any())
