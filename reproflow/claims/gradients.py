r"""Is the mean of random gradient differences zero? An unbiased squared norm and its interval, from blocks.

Let d_1..d_M be block means of gradient differences and g_1..g_M of the gradients themselves. Pairs of different blocks
are independent, so

.. math:: U(d) = \frac{|\sum_b d_b|^2 - \sum_b |d_b|^2}{M(M-1)}, \qquad E\,U(d) = |E d|^2,

has no noise floor, where |mean d|² has one. The statistic is the relative squared gap U(d)/U(g); its interval comes
from the delete-one-block jackknife with Student's t. All of it needs only the two M x M Gram matrices. Where E d = 0
the jackknife variance of such a degenerate U-statistic is up to twice too large: the interval errs on the wide side.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reproflow.claims.policy import Measurement

NOT_RESOLVED = "the mean gradient is not resolved from zero: relative gap undefined; more samples or another network"


def relative_gap(differences: Tensor, gradients: Tensor, n: int, level: float = 0.95) -> Measurement:
    """U(d)/U(g) with its jackknife interval, from block means (M, P); n is the number of samples behind them.

    The statistic is NaN when the interval of U(g) reaches zero.
    """
    upper, lower = _jackknife(differences), _jackknife(gradients)
    if not lower[0] - _half_width(lower[1], level) > 0:
        return Measurement(math.nan, n, detail=NOT_RESOLVED)
    statistic, half = float(upper[0] / lower[0]), _half_width(upper[1] / lower[1], level)
    # A squared norm is not negative: where its estimate is, that is noise, and the upper end starts from zero.
    return Measurement(statistic, n, statistic - half, max(statistic, 0.0) + half)


def _jackknife(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """U over all blocks (scalar) and with each block left out (M,)."""
    gram = blocks.double() @ blocks.double().T
    m, own, cross = len(gram), gram.diagonal(), gram.sum() - gram.trace()
    without = cross - 2 * (gram.sum(1) - own)
    return cross / (m * (m - 1)), without / ((m - 1) * (m - 2))


def _half_width(left_out: Tensor, level: float) -> float:
    """Half the width of the jackknife interval, from the statistic with each of M blocks left out."""
    from scipy.stats import t as student

    m = len(left_out)
    variance = (m - 1) / m * (left_out - left_out.mean()).square().sum()
    return float(student.ppf(0.5 * (1 + level), m - 1) * torch.sqrt(variance))
