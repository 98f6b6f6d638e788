r"""How noisy the stochastic gradient is under this time law, under uniform time, and under the best law there is.

An objective is :math:`\int W(t) E\,\ell_t\, dt`, W = pi c. Whichever law q draws the times, importance weights W/q keep
the objective, and one draw of t, data and noise has a gradient g with the same mean G and

.. math:: E|g|^2 = \int \frac{W^2}{q} S\, dt, \qquad S(t) = E|\nabla_\theta \ell_t|^2, \qquad
          q^* \propto |W| \sqrt{S}, \qquad E_{q^*}|g|^2 = \Big(\int |W| \sqrt{S}\Big)^2,

the last by Cauchy and Schwarz: no law does better than q*. The variance told is tr Cov(g) / |G|² = E|g|²/|G|² - 1, so
that a batch of this many independent draws has a noise as large as its mean. S and G depend on the network. Two are
told: `start`, a network that answers 0 (or uniformly), as training here begins, and `trained`, one that answers with
the posterior, where G = 0 and only ratios remain.

The network is linear in its parameters: theta times tanh features with fixed random weights. Gaussian: the data are
`eight_gaussians`; with a residual r = f - y, grad = 2 r (x) phi, so that S = 4 E[(|f - E[y|x]|² + tr Var(y|x)) |phi|²],
summed over x by the trapezoid rule (spectrally accurate here). Masked: four tokens, all states (`judge.tokens`). Over t
S and G are polynomials of degree 5 on panels in logit t, and W and q are summed on a finer Gauss-Legendre rule.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.exact import four_tokens
from reproflow.exact.mixture import Mixture
from reproflow.foundation import seeds
from reproflow.foundation.by_process import ByProcess
from reproflow.judge.objectives.gradient_identity import RANGE, inside
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.numerics import gauss_rules, trapezoid
from reproflow.numerics.intervals import Interval
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.targets import get_target

PANELS = 12
COARSE = 6
PARTS = 16
FINE = 4
FEATURES = 24
REACH = 6.5
SPACING = 0.75
"""The trapezoid rule in x: how far it goes and its spacing, in standard deviations of the narrowest component."""
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
MISSING = 0.01


@dataclass(frozen=True)
class Model:
    """The data and the network that gradients are computed for, in words, and the moments of one draw's gradient.

    `moments(c, output)` gives `Moments` at the times of c as tensors.
    """

    words: str
    moments: Callable[[Coefficients, str], tuple[Tensor, Tensor, Tensor]]


MODELS: ByProcess[Callable[[], Model]] = ByProcess("variance of gradients", __name__)
"""By process: the model whose gradients are computed."""


@dataclass(frozen=True)
class Rule:
    """A quadrature in t: nodes and weights (N,), `FINE` in each of the parts between `edges`."""

    t: np.ndarray
    step: np.ndarray
    edges: np.ndarray

    def sum(self, values: np.ndarray) -> Any:
        """The integral of values (N, ..)."""
        return self.step @ values


@dataclass(frozen=True)
class Moments:
    """At times (N,): S at the start and of a trained network (N,), and the mean gradient at the start (N, P)."""

    start: np.ndarray
    trained: np.ndarray
    mean: np.ndarray


def measure(subject: NumericObjective, t_range: Interval | None = None) -> dict[str, Any]:
    """`this`, `uniform` and `optimal`: tr Cov/|G|² of one draw at the start; their ratios, and the optimal quantiles.

    `reason` says why where they are null: a weight that is infinite or zero at the nodes, a law with atoms, or a range
    so close to an end of (0, 1) that the panels are too wide for S.
    """
    low, high = inside(t_range)
    coarse, rule = _rules(low, high)
    weight = subject.on_output(rule.t)
    mass = subject.cdf(high) - subject.cdf(low)
    density = subject.density(rule.t) / mass if mass > 0 else np.zeros_like(rule.t)
    if reason := _undefined(rule, weight, density):
        return _nothing((low, high), subject.objective.process, reason)
    weight, density = weight / np.abs(weight).max(), density / rule.sum(density)
    moments = _interpolated(_moments(subject, torch.from_numpy(coarse)))
    # A polynomial through squared gradients that is negative between its nodes is no approximation of them.
    if min(moments.start.min(), moments.trained.min()) < 0:
        reason = "the squared gradient changes too fast for this quadrature; give a --range further inside (0, 1)"
        return _nothing((low, high), subject.objective.process, reason)
    return _told(rule, weight, density, moments, (low, high), subject.objective.process)


def _undefined(rule: Rule, weight: np.ndarray, density: np.ndarray) -> str:
    if not np.isfinite(weight).all():
        return f"the weight is infinite at t = {rule.t[~np.isfinite(weight)][0]:.4g}"
    if not weight.any():
        return "the weight is zero"
    if not abs(rule.sum(density) - 1) <= MISSING:
        return f"the time law's density adds up to {rule.sum(density):.4g}, not 1: it has atoms, or peaks too narrow"
    return ""


def nothing(reason: str, process: str) -> dict[str, Any]:
    """The answer where there is no objective."""
    return _nothing(RANGE, process, reason)


def _nothing(t_range: Interval, process: str, reason: str) -> dict[str, Any]:
    empty = dict.fromkeys(("this", "uniform", "optimal", "start", "trained", "optimal_law"))
    return {**empty, "range": list(t_range), "model": MODELS[process]().words, "reason": f"not defined: {reason}"}


def _told(
    rule: Rule, weight: np.ndarray, density: np.ndarray, moments: Moments, t_range: Interval, process: str
) -> dict[str, Any]:
    squared = float(np.square(rule.sum(weight[:, None] * moments.mean)).sum())
    start = np.array(_seconds(rule, weight, density, moments.start)) - squared
    trained = np.array(_seconds(rule, weight, density, moments.trained))
    names = ("this", "uniform", "optimal")
    relative = {name: _plain(value / squared) for name, value in zip(names, start, strict=True)}
    laws = {
        name: _quantiles(rule, np.abs(weight) * np.sqrt(each))
        for name, each in (("start", moments.start), ("trained", moments.trained))
    }
    ratios = {"start": _ratios(start), "trained": _ratios(trained)}
    return {
        **relative,
        **ratios,
        "optimal_law": {"u": list(LEVELS), **laws},
        "range": list(t_range),
        "model": MODELS[process]().words,
        "reason": _reason(ratios, t_range),
    }


def _seconds(rule: Rule, weight: np.ndarray, density: np.ndarray, s: np.ndarray) -> tuple[float, float, float]:
    """E|g|² under this law, under uniform time, and under the best."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(weight == 0, 0.0, weight**2 / density * s)
    length = rule.sum(np.ones_like(rule.t))
    return rule.sum(own), length * rule.sum(weight**2 * s), rule.sum(np.abs(weight) * np.sqrt(s)) ** 2


