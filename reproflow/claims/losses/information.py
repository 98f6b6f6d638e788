"""Losses: what the area under the noise prediction's least error is, the entropy of the data (LOSS-10)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from scipy import special
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim
from reproflow.exact import three_gaussians
from reproflow.exact.empirical import posterior_mean
from reproflow.exact.mixture import Mixture
from reproflow.numerics import gauss_rules, trapezoid
from reproflow.theory.coefficients import Coefficients

WRONG = "posterior of another law"
DATA_ERROR = "e^lam left out"

LINE = "three points on a line"
PICTURES = "five points of the plane"
WIDTHS = {"normal, std 0.25": 0.25, "normal, std 3": 3.0}
MIXTURE = "three normal laws on a line"
CIRCLE = "circle"
SPHERE = "sphere"
POINTS = {
    LINE: torch.tensor([[-1.2], [0.3], [1.1]], dtype=torch.float64).repeat_interleave(torch.tensor([2, 5, 3]), 0),
    PICTURES: torch.tensor([[-1.5, 0.5], [0.0, 1.0], [1.0, -0.5], [2.0, 1.5], [-0.5, -1.0]], dtype=torch.float64),
}
"""Rows that are equal have their probability added: 0.2, 0.5, 0.3 on the line."""

STEP = 0.35
"""In lam. The integrands are analytic in a strip of half-width pi or so: the trapezoid rule is good to rounding."""
RANGES = {True: (-30.0, 7.0), False: (-40.0, 40.0)}
"""In lam, for data sets and for densities, whose integrands end like exp(-gap² e^lam / 8) and exp(-lam)."""
NODES = {1: (9.0, 901), 2: (7.5, 101)}
"""Reach and points of the trapezoid rule in each coordinate of eps, by dimension."""
FAR = 14.0
"""The log-SNR at which a manifold's dimension is read off: what is missing is of order exp(-lam) = 8e-7."""
DIMENSIONS = {CIRCLE: 1, SPHERE: 2}


def _cases() -> tuple[str, ...]:
    return (LINE, PICTURES, *WIDTHS, MIXTURE, *DIMENSIONS)


@claim(
    "LOSS-10",
    title="the area under the least error of noise prediction is the entropy of the data",
    source="Guo, Shamai & Verdu 2005 (I-MMSE); Kingma et al. 2021 for diffusion",
    kind="exact",
    tolerance=lambda case: 1e-5 if case in DIMENSIONS else 1e-9,
    cases=_cases,
    controls=(WRONG, DATA_ERROR),
)
def entropy_by_errors(case: str, variant: str, context: Context) -> Measurement:
    """H = 1/2 int E|eps - eps*|² dlam on a data set; h = d/2 ln 2 pi e - 1/2 int (d S(lam) - E|eps - eps*|²) dlam.

    Statement: eps* = E[eps|x_t]; S is the logistic function; the path and the law of t do not occur. For N distinct
        data points of equal probability the area is ln N. For a density the error tends to d as lam grows and S takes
        it off; on a smooth manifold it tends to the manifold's dimension. So the least ELBO loss of a network that has
        memorised a data set is the logarithm of its size.
    Assumptions: the whole range of lam; second moments.
    Proof idea: dI(x; x_t)/dlam = 1/2 E|eps - eps*|² (I-MMSE), from I = 0 to H; for a density against the normal law,
        whose error is S(lam).
    Computed: on a variance-preserving path, lam by the trapezoid rule. Data sets: three points of probabilities 0.2,
        0.5, 0.3 and five of equal ones, errors by the package's attention and the trapezoid rule in eps, against
        - sum q ln q. Normal laws of two widths and a mixture of three: errors by the mixture's closed variance, against
        the closed h and - int p ln p. Uniform laws on a circle and a sphere: the error at lam = 14 by the closed
        posterior mean of directions and Gauss-Hermite, against 1 and 2. The statistic is the gap (nats, or dimension).
    Source: Guo, Shamai & Verdu 2005; the integrand is the ELBO's (LOSS-5).
    Refuted by: a gap above 1e-9, of dimensions 1e-5. Denoisers of another law (equal probabilities on the line, one
        point counted thrice in the plane, normal laws of other widths, or of the ambient space) must show one, which is
        KL(q || other) for the areas; so must the error of x1, e^-lam times that of eps.
    """
    if case in DIMENSIONS:
        error = float(_errors(case, variant == WRONG)) * (math.exp(-FAR) if variant == DATA_ERROR else 1.0)
        return Measurement(abs(error - DIMENSIONS[case]), detail=f"E|eps - eps*|² = {error:.8g} at lam = {FAR:g}")
    area, entropy = _area(case, variant), _entropy(case)
    return Measurement(abs(area - entropy), detail=f"area {area:.10g}, entropy {entropy:.10g} nats")


def _area(case: str, variant: str) -> float:
    """H or h by the integral over lam."""
    lam = _log_snrs(case)
    error = _errors(case, variant == WRONG) * ((-lam).exp() if variant == DATA_ERROR else 1.0)
    if case in POINTS:
        return float(0.5 * STEP * error.sum())
    return 0.5 * math.log(2 * math.pi * math.e) - float(0.5 * STEP * (lam.sigmoid() - error).sum())


def _log_snrs(case: str) -> Tensor:
    """The places of the trapezoid rule or, of a manifold, the one place."""
    if case in DIMENSIONS:
        return torch.tensor([FAR], dtype=torch.float64)
    low, high = RANGES[case in POINTS]
    return torch.arange(low, high + STEP / 2, STEP, dtype=torch.float64)


