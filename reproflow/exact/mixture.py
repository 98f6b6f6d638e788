r"""A Gaussian mixture as data: every marginal quantity of a Gaussian path in closed form.

With data :math:`x_1 \sim \sum_m \pi_m N(\mu_m, s_m^2 I)` and :math:`x_t = \alpha x_1 + \sigma \epsilon`, the marginal
is the mixture of :math:`N(\alpha\mu_m, v_m I)`, :math:`v_m = \alpha^2 s_m^2 + \sigma^2`, and with the responsibilities
:math:`r_m(x)` of its components

.. math:: E[x_1|x] = \sum_m r_m \Big(\mu_m + \frac{\alpha s_m^2}{v_m}(x - \alpha\mu_m)\Big), \qquad
          E[\epsilon|x] = \sum_m r_m \frac{\sigma}{v_m}(x - \alpha\mu_m),

so that the marginal velocity alpha' E[x1|x] + sigma' E[eps|x] (002; 004 eq. 12) needs no division by sigma and
holds at both ends. Given component and x, the target a x1 + b eps has variance s²(a sigma - b alpha)²/v a dimension.
Shapes: x (B, D), the coefficients' t (B,) or a scalar; float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.theory.coefficients import Coefficients


@dataclass(frozen=True)
class Mixture:
    """Isotropic Gaussian mixture: weights (M,), means (M, D), stds (M,), kept in float64.

    Raises `ValueError` when the shapes do not fit, a weight or std is not positive, or the weights do not sum to 1.
    """

    weights: Tensor
    means: Tensor
    stds: Tensor

    def __post_init__(self) -> None:
        for name in ("weights", "means", "stds"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64))
        m = len(self.weights)
        if self.weights.shape != (m,) or self.stds.shape != (m,) or self.means.ndim != 2 or len(self.means) != m:
            shapes = [tuple(x.shape) for x in (self.weights, self.means, self.stds)]
            raise ValueError(f"a mixture takes weights (M,), means (M, D), stds (M,); got {shapes}")
        if not (bool((self.weights > 0).all()) and bool((self.stds > 0).all())):
            raise ValueError("weights and stds of a mixture must be positive")
        if abs(float(self.weights.sum()) - 1) > 1e-12:
            raise ValueError(f"weights of a mixture must sum to 1; they sum to {float(self.weights.sum()):.17g}")

    def log_components(self, x: Tensor, c: Coefficients) -> Tensor:
        """log pi_m N(x; alpha mu_m, v_m I), (B, M)."""
        offset, variance = self._offset(x, c), self._variance(c)
        dimension = self.means.shape[1]
        quadratic = offset.square().sum(-1) / variance
        return self.weights.log() - 0.5 * (quadratic + dimension * (2 * math.pi * variance).log())

    def log_density(self, x: Tensor, c: Coefficients) -> Tensor:
        """log p_t(x), (B,), in nats."""
        return self.log_components(x, c).logsumexp(-1)

    def responsibilities(self, x: Tensor, c: Coefficients) -> Tensor:
        """r_m(x) = P(component m | x_t = x), (B, M)."""
        return self.log_components(x, c).softmax(-1)

    def target_mean(self, x: Tensor, c: Coefficients, a: Tensor, b: Tensor) -> Tensor:
        """E[a x1 + b eps | x_t = x], (B, D); a, b of t's shape."""
        return (self.responsibilities(x, c)[..., None] * self._component_mean(x, c, a, b)).sum(-2)

    def target_variance(self, x: Tensor, c: Coefficients, a: Tensor, b: Tensor) -> Tensor:
        """tr Cov(a x1 + b eps | x_t = x), (B,); a, b of t's shape."""
        r, means = self.responsibilities(x, c), self._component_mean(x, c, a, b)
        within = self.stds**2 * _last(a * c.sigma - b * c.alpha, 1) ** 2 / self._variance(c)
        centred = means - (r[..., None] * means).sum(-2, keepdim=True)
        return (r * (self.means.shape[1] * within + centred.square().sum(-1))).sum(-1)

    def posterior_mean(self, x: Tensor, c: Coefficients) -> Tensor:
        """E[x1 | x_t = x], (B, D)."""
        return self.target_mean(x, c, torch.ones_like(c.alpha), torch.zeros_like(c.alpha))

    def marginal_velocity(self, x: Tensor, c: Coefficients) -> Tensor:
        """u_t(x) = E[alpha' x1 + sigma' eps | x_t = x], (B, D) (004 eq. 12)."""
        return self.target_mean(x, c, c.dalpha, c.dsigma)

    def velocity_variance(self, x: Tensor, c: Coefficients) -> Tensor:
        """tr Var(u_t(x|x1) | x_t = x), (B,): what conditional flow matching cannot reduce (LOSS-1)."""
        return self.target_variance(x, c, c.dalpha, c.dsigma)

    def score(self, x: Tensor, c: Coefficients) -> Tensor:
        """grad log p_t(x), (B, D)."""
        return -(self.responsibilities(x, c) / self._variance(c)).unsqueeze(-1).mul(self._offset(x, c)).sum(-2)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws of x1, (n, D)."""
        index = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], dtype=torch.float64, generator=generator)
        return self.means[index] + self.stds[index, None] * noise

    def expected_velocity_variance(self, c: Coefficients, n: int, generator: torch.Generator) -> Tensor:
        """E tr Var(u | x_t) at each of the times of c, of t's shape, by n draws of x_t (the same noise at every t)."""
        x1 = self.sample(n, generator)
        eps = torch.randn(x1.shape, dtype=torch.float64, generator=generator)
        values = [self.velocity_variance(each.alpha * x1 + each.sigma * eps, each).mean() for each in _each(c)]
        return torch.stack(values).reshape(c.t.shape)

    def _variance(self, c: Coefficients) -> Tensor:
        return _last(c.alpha, 1) ** 2 * self.stds**2 + _last(c.sigma, 1) ** 2

    def _offset(self, x: Tensor, c: Coefficients) -> Tensor:
        return x.unsqueeze(-2) - _last(c.alpha, 2) * self.means

    def _component_mean(self, x: Tensor, c: Coefficients, a: Tensor, b: Tensor) -> Tensor:
        slope = (_last(a * c.alpha, 1) * self.stds**2 + _last(b * c.sigma, 1)) / self._variance(c)
        return _last(a, 2) * self.means + slope.unsqueeze(-1) * self._offset(x, c)


def _last(value: Tensor, dimensions: int) -> Tensor:
    """A coefficient of shape (B,) or () with that many dimensions appended."""
    return value.reshape(value.shape + (1,) * dimensions)


def _each(c: Coefficients) -> list[Coefficients]:
    """The coefficients at each time, as scalars."""
    columns = torch.stack([c.t, c.alpha, c.sigma, c.dalpha, c.dsigma]).reshape(5, -1)
    return [Coefficients(t, a, s, da, ds, c.process) for t, a, s, da, ds in columns.unbind(1)]
