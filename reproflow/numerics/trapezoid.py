r"""The trapezoid rule on a centred line and square, spectrally accurate for smooth integrands that decay within.

.. math:: \int_{-R}^R f \approx h \sum_i f(x_i), \qquad h = \frac{2R}{n - 1},

the weights of the ends included at full, where f is taken to vanish.
"""

from __future__ import annotations

import torch
from torch import Tensor


def line(n: int, reach: float) -> tuple[Tensor, float]:
    """n points on [-reach, reach], (n,), float64, and their spacing."""
    return torch.linspace(-reach, reach, n, dtype=torch.float64), 2 * reach / (n - 1)


def square(n: int, reach: float) -> tuple[Tensor, float]:
    """n² points on [-reach, reach]², (n², 2), float64, and the area of each."""
    axis, spacing = line(n, reach)
    return torch.cartesian_prod(axis, axis), spacing**2
