r"""What a loss targets: its minimiser on an enumerated problem, found without knowing any, and its name.

At every node of a matching problem the targets F_z have posterior weights p_z, and a free prediction b has the loss
sum_z p_z l(F_z, b). Its minimiser is searched for coordinate by coordinate (a scan, then golden section; losses with
kinks are no exception); where coordinates depend on each other, Newton's method goes on. What it is called is found by
comparing it with the functionals of `exact.functionals`, a multiple of the mean, and four families with one parameter
that must be the same everywhere,

.. math:: q: P(F < b) \le q \le P(F \le b); \quad q\, E(F - b)_+ = (1-q)\, E(b - F)_+; \quad b^p = E F^p; \quad
          e^{kb} = E e^{kF},

quantiles, expectiles, power means and exponential means. Shapes: values (N, D), targets (N, Z, D); float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.exact.functionals import FUNCTIONALS
from reproflow.exact.matching import Loss, Problem
from reproflow.exact.minimiser import derivatives
from reproflow.numerics.bisection import bisect

SCAN = 17
GOLDEN = 36
SWEEPS = 4
NEWTON = 6
SETTLED = 1e-6
SAME = 1e-5
STEADY = 1e-3
EDGE = 0.02
SPREAD = 1e-3
STEEPEST = 40.0
ONE_OF_NONE = "none of the known ones"


@dataclass(frozen=True)
class Minimiser:
    """The minimiser (N, D), the range of each node's targets (N, D), and whether it is a minimum inside the search.

    The search goes beyond the targets by as much as their range; `inside` is false where it ends there.
    """

    value: Tensor
    spread: Tensor
    inside: bool

    def improves(self, problem: Problem, loss: Loss) -> float:
        """By how much of itself the loss is lower here than at the posterior mean, at most over the nodes."""
        weight = torch.ones_like(problem.t)
        here, there = (
            problem.conditional_terms(each, loss, weight).detach() for each in (self.value, problem.marginal)
        )
        size = torch.maximum(here.abs(), there.abs()).clamp(min=1e-300)
        return float(((there - here) / size).nan_to_num(nan=math.inf).max())

    def distance(self, other: Tensor) -> float:
        """How far another value is at most, as a share of the range of the targets; infinite where it is NaN."""
        share = ((self.value - other).abs() / self.spread).nan_to_num(nan=math.inf)
        return float(share.max())


def minimiser(problem: Problem, loss: Loss) -> Minimiser:
    """The unrestricted prediction that minimises the conditional loss of a problem, node by node."""
    positive = problem.domain == "positive"
    low, high = _ends(problem)
    left, right = (low.log(), high.log()) if positive else (low, high)
    width = right - left
    left, right = left - width, right + width
    repeated = functools.cache(lambda times: _repeated(problem, times))

    def value(chart: Tensor) -> Tensor:
        return chart.exp() if positive else chart

    def costs(charts: Tensor) -> Tensor:
        """(K, N, D) -> (K, N), by one call of the loss."""
        many = repeated(len(charts))
        terms = many.conditional_terms(value(charts).flatten(0, 1), loss, torch.ones_like(many.t))
        return terms.detach().view(charts.shape[:2]).nan_to_num(nan=torch.inf)

    place, settled = 0.5 * (left + right), False
    for _ in range(SWEEPS):
        before = place
        for d in range(place.shape[1]):
            place = _along(costs, place, left, right, d)
        settled = bool(((place - before).abs() <= SETTLED * width).all())
        if settled:
            break
    inside = bool(((place > left + EDGE * width) & (place < right - EDGE * width)).all())
    found = value(place)
    return Minimiser(_polished(problem, loss, found) if inside and not settled else found, high - low, inside)


def _ends(problem: Problem) -> tuple[Tensor, Tensor]:
    """The least and the greatest possible target of every node, (N, D) each."""
    possible = (problem.joint > 0)[..., None]
    low = torch.where(possible, problem.target, math.inf).amin(1)
    return low, torch.where(possible, problem.target, -math.inf).amax(1)


def _repeated(problem: Problem, times: int) -> Problem:
    """The same nodes again and again."""
    return Problem(
        problem.process,
        problem.domain,
        problem.t.repeat(times),
        problem.x.repeat(times, 1),
        problem.joint.repeat(times, 1),
        problem.target.repeat(times, 1, 1),
    )


def _along(costs: Callable[[Tensor], Tensor], place: Tensor, left: Tensor, right: Tensor, d: int) -> Tensor:
    """The best place along coordinate d: the best of a scan, then golden section between its neighbours."""

    def at(share: Tensor) -> Tensor:
        """Places at shares (K, N) of the way."""
        moved = place.repeat(len(share), 1, 1)
        moved[..., d] = left[:, d] + share * (right[:, d] - left[:, d])
        return moved

    # From the middle outwards, so that where many do as well the middle is taken.
    shares = torch.linspace(0, 1, SCAN, dtype=place.dtype)
    shares = shares[(shares - 0.5).abs().argsort()]
    best = shares[costs(at(shares[:, None].expand(-1, len(place)))).argmin(0)]
    low, high = ((best + step / (SCAN - 1)).clamp(0, 1) for step in (-1, 1))
    golden = 0.5 * (math.sqrt(5) - 1)
    for _ in range(GOLDEN):
        inner, outer = high - golden * (high - low), low + golden * (high - low)
        inner_cost, outer_cost = costs(at(torch.stack([inner, outer])))
        lower = inner_cost <= outer_cost
        low, high = torch.where(lower, low, inner), torch.where(lower, outer, high)
    return at(0.5 * (low + high)[None])[0]


def _polished(problem: Problem, loss: Loss, value: Tensor) -> Tensor:
    """Newton's method from there, at the nodes where it stays near and does not raise the loss."""
    weight = torch.ones_like(problem.t)
    moved = value
    for _ in range(NEWTON):
        gradient, second = derivatives(lambda b: problem.conditional_loss(b, loss, weight), moved)
        good = gradient.isfinite().all(1) & second.isfinite().all(2).all(1)
        gradient, second = torch.where(good[:, None], gradient, 0.0), torch.where(good[:, None, None], second, 0.0)
        moved = moved - (torch.linalg.pinv(second, rtol=1e-10, hermitian=True) @ gradient[..., None]).squeeze(-1)
        if problem.domain == "positive":
            moved = torch.maximum(moved, 0.1 * value)
    before, after = (problem.conditional_terms(each, loss, weight).detach() for each in (value, moved))
    low, high = _ends(problem)
    near = ((moved - value).abs() <= high - low).all(1)
    better = near & (after <= before + 1e-12 * before.abs())
    return torch.where(better[:, None], moved, value)


