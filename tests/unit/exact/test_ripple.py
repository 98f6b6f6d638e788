"""An error of the velocity whose models are exact: against quadrature in x, without the module's grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from reproflow.exact.ripple import Ripple


def test_the_excess_is_the_mean_square_of_the_error() -> None:
    """T E[A² sin²(k x)], x ~ N(0, 1)."""
    mean = integrate.quad(lambda x: stats.norm.pdf(x) * np.sin(1.3 * x) ** 2, -12, 12)[0]
    assert Ripple(1.3, 0.7, 0.8).fm_excess == pytest.approx(0.8 * 0.49 * mean, rel=1e-9)


def test_one_ancestral_step_has_the_divergence_of_data_from_model() -> None:
    """From noise alone one step gives N(f A sin(k z), 1), f = 2 sin(pi T/2)/pi; KL(q||p), not KL(p||q)."""
    ripple = Ripple(1.0, 3.0, 0.9)
    shift = 2 / math.pi * math.sin(0.45 * math.pi) * 3.0
    x = np.linspace(-7, 7, 401)
    z = np.linspace(-9, 9, 1201)
    q = stats.norm.pdf(x)
    p = integrate.trapezoid(stats.norm.pdf(z) * stats.norm.pdf(x[:, None] - shift * np.sin(z)), z, axis=1)
    forward, backward = (integrate.trapezoid(a * np.log(a / b), x) for a, b in ((q, p), (p, q)))
    assert ripple.ancestral_kl(1) == pytest.approx(forward, rel=1e-4)
    assert abs(forward - backward) > 0.05 * forward
