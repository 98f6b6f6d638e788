r"""The rotation test: which of many correlated rows are shifted upwards, from a handful of replicates of all of them.

The rows (cells and metrics) of one replicate (a seed) share initial weights and data, so they move together; how much,
a few seeds cannot tell. Under normality they need not: write the data of row g as u_g in R^{nu+1}, first the normed
contrast, then its nu residual degrees of freedom. Where no row is shifted, U = (u_1, ..) has the law of R U for every
rotation R *whatever the covariance of the rows*, so that the maximum of any statistic, evaluated on random rotations of
the data at hand, is a null distribution that needs no estimate of a correlation (Langsrud 2005, Statistics and
Computing 15; Wu et al. 2010, ROAST, Bioinformatics 26). Used step-down it is Holm's procedure with the rows' joint law
in place of Bonferroni's bound (Westfall & Young 1993): the chance of one or more false alarms is at most the level.

The statistic borrows strength, as in Smyth (2004): with s_g² the variance of row g and s̄² the mean over its family,

.. math::
    T_g = u_{g0} / \tilde s_g,\quad \tilde s_g^2 = \frac{d_0 \bar s^2 + \nu s_g^2}{d_0 + \nu}, \qquad
    T_A = u_{A0} \Big/ \sqrt{\frac{k\, v_A + \nu s_A^2}{k + \nu}},\quad v_A = \sum_g w_g^2 \tilde s_g^2

for cells and for weighted means A of cells; v_A is the variance of the mean if its cells were independent. The
strengths d_0 and k decide power only, never the level, since every rotation is treated like the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROTATIONS = 9999
PRIOR_CELLS = 1.0
PRIOR_MEANS = 12.0
CHUNK = 500
_FIXED = 20040312  # the same data give the same p-values


@dataclass(frozen=True)
class Rotated:
    """By row, the cells first, then the means: T, step-down p, and s̃; null maxima (rotations,) of all rows, sorted."""

    statistic: np.ndarray
    p: np.ndarray
    scale: np.ndarray
    maxima: np.ndarray

    def critical(self, level: float) -> float:
        """The statistic at which a row is significant at this level; infinite where no row could be."""
        allowed = int(np.floor(level * (len(self.maxima) + 1))) - 1
        return float(self.maxima[-1 - allowed]) if allowed >= 0 else np.inf


def contrasts(before: np.ndarray, after: np.ndarray, paired: bool) -> tuple[np.ndarray, float]:
    """U (nu+1, G) of `after` minus `before`, each (seeds, G), and the factor from u_0 to the difference of means.

    Paired, row i of both is one seed: nu = n - 1 and the factor 1/sqrt(n); else nu = n_0 + n_1 - 2 and
    sqrt(1/n_0 + 1/n_1). Rows of an orthonormal basis, so that U is spherical where nothing is shifted.
    """
    if paired:
        n = len(after)
        return _basis([], np.ones(n)) @ (after - before), 1 / np.sqrt(n)
    sizes = len(before), len(after)
    wanted = np.repeat([-1 / sizes[0], 1 / sizes[1]], sizes)
    rows = _basis([np.ones(sum(sizes))], wanted)
    return rows @ np.vstack([before, after]), float(np.linalg.norm(wanted))


def rotation_test(
    u: np.ndarray, families: Sequence[np.ndarray], means: np.ndarray, rotations: int = ROTATIONS
) -> Rotated:
    """The test of u (nu+1, G): `families` are the index arrays of cells that share a prior, `means` (G, A) weights.

    Every cell belongs to one family. The random rotations are always the same.
    """
    model = _Model(u, families, means)
    observed, scale = (each[0] for each in model.statistics(np.eye(1, len(u))))
    order = observed.argsort()[::-1]
    exceeded, maxima = np.zeros(len(order)), []
    generator = np.random.default_rng(_FIXED)
    for start in range(0, rotations, CHUNK):
        axes = generator.standard_normal((min(CHUNK, rotations - start), len(u)))
        drawn, _ = model.statistics(axes / np.linalg.norm(axes, axis=1, keepdims=True))
        # From the largest row down: each is compared with the maximum over itself and all smaller ones.
        remaining = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
        exceeded += (remaining >= observed[order]).sum(0)
        maxima.append(remaining[:, 0])
    p = np.empty_like(observed)
    p[order] = np.maximum.accumulate((1 + exceeded) / (1 + rotations))
    return Rotated(observed, p, scale, np.sort(np.concatenate(maxima)))


class _Model:
    """The statistics of all rows along any axis of R^{nu+1}; the first axis is the data."""

    def __init__(self, u: np.ndarray, families: Sequence[np.ndarray], means: np.ndarray) -> None:
        self.u, self.families, self.means, self.nu = u, families, means, len(u) - 1
        self.of_means = u @ means

    def statistics(self, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """T and s̃, both (axes, G + A)."""
        along, squares = self._split(self.u, axes)
        moderated = np.empty_like(squares)
        for family in self.families:
            prior = squares[:, family].mean(1, keepdims=True)
            moderated[:, family] = (PRIOR_CELLS * prior + self.nu * squares[:, family]) / (PRIOR_CELLS + self.nu)
        mean_along, mean_squares = self._split(self.of_means, axes)
        independent = moderated @ self.means**2
        mean_moderated = (PRIOR_MEANS * independent + self.nu * mean_squares) / (PRIOR_MEANS + self.nu)
        contrast = np.hstack([along, mean_along])
        scale = np.sqrt(np.hstack([moderated, mean_moderated]))
        # Differences that are the same at all seeds have no spread: any shift is infinitely many standard errors.
        unbounded = np.where(contrast > 0, np.inf, -np.inf)
        return np.divide(contrast, scale, out=unbounded, where=scale > 0), scale

    def _split(self, u: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The component along each axis, and the mean square of what is left: (axes, rows)."""
        along = axes @ u
        left = (u**2).sum(0) - along**2
        # What rounding leaves of values without spread is no spread.
        return along, np.where(left > 1e-20 * (u**2).sum(0), left, 0) / self.nu


def _basis(removed: list[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """Orthonormal rows: `wanted` normed, then a basis of what is orthogonal to it and to `removed`."""
    first = wanted / np.linalg.norm(wanted)
    q, _ = np.linalg.qr(np.array([*removed, first]).T, mode="complete")
    return np.vstack([first, q[:, len(removed) + 1 :].T])