def _ratios(values: Iterable[float]) -> dict[str, Any]:
    this, uniform, optimal = values
    return {"this_over_uniform": _plain(this / uniform), "this_over_optimal": _plain(this / optimal)}


def _reason(ratios: dict[str, dict[str, Any]], t_range: Interval) -> str:
    start, trained = ratios["start"], ratios["trained"]
    return (
        f"of one draw's gradient: {_said(start['this_over_uniform'])} times that of uniform time and "
        f"{_said(start['this_over_optimal'])} times the least possible at the start of training, "
        f"{_said(trained['this_over_uniform'])} and {_said(trained['this_over_optimal'])} times once trained "
        f"(same objective, t in [{t_range[0]:g}, {t_range[1]:g}], small problem)"
    )


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _plain(value: float) -> float | str:
    return float(value) if math.isfinite(value) else "inf"


def _quantiles(rule: Rule, density: np.ndarray) -> list[float]:
    """The times at `LEVELS` of the law with this density at the nodes."""
    below = np.concatenate([[0.0], np.cumsum((rule.step * density).reshape(-1, FINE).sum(1))])
    return np.interp(np.array(LEVELS) * below[-1], below, rule.edges).tolist()


# -- time --------------------------------------------------------------------------------------------------------------


def _rules(low: float, high: float) -> tuple[np.ndarray, Rule]:
    """The coarse nodes (PANELS x COARSE,) and the fine rule, both in logit t."""
    ends = math.log(low) - math.log1p(-low), math.log(high) - math.log1p(-high)
    edges = np.linspace(*ends, PANELS + 1)
    half = 0.5 * (edges[1] - edges[0])
    middle = 0.5 * (edges[1:] + edges[:-1])
    inside, step = _fine()
    t = _expit((middle[:, None] + half * inside).ravel())
    weights = np.tile(half * step, PANELS) * t * (1 - t)
    rule = Rule(t, weights, _expit(np.linspace(*ends, PANELS * PARTS + 1)))
    return _expit((middle[:, None] + half * gauss_rules.legendre(COARSE)[0]).ravel()), rule


