r"""Is the mean of random gradient differences zero? An unbiased squared norm and its interval, from blocks.

Let d_1..d_M be block means of gradient differences and g_1..g_M of the gradients themselves. Pairs of different blocks
are independent, so

.. math:: U(d) = \frac{|\sum_b d_b|^2 - \sum_b |d_b|^2}{M(M-1)}, \qquad E\,U(d) = |E d|^2,

has no noise floor, where |mean d|² has one. The statistic is the relative squared gap U(d)/U(g); its interval comes
from the delete-one-block jackknife with Student's t (`numerics.statistics`). Where E d = 0 the jackknife variance of
such a degenerate U-statistic is up to twice too large: the interval errs on the wide side.
"""

from __future__ import annotations

import math

from torch import Tensor

from reproflow.claims.policy import Measurement
from reproflow.numerics import statistics

NOT_RESOLVED = "the mean gradient is not resolved from zero: relative gap undefined; more samples or another network"


def relative_gap(differences: Tensor, gradients: Tensor, n: int, level: float = 0.95) -> Measurement:
    """U(d)/U(g) with its jackknife interval, from block means (M, P); n is the number of samples behind them.

    The statistic is NaN when the interval of U(g) reaches zero.
    """
    if not statistics.squared_mean(gradients.numpy(), level).low > 0:
        return Measurement(math.nan, n, detail=NOT_RESOLVED)
    gap = statistics.relative_gap(differences.numpy(), gradients.numpy(), level)
    # A squared norm is not negative: where its estimate is, that is noise, and the upper end starts from zero.
    return Measurement(gap.mean, n, gap.low, max(gap.mean, 0.0) + (gap.high - gap.mean))
