r"""Transport on a line: the flow of a mixture by its distribution function, exact reflow, and the optimal cost.

With F_t the distribution function of p_t, the flow of *any* field that moves p_s to p_t keeps quantiles, because on a
line paths do not cross (004 eq. 1 integrated in x is dF_t/dt = -p_t u_t):

.. math:: X_t = F_t^{-1}(F_s(X_s)), \qquad u_t(x) = -\frac{\partial_t F_t(x)}{p_t(x)}, \qquad
          W_2^2 = \int |y - \Phi^{-1}(F_1(y))|^2 p_1(y)\, dy

T(e) = F_1^{-1}(Phi(e)) is increasing, so T is the optimal transport, and the pairs (e, T(e)) do not cross: the field of
a flow trained on them (Liu et al. 2023; 003, "Reflow") at (1-t) e + t T(e) is T(e) - e. Quantiles are handled as log
odds log F - log(1 - F), which keep their digits in both tails. Shapes: x (B, 1), log odds (B,), t a number or (); all
float64; mixtures of one dimension, `ValueError` otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.exact.mixture import Mixture
from reproflow.numerics.bisection import bisect
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path

REACH = 40.0
"""Quantiles are sought so many standard deviations around the means: beyond, float64 has no probability left."""

Increasing = Callable[[Tensor], Tensor]


def log_odds(mixture: Mixture, x: Tensor, c: Coefficients) -> Tensor:
    """log F_t(x) - log(1 - F_t(x)), (B,)."""
    _on_a_line(mixture)
    z = (x - c.alpha * mixture.means[:, 0]) / _scales(mixture, c)
    below, above = (torch.special.log_ndtr(sign * z) + mixture.weights.log() for sign in (1, -1))
    return below.logsumexp(-1) - above.logsumexp(-1)


def quantile(mixture: Mixture, odds: Tensor, c: Coefficients) -> Tensor:
    """The x (B, 1) at which F_t has these log odds (B,), to rounding."""
    _on_a_line(mixture)
    low, high = _bracket(c.alpha * mixture.means[:, 0], REACH * _scales(mixture, c))
    return _bisect(lambda x: log_odds(mixture, x[:, None], c), odds, low, high)[:, None]


def flow_map(mixture: Mixture, x: Tensor, start: Coefficients, end: Coefficients) -> Tensor:
    """Where the flow carries x (B, 1) between two scalar times: F_end^{-1}(F_start(x)), (B, 1)."""
    return quantile(mixture, log_odds(mixture, x, start), end)


def flux_velocity(x: Tensor, t: Tensor, path: Path, weights: Tensor, means: Tensor, stds: Tensor) -> Tensor:
    """-dF_t/dt / p_t at x (B, 1), t (): the field of a mixture (M,) of normals, or of points where stds are 0; (B, 1).

    Only F and its derivatives occur, no posterior. Needs p_t(x) > 0 in float64.
    """

    def distribution(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = path(t)
        return (weights * torch.special.ndtr((x - alpha * means) / (alpha**2 * stds**2 + sigma**2).sqrt())).sum(-1)

    def slope(at: tuple[Tensor, Tensor], direction: tuple[Tensor, Tensor]) -> Tensor:
        return torch.func.jvp(distribution, at, direction)[1]

    change = slope((x, t), (torch.zeros_like(x), torch.ones_like(t)))
    density = slope((x, t), (torch.ones_like(x), torch.zeros_like(t)))
    return (-change / density)[:, None]


def monotone_map(mixture: Mixture, e: Tensor) -> Tensor:
    """T(e) = F_1^{-1}(Phi(e)): standard normal noise (B, 1) to data from the mixture, (B, 1)."""
    log_ndtr = torch.special.log_ndtr
    return quantile(mixture, (log_ndtr(e) - log_ndtr(-e))[:, 0], _data_end())


def monotone_inverse(mixture: Mixture, x: Tensor) -> Tensor:
    """T^{-1}(x) = Phi^{-1}(F_1(x)), (B, 1)."""
    odds = log_odds(mixture, x, _data_end())[:, None]
    # The smaller of F and 1 - F keeps its digits.
    return -odds.sign() * torch.special.ndtri(torch.sigmoid(-odds.abs()))


def reflow_velocity(mixture: Mixture, x: Tensor, t: float) -> Tensor:
    """The field of the flow trained on the pairs (e, T(e)), at x (B, 1), t in [0, 1]: T(e) - e of the pair through x.

    On each line x = (1-t) e + t y with y = T(e); it is solved for y, of which the left side is an increasing function.
    """
    # Nearer than REACH, so that T^{-1} is finite: 9 standard deviations hold all but 1e-18 of the mass.
    low, high = _bracket(mixture.means[:, 0], 9 * mixture.stds)
    y = _bisect(lambda y: (1 - t) * monotone_inverse(mixture, y[:, None])[:, 0] + t * y, x[:, 0], low, high)[:, None]
    return (y - x) / (1 - t) if t < 0.5 else (x - monotone_inverse(mixture, y)) / t


def squared_wasserstein(mixture: Mixture, n: int = 801) -> float:
    """W_2² between standard normal noise and the mixture, by n points of the trapezoid rule in the data.

    T^{-1} is smooth where T is steep, between modes, so that the data are the side to integrate over.
    """
    c = _data_end()
    low, high = _bracket(mixture.means[:, 0], 9 * mixture.stds)
    y = torch.linspace(low, high, n, dtype=torch.float64)[:, None]
    weights = mixture.log_density(y, c).exp()
    return float((weights * (y - monotone_inverse(mixture, y))[:, 0] ** 2).sum() / weights.sum())


def _bisect(f: Increasing, wanted: Tensor, low: float, high: float) -> Tensor:
    """Where the increasing f takes the wanted values, (B,); the nearer end where it does not reach them."""
    below, above = torch.full_like(wanted, low), torch.full_like(wanted, high)
    return bisect(lambda x: f(x) < wanted, below, above, 60)


def _bracket(means: Tensor, reach: Tensor) -> tuple[float, float]:
    return float((means - reach).min()), float((means + reach).max())


def _data_end() -> Coefficients:
    """alpha = 1, sigma = 0, at which p_t is the data; its derivatives are not used."""
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    return Coefficients(one, one, zero, zero, zero, "gaussian")


def _scales(mixture: Mixture, c: Coefficients) -> Tensor:
    return (c.alpha**2 * mixture.stds**2 + c.sigma**2).sqrt()


def _on_a_line(mixture: Mixture) -> None:
    if mixture.means.shape[1] != 1:
        raise ValueError(f"quantiles need data on a line; the mixture has {mixture.means.shape[1]} dimensions")
