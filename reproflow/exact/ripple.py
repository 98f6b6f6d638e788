r"""A velocity with a known error whose flow and whose ancestral chain have exact likelihoods: one error, two models.

Data N(0, 1) on the cosine path, alpha = sin(pi t/2), sigma = cos(pi t/2): x_t is N(0, 1) at every t and the marginal
velocity is zero. The model's velocity is its error, u = A sin(k x) for t < T. Its flow is known,

.. math:: \tan(k x_T / 2) = e^{c} \tan(k x_0 / 2), \qquad c = k A T,

it carries all mass to the odd multiples of pi/k, and for k large KL(q||p) tends to 2 log cosh(c/2). The same error
makes an ancestral chain, whose Gaussian steps have a wrong mean; its path divergence, which the ELBO bounds its KL by,
grows with A² alone. In nats, float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reproflow.exact.shares import Array

POINTS = 20_001
GRID = 561


@dataclass(frozen=True)
class Ripple:
    """The error A sin(k x) on [0, T]: `amplitude` A, `frequency` k, `end` T < 1."""

    frequency: float
    amplitude: float = 0.5
    end: float = 0.9

    @property
    def stretch(self) -> float:
        """c = k A T."""
        return self.frequency * self.amplitude * self.end

    @property
    def fm_excess(self) -> float:
        """int E|u_theta - u|² dt = A² T (1 - exp(-2 k²))/2."""
        return self.amplitude**2 * self.end * -math.expm1(-2 * self.frequency**2) / 2

    def flow_kl(self) -> float:
        """KL(N(0, 1) || the law of x_T under the flow from N(0, 1)), by the trapezoid rule."""
        x = np.linspace(-9, 9, POINTS)
        start, log_slope = self.inverse(x)
        density = np.exp(-(x**2) / 2)
        return float((density * (0.5 * (start**2 - x**2) - log_slope)).sum() / density.sum())

    def inverse(self, x: Array) -> tuple[Array, Array]:
        """x_0 of x_T and log |dx_0/dx_T|, of x's shape."""
        phase, shrink = 0.5 * self.frequency * x, math.exp(-self.stretch)
        turns = np.round(phase / math.pi)
        inner = phase - turns * math.pi
        start = 2 / self.frequency * (np.arctan(shrink * np.tan(inner)) + turns * math.pi)
        return start, math.log(shrink) - np.log(np.cos(inner) ** 2 + (shrink * np.sin(inner)) ** 2)

    def levels(self, steps: int) -> tuple[Array, Array, Array]:
        """By step from t to s: the correlation of z_t and z_s, the factor of the error in the mean, the variance.

        The velocity's error d makes one of 2 sigma d/pi in E[x|z], which q(z_s|z_t, x) takes on with the factor
        alpha_s sigma_(t|s)²/sigma_t², sigma_(t|s)² = sigma_t² - (alpha_t/alpha_s)² sigma_s².
        """
        angle = 0.5 * math.pi * np.linspace(0, self.end, steps + 1)
        alpha, sigma = np.sin(angle), np.cos(angle)
        ratio = alpha[:-1] / alpha[1:]
        spread = sigma[:-1] ** 2 - (ratio * sigma[1:]) ** 2
        return ratio, alpha[1:] * spread / sigma[:-1] ** 2 * 2 * sigma[:-1] / math.pi, 1 - ratio**2

    def path_kl(self, steps: int) -> float:
        """KL of the chains z_0 .. z_T, q against model, in so many steps: what the ELBO bounds KL(q||p) by."""
        _, factor, variance = self.levels(steps)
        mean_square = self.amplitude**2 * -math.expm1(-2 * self.frequency**2) / 2
        return float((factor**2 * mean_square / (2 * variance)).sum())

    def ancestral_kl(self, steps: int) -> float:
        """KL(N(0, 1) || the law of z_T under the ancestral chain): its transition densities applied on a grid."""
        z = np.linspace(-7, 7, GRID)
        h = z[1] - z[0]
        q = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        p = q
        for ratio, factor, variance in zip(*self.levels(steps), strict=True):
            mean = ratio * z + factor * self.amplitude * np.sin(self.frequency * z)
            kernel = np.exp(-((z[:, None] - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
            p = h * kernel @ p
        return float(h * (q * np.log(q / p)).sum())