@functools.lru_cache(maxsize=2)
def _errors(case: str, wrong: bool) -> Tensor:
    """E|eps - eps_hat|² there."""
    return ERRORS[case](wrong, _log_snrs(case))


def _entropy(case: str) -> float:
    if case in POINTS:
        counts = POINTS[case].unique(dim=0, return_counts=True)[1].double()
        return float(torch.special.entr(counts / counts.sum()).sum())
    if case in WIDTHS:
        return 0.5 * math.log(2 * math.pi * math.e * WIDTHS[case] ** 2)
    x, spacing = three_gaussians.line(4001)
    p = sum(
        weight * torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
        for weight, mean, std in zip(*_columns(three_gaussians.MIXTURE), strict=True)
    )
    return float(torch.special.entr(torch.as_tensor(p)).sum() * spacing)


def _columns(mixture: Mixture) -> tuple[list[float], list[float], list[float]]:
    return mixture.weights.tolist(), mixture.means[:, 0].tolist(), mixture.stds.tolist()


def at(lam: Tensor) -> Coefficients:
    """The coefficients of the variance-preserving path at log-SNRs; its time and its derivatives are not used."""
    alpha, sigma = lam.sigmoid().sqrt(), (-lam).sigmoid().sqrt()
    return Coefficients(torch.full_like(lam, math.nan), alpha, sigma, 0 * lam, 0 * lam, "gaussian")


def _of_points(rows: Tensor, known: Tensor, wrong: bool, lam: Tensor) -> Tensor:
    """The error on a data set whose posterior is that of the rows, or of the rows `known` where it is wrong."""
    points, counts = rows.unique(dim=0, return_counts=True)
    d = rows.shape[1]
    reach, n = NODES[d]
    line, spacing = trapezoid.line(n, reach) if d == 1 else trapezoid.square(n, reach)
    eps = line[:, None] if d == 1 else line
    weight = torch.exp(-0.5 * eps.square().sum(1)) * spacing / (2 * math.pi) ** (d / 2)
    kept = weight > 1e-14
    eps, weight = eps[kept], weight[kept]
    values = []
    for c in map(at, lam):
        x = (c.alpha * points[:, None] + c.sigma * eps).reshape(-1, d)
        mean = posterior_mean(x, known if wrong else rows, c).view(len(points), -1, d)
        squares = (points[:, None] - mean).square().sum(-1) @ weight
        values.append(c.snr * (counts.double() / len(rows)) @ squares)
    return torch.stack(values)


def _of_mixture(data: Mixture, known: Mixture, wrong: bool, lam: Tensor) -> Tensor:
    """The error on a density, by the closed variance of eps; with the wrong mean its square is added."""
    values, zero, one = [], torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for c in map(at, lam):
        reach = 12 * float((c.alpha**2 * data.stds.max() ** 2 + c.sigma**2).sqrt()) + 2 * float(data.means.abs().max())
        x, spacing = three_gaussians.line(2001, reach)
        error = data.target_variance(x, c, zero, one)
        if wrong:
            error = error + (data.target_mean(x, c, zero, one) - known.target_mean(x, c, zero, one)).square()[:, 0]
        values.append((data.log_density(x, c).exp() * error).sum() * spacing)
    return torch.stack(values)


def _of_directions(d: int, wrong: bool, lam: Tensor) -> Tensor:
    """The error on the uniform law of directions in d dimensions (2, 3), of radius 1, by Gauss-Hermite in eps."""
    nodes, weights = gauss_rules.tensors(gauss_rules.hermite(20))
    eps, weight = torch.cartesian_prod(*[nodes] * d), torch.cartesian_prod(*[weights] * d).prod(1)
    x1 = torch.eye(d, dtype=torch.float64)[0]
    values = []
    for c in map(at, lam):
        x = c.alpha * x1 + c.sigma * eps
        length = x.norm(dim=1)
        mean = x * (mean_length(c.alpha * length / c.sigma**2, d) / length)[:, None]
        if wrong:
            mean = c.alpha / d / (c.alpha**2 / d + c.sigma**2) * x
        values.append(c.snr * (weight @ (x1 - mean).square().sum(1)))
    return torch.stack(values)


def mean_length(kappa: Tensor, d: int) -> Tensor:
    """|E x1| of directions x1 of density prop. to exp(kappa . x1): circle I_1/I_0, sphere coth kappa - 1/kappa."""
    if d == 2:
        return torch.as_tensor(special.ive(1, kappa.numpy()) / special.ive(0, kappa.numpy()))
    return 1 / kappa.tanh() - 1 / kappa


def _normal(std: float) -> Mixture:
    return Mixture(torch.ones(1), torch.zeros(1, 1), torch.tensor([std]))


ERRORS: dict[str, Callable[[bool, Tensor], Tensor]] = {
    LINE: functools.partial(_of_points, POINTS[LINE], POINTS[LINE].unique(dim=0)),
    PICTURES: functools.partial(_of_points, POINTS[PICTURES], POINTS[PICTURES][[0, 1, 2, 3, 3, 3, 4]]),
    **{name: functools.partial(_of_mixture, _normal(std), _normal(2 * std)) for name, std in WIDTHS.items()},
    MIXTURE: functools.partial(_of_mixture, three_gaussians.MIXTURE, _normal(1.0)),
    CIRCLE: functools.partial(_of_directions, 2),
    SPHERE: functools.partial(_of_directions, 3),
}
"""By case: E|eps - eps_hat|² at log-SNRs, with the right posterior or a wrong one."""