def _fine() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [-1, 1] of `PARTS` equal parts with `FINE` Gauss-Legendre nodes each."""
    nodes, weights = gauss_rules.legendre(FINE)
    middle = (2 * np.arange(PARTS) + 1) / PARTS - 1
    return (middle[:, None] + nodes / PARTS).ravel(), np.tile(weights / PARTS, PARTS)


def _expit(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def _interpolated(moments: Moments) -> Moments:
    """From the coarse nodes to the fine ones, panel by panel, by Lagrange's polynomials."""
    nodes, (fine, _) = gauss_rules.legendre(COARSE)[0], _fine()
    powers = np.linalg.solve(np.vander(nodes).T, np.vander(fine, COARSE).T).T

    def each(values: np.ndarray) -> np.ndarray:
        panels = values.reshape(PANELS, COARSE, -1)
        return np.einsum("fc,pcv->pfv", powers, panels).reshape(-1, *values.shape[1:])

    return Moments(each(moments.start), each(moments.trained), each(moments.mean))


# -- networks ----------------------------------------------------------------------------------------------------------


def _moments(subject: NumericObjective, t: Tensor) -> Moments:
    c = subject.objective.path.at(t)
    rows = MODELS[subject.objective.process]().moments(c, subject.output)
    return Moments(*(each.numpy() for each in rows))


def of_tokens(c: Coefficients, output: str) -> tuple[Tensor, Tensor, Tensor]:
    z, shown, posterior = four_tokens.states()
    phi, hidden = four_tokens.features(z), (z == four_tokens.LETTERS).double()
    p, size = four_tokens.seen(z, c.alpha, c.sigma) * shown, phi.square().sum(1)
    start = p @ (size * hidden.sum(1) * (1 - 1 / four_tokens.LETTERS))
    trained = p @ (size * (hidden * (1 - posterior.square().sum(-1))).sum(1))
    residual = hidden[..., None] * (1 / four_tokens.LETTERS - posterior)
    mean = p @ torch.einsum("zf,zlv->zflv", phi, residual).flatten(1)
    return start, trained, mean


def of_points(c: Coefficients, output: str) -> tuple[Tensor, Tensor, Tensor]:
    found = [_at(c.map(functools.partial(torch.select, dim=0, index=i)), output) for i in range(len(c.t))]
    start, trained, mean = (torch.stack(rows) for rows in zip(*found, strict=True))
    return start, trained, mean


def _at(c: Coefficients, output: str) -> tuple[Tensor, Tensor, Tensor]:
    """The same at one time."""
    mixture = _mixture()
    a, b = get_target(output).coefficients(c)
    x, area = _grid(mixture, c)
    p, y = area * mixture.log_density(x, c).exp(), mixture.target_mean(x, c, a, b)
    phi, noise = _features(x / torch.hypot(c.alpha, c.sigma), c.t), mixture.target_variance(x, c, a, b)
    size = p * phi.square().sum(1)
    return 4 * size @ (y.square().sum(1) + noise), 4 * size @ noise, -2 * ((p[:, None] * y).T @ phi).flatten()


@functools.cache
def _mixture() -> Mixture:
    from reproflow.learning.data import get_dataset

    found: Any = get_dataset("eight_gaussians")
    return found.mixture


def _grid(mixture: Mixture, c: Coefficients) -> tuple[Tensor, float]:
    """Points of the trapezoid rule for p_t (N, 2), and the area of each."""
    narrow = math.hypot(float(c.alpha) * float(mixture.stds.min()), float(c.sigma))
    wide = math.hypot(float(c.alpha) * float(mixture.stds.max()), float(c.sigma))
    reach = float(c.alpha) * float(mixture.means.abs().max()) + REACH * wide
    n = math.ceil(2 * reach / (SPACING * narrow)) + 1
    return trapezoid.square(n, reach)


def _features(x: Tensor, t: Tensor) -> Tensor:
    """phi: tanh of random combinations of x (N, 2), of t, () or (N,), and t², and a constant, (N, FEATURES + 1)."""
    ones, centred = torch.ones(len(x), 1, dtype=x.dtype), (2 * t - 1).expand(len(x))[:, None]
    inputs = torch.cat([x, centred, centred.square(), ones], 1)
    return torch.cat([torch.tanh(inputs @ _combinations()), ones], 1)


@functools.cache
def _combinations() -> Tensor:
    """Random, but always the same, (5, FEATURES)."""
    return torch.randn(5, FEATURES, generator=seeds.generator("features of points"), dtype=torch.float64)
