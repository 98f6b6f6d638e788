r"""How noisy one draw's gradient is, exactly, where the network is the exact posterior: what a time law is good for.

The loss of one draw is :math:`c(t) |y - \hat y|^2 / (s D)` with t from the law pi restricted to the range. At the
posterior mean the gradient with respect to the network's output has mean zero, and its square

.. math:: V = E\,|\nabla_{\hat y} \ell|^2 = \int \pi(t) \Big(\frac{2 c(t)}{s D}\Big)^2 S(t)\, dt, \qquad
          S(t) = E\,\mathrm{tr}\,\mathrm{Cov}(y \mid x_t)

is all noise. A weight may move into the law as long as W = pi c stays; by Cauchy and Schwarz no law has less than

.. math:: V_{min} = \Big(\int \frac{2 W(t)}{s D} \sqrt{S(t)}\, dt\Big)^2.

S is summed over x by the trapezoid rule, which is spectrally accurate here, and time by Gauss and Legendre in logit t.
Independent draws are meant: stratified times, as training draws them, have less noise.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.exact.mixture import Mixture
from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell
from reproflow.foundation.specs import Spec
from reproflow.learning.data import ToyData, get_dataset
from reproflow.learning.processes.gaussian import GaussianLoss
from reproflow.learning.training.batches import training_loss
from reproflow.numerics import gauss_rules, trapezoid
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import get_target

NODES = 64
REACH = 6.5
SPACING = 0.75
"""The trapezoid rule in x: how far it goes and its spacing, in standard deviations of the narrowest component."""
MISSING = 0.01


@dataclass(frozen=True)
class Noise:
    """V of one draw in the units of the training loss, and the least that any time law has for this objective."""

    value: float
    least: float


def noise(cell: Cell, experiment: Experiment) -> Noise:
    """The noise of a cell's gradient; NaN for data that are no mixture in the plane, and for a law with atoms."""
    unknown = Noise(math.nan, math.nan)
    data = get_dataset(experiment.dataset_spec, cell.process)
    if not isinstance(data, ToyData) or data.mixture is None or str(cell.divergence) != "squared":
        return unknown
    aim = training_loss(cell, experiment, 0)
    assert isinstance(aim, GaussianLoss)
    t, step = nodes(*aim.t_range)
    low, high = (float(aim.objective.time.cdf(torch.tensor(end, dtype=torch.float64))) for end in aim.t_range)
    density = aim.objective.time.density(t) / (high - low)
    if not abs(float(step @ density) - 1) <= MISSING:
        return unknown
    slope = aim.objective.coefficient(t) / aim.target.error_factor(aim.objective.path.at(t))
    slope = 2 * slope.abs() / (aim.scale * data.dim)
    s = _spread(experiment.dataset_spec, cell.path, experiment.target_spec(cell.target), aim.t_range)
    return Noise(float(step @ (density * slope**2 * s)), float(step @ (density * slope * s.sqrt())) ** 2)


@functools.lru_cache(maxsize=64)
def _spread(dataset: Spec, path: Spec, target: Spec, t_range: tuple[float, float]) -> Tensor:
    """S at the nodes, (N,)."""
    data = get_dataset(dataset)
    assert isinstance(data, ToyData)
    assert data.mixture is not None
    c = forward_path(path).at(nodes(*t_range)[0])
    law = Mixture(data.mixture.weights, data.mixture.means, data.mixture.stds)
    return spread(law, c, *get_target(target).coefficients(c))


def nodes(low: float, high: float) -> tuple[Tensor, Tensor]:
    """Times (N,) and their quadrature weights (N,) on [low, high]."""
    x, w = gauss_rules.tensors(gauss_rules.legendre(NODES))
    ends = [math.log(t) - math.log1p(-t) for t in (low, high)]
    half = (ends[1] - ends[0]) / 2
    t = torch.sigmoid(ends[0] + half * (1 + x))
    return t, half * w * t * (1 - t)


def spread(mixture: Mixture, c: Coefficients, a: Tensor, b: Tensor) -> Tensor:
    """S at each of the times of c: E tr Cov(a x1 + b eps | x_t), (N,)."""
    each = (c.map(functools.partial(torch.select, dim=0, index=i)) for i in range(len(c.t)))
    return torch.stack([_at(mixture, *rest) for rest in zip(each, a, b, strict=True)])


def _at(mixture: Mixture, c: Coefficients, a: Tensor, b: Tensor) -> Tensor:
    narrow, wide = (math.hypot(float(c.alpha * edge), float(c.sigma)) for edge in mixture.stds.aminmax())
    reach = float(c.alpha) * float(mixture.means.abs().max()) + REACH * wide
    count = math.ceil(2 * reach / (SPACING * narrow)) + 1
    x, area = trapezoid.square(count, reach)
    c, a, b = c.map(lambda value: value.expand(len(x))), a.expand(len(x)), b.expand(len(x))
    return area * mixture.log_density(x, c).exp() @ mixture.target_variance(x, c, a, b)