def named(problem: Problem, found: Minimiser, unit: float = 1.0) -> str:
    """The name of what the minimiser is of the posterior, or `ONE_OF_NONE`; targets are told to losses in that unit."""
    for name, functional in FUNCTIONALS.items():
        if found.distance(functional(problem.joint, problem.target)) <= SAME:
            return name
    return next(_families(problem, found, unit), ONE_OF_NONE)


def nearest(problem: Problem, found: Minimiser) -> tuple[str, float]:
    """The closest functional without a parameter, and the largest distance from it in ranges of the targets."""
    distances = {name: found.distance(each(problem.joint, problem.target)) for name, each in FUNCTIONALS.items()}
    name = min(distances, key=lambda each: distances[each])
    return name, distances[name]


def _families(problem: Problem, found: Minimiser, unit: float) -> Iterator[str]:
    """The families of which the minimiser is a member, each with its parameter."""
    weights = (problem.joint / problem.joint.sum(1, keepdim=True))[..., None]
    target, value = problem.target, found.value[:, None]
    mean = (weights * target).sum(1)
    # Where all targets but one have no weight to speak of, every functional is the same.
    telling = (weights * (target - mean[:, None]).square()).sum(1) > (SPREAD * found.spread).square()
    ratio = _steady((found.value / mean)[telling])
    if ratio is not None:
        yield f"{ratio:.4g} times the mean"
    level = _quantile(weights, target, value, found.spread, telling)
    if level is not None:
        yield f"quantile at {level:g}"
    above, below = ((weights * (sign * (target - value)).clamp(min=0)).sum(1) for sign in (1, -1))
    tau = _steady((below / (above + below))[telling])
    if tau is not None:
        yield f"expectile at {tau:.4g}"
    if problem.domain == "positive":
        exponent = _steady(_solved(lambda p: _power_mean(weights, target, p), found.value)[telling])
        if exponent is not None:
            yield f"power mean with exponent {exponent:.4g}"
    scale = found.spread[:, None]
    k = _solved(lambda k: _exponential_mean(weights, (target - value) / scale, k), torch.zeros_like(found.value))
    rate = _steady((k / found.spread)[telling])
    if rate is not None:
        yield f"exponential mean with rate {rate / unit:.4g}"


def _steady(values: Tensor) -> float | None:
    """The common value of all, if they have one."""
    if not len(values) or not bool(values.isfinite().all()):
        return None
    middle = float(values.median())
    return middle if float((values - middle).abs().max()) <= STEADY * max(abs(middle), 1e-2) else None


def _quantile(weights: Tensor, target: Tensor, value: Tensor, spread: Tensor, telling: Tensor) -> float | None:
    """The level of which every minimiser is a quantile, if there is one: all of them are targets then."""
    off = (target - value) / spread[:, None]
    if bool((off.abs().amin(1) > SAME)[telling].any()):
        return None
    below, upto = ((weights * (off <= end)).sum(1)[telling] for end in (-SAME, SAME))
    low, high = float(below.max()), float(upto.min())
    if low > high:
        return None
    middle = 0.5 * (low + high)
    return next((short for digits in (1, 2, 3) if low <= (short := round(middle, digits)) <= high), middle)


def _power_mean(weights: Tensor, target: Tensor, exponent: Tensor) -> Tensor:
    """(E F^p)^(1/p) for exponents (N, D)."""
    p = torch.where(exponent.abs() < 1e-9, 1e-9, exponent)
    return ((weights.log() + p[:, None] * target.log()).logsumexp(1) / p).exp()


def _exponential_mean(weights: Tensor, target: Tensor, rate: Tensor) -> Tensor:
    """log(E exp(k F)) / k for rates (N, D)."""
    k = torch.where(rate.abs() < 1e-9, 1e-9, rate)
    return (weights.log() + k[:, None] * target).logsumexp(1) / k


def _solved(rising: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """The parameter in [-40, 40] at which a family that rises with it has the value; NaN at the ends."""
    low, high = torch.full_like(value, -STEEPEST), torch.full_like(value, STEEPEST)
    solution = bisect(lambda parameter: rising(parameter) < value, low, high, 50)
    return torch.where(solution.abs() < 0.99 * STEEPEST, solution, math.nan)
