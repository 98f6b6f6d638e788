"""Paths: score and velocity say the same (PATH-7), and noise that the score pays for keeps every marginal (PATH-8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from reproflow.claims.policy import STATEMENT, Context, Measurement, claim, worst
from reproflow.exact import three_gaussians, transport
from reproflow.exact.mixture import Mixture
from reproflow.learning.networks.exact_denoiser import exact_denoiser
from reproflow.learning.sampling import ode, sde
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, forward_path
from reproflow.theory.targets import convert, get_target

NO_X = "alpha'/alpha x dropped"
MINUS = "sign of the score flipped"
PAIRED = "noise paired with data"
NO_SCORE = "noise without the score term"
FULL = "g² for g²/2"
SAMPLER = "the package's sde sampler"
VARIANCE = "variance of N(0, 1) data"
CORRELATION = 0.5
X_STEP = 2.5e-3
T_STEP = 1e-4
ETAS = (0.0, 0.5, 1.0)
STEP = 1e-5

STANDARD = Mixture(*(torch.tensor(each, dtype=torch.float64) for each in ([1.0], [[0.0]], [1.0])))


@claim(
    "PATH-7",
    title="the score and the velocity determine each other",
    source="002, 'Recall the SDE'",
    kind="exact",
    tolerance=1e-12,
    cases=three_gaussians.gaussian_paths,
    controls=(NO_X, MINUS, PAIRED),
)
def score_and_velocity(case: str, variant: str, context: Context) -> Measurement:
    """u = (alpha'/alpha) x + sigma (sigma alpha'/alpha - sigma') grad log p_t(x), and grad log p_t = -E[eps|x]/sigma.

    Statement: on a Gaussian path a network that knows the score knows the velocity, and the other way round;
        grad log p_t(x) = -(x - alpha E[x1|x])/sigma² = -E[eps|x]/sigma.
    Assumptions: noise independent of the data; alpha, sigma > 0. With noise that was paired with data (minibatch
        optimal transport, reflow) -E[eps|x]/sigma is not the score, and the formula is false.
    Proof idea: E[x1|x] and E[eps|x] satisfy alpha E[x1|x] + sigma E[eps|x] = x; u = alpha' E[x1|x] + sigma' E[eps|x];
        Tweedie's formula for E[eps|x].
    Computed: three Gaussians on a line, seven times, x in [-3, 3]. The score by automatic differentiation of log p_t,
        the velocity as -dF_t/dt / p_t (no posterior in either); the formula above, `targets.convert` both ways, and
        `Mixture`'s posterior means against them. Distances are relative to the size of the terms that cancel.
    Source: 002's SDE needs both; Song et al. 2021; Lipman et al. 2024. 002's sigma_t is the path's standard deviation
        here and the diffusion coefficient, our g, in its SDE.
    Refuted by: a relative distance above 1e-12. Controls: the term in x dropped; the score's sign flipped; N(0, 1) data
        with noise of correlation 1/2 to them, put into the formula.
    """
    times = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    return Measurement(worst(gap for t in times for gap in _score_distances(forward_path(case), t, variant)))


def _score_distances(path: Path, t: Tensor, variant: str) -> Iterator[float]:
    c, m, at = (
        path.at(t),
        three_gaussians.MIXTURE,
        torch.linspace(-3, 3, 31, dtype=torch.float64)[:, None].requires_grad_(),
    )
    score = torch.autograd.grad(m.log_density(at, c).sum(), at)[0]
    x = at.detach()
    u = transport.flux_velocity(x, t, path, m.weights, m.means[:, 0], m.stds)
    if variant == PAIRED:
        score, u = _paired(x, c)
    half = c.sigma * (c.sigma * c.dalpha / c.alpha - c.dsigma)
    linear = (0 if variant == NO_X else 1) * c.dalpha / c.alpha * x
    yield _worst(linear + (-half if variant == MINUS else half) * score, u, linear, half * score)
    if variant == STATEMENT:
        velocity, own = get_target("velocity"), get_target("score")
        yield _worst(convert(score, x, c, own, velocity), u, linear, half * score)
        yield _worst(convert(u, x, c, velocity, own), score, u / half, linear / half)
        eps = m.target_mean(x, c, *get_target("eps").coefficients(c))
        yield _worst(-eps / c.sigma, score)
        mean = c.alpha * m.posterior_mean(x, c)
        yield _worst((mean - x) / c.sigma**2, score, mean / c.sigma**2, x / c.sigma**2)
        yield _worst(m.score(x, c), score)


def _paired(x: Tensor, c: Coefficients) -> tuple[Tensor, Tensor]:
    """Score and velocity of N(0, 1) data with N(0, 1) noise of correlation 1/2: both linear in x."""
    variance = c.alpha**2 + c.sigma**2 + 2 * CORRELATION * c.alpha * c.sigma
    # E[x1|x] and E[eps|x] are Cov(., x) x / variance.
    data, noise = c.alpha + CORRELATION * c.sigma, c.sigma + CORRELATION * c.alpha
    return -x / variance, (c.dalpha * data + c.dsigma * noise) * x / variance


def _worst(a: Tensor, b: Tensor, *terms: Tensor) -> float:
    scale = sum((each.abs() for each in terms), b.abs()) + 1e-300
    return float(((a - b).abs() / scale).max())


Diffusion = Callable[[Coefficients], Tensor]

DIFFUSIONS: dict[str, Diffusion] = {
    "0": lambda c: torch.zeros_like(c.t),
    "1": lambda c: torch.ones_like(c.t),
    "1.3(1-t/2)": lambda c: 1.3 * (1 - 0.5 * c.t),
    "ancestral": lambda c: c.sigma * c.dlam.sqrt(),
}


def _share(variant: str) -> float:
    """What the drift holds of g² grad log p."""
    return {NO_SCORE: 0.0, FULL: 1.0}.get(variant, 0.5)


@claim(
    "PATH-8",
    title="noise with the score term keeps the marginals, at any strength",
    source="002, 'Recall the SDE'",
    kind="exact",
    tolerance=1e-6,
    cases=lambda: (*three_gaussians.gaussian_paths(), SAMPLER, VARIANCE),
    controls=(NO_SCORE, FULL),
)
def any_diffusion(case: str, variant: str, context: Context) -> Measurement:
    """dX = [u_t + (g_t²/2) grad log p_t] dt + g_t dW has the marginals p_t, for every g_t >= 0 (002's sigma_t).

    Statement: d p/dt + div(p (u + g² grad log p/2)) - g² Laplace(p)/2 = 0 for any g, zero (PATH-5) included.
    Assumptions: p_t smooth and positive; g a function of t.
    Proof idea: the Fokker-Planck equation; p grad log p = grad p, so the score term cancels the diffusion.
    Computed: for g = 0, 1, 1.3 (1 - t/2) and the ancestral g² = sigma² lam', the largest residual at 7 times and 201
        points of [-4, 4], all derivatives by 4th-order differences (h = 0.0025). Sampler: one step of
        `sampling.sample_sde` from t to t + 1e-5 with eta = 0, 1/2, 1 on every path: its mean and noise per unit of time
        against u + g² grad log p/2 and g² = eta² sigma² lam', relative (the noise to that of eta = 1). Variance: that
        of N(0, 1) data on the linear path, carried by the package's rk4 to t = 0.95 with g = 1.3 (1 - t/2), against
        t² + (1-t)² = 0.905.
    Source: 002, "Recall the SDE with the same marginal distribution"; Song et al. 2021. 004 recalls the SDE's noise
        without its drift.
    Refuted by: a residual or a relative distance above 1e-6 for any g. Controls, which must show at every g > 0: noise
        without the score term (the variance becomes 2.276); g² in the place of g²/2.
    """
    if case == SAMPLER:
        values = _sampler_distances(variant)
    elif case == VARIANCE:
        variance = _carried_variance(variant)
        return Measurement(abs(variance / 0.905 - 1), detail=f"variance {variance:.6g} at t = 0.95")
    else:
        values = _residuals(forward_path(case), variant)
    detail = ", ".join(f"{name}: {value:.2g}" for name, value in values.items())
    # A control must bite wherever there is noise: the least of its values counts.
    noisy = [value for name, value in values.items() if name not in ("0", "eta 0")]
    return Measurement(worst(values.values()) if variant == STATEMENT else min(noisy), detail=detail)


def _residuals(path: Path, variant: str) -> dict[str, float]:
    """Largest Fokker-Planck residual by diffusion coefficient."""
    times, line = torch.linspace(0.1, 0.9, 7, dtype=torch.float64), torch.linspace(-4, 4, 201, dtype=torch.float64)
    t, x = times.repeat_interleave(len(line)), line.repeat(len(times))[:, None]
    m, c = three_gaussians.MIXTURE, path.at(t)

    def density(step: float) -> Tensor:
        return m.log_density(x + step, c).exp()

    def flux(field: Callable[[Tensor, Coefficients], Tensor]) -> Callable[[float], Tensor]:
        return lambda step: density(step) * field(x + step, c)[:, 0]

    change = three_gaussians.difference(lambda step: m.log_density(x, path.at(t + step)).exp(), T_STEP)
    flow, drift = (three_gaussians.difference(flux(field), X_STEP) for field in (m.marginal_velocity, m.score))
    spread = three_gaussians.second_difference(density, X_STEP)
    found = {}
    for name, diffusion in DIFFUSIONS.items():
        squared = diffusion(c) ** 2
        found[name] = float((change + flow + squared * (_share(variant) * drift - 0.5 * spread)).abs().max())
    return found


def _sampler_distances(variant: str) -> dict[str, float]:
    """By eta: largest relative distance of the sampler's drift and noise from those of the SDE, over all paths."""
    return {
        f"eta {eta:g}": worst(
            _step_distance(path, t, eta, variant) for path in three_gaussians.gaussian_paths() for t in (0.3, 0.7)
        )
        for eta in ETAS
    }


def _step_distance(name: str, t: float, eta: float, variant: str) -> float:
    denoiser, m = exact_denoiser(name, "x1"), three_gaussians.MIXTURE
    c = denoiser.path.at(torch.tensor(t, dtype=torch.float64))
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    base = x / ode.base_scale(denoiser.path, t)

    def step(h: float) -> tuple[Tensor, Tensor]:
        """Mean and variance of the step, per unit of time."""
        draws = (torch.stack([base, fresh * torch.ones_like(x)]) for fresh in (0.0, 1.0))
        still, moved = (sde.sample_sde(denoiser, z.__getitem__, None, (t, t + h), 1, eta)[0] for z in draws)
        return (still - x) / h, (moved - still) ** 2 / h

    # Twice the half step minus the whole one: the error of first order in h goes.
    drift, noise = (2 * half - whole for half, whole in zip(step(STEP / 2), step(STEP), strict=True))
    squared = eta**2 * c.sigma**2 * c.dlam
    u, push = m.marginal_velocity(x, c), squared * m.score(x, c)
    wrong = [
        (drift - u - _share(variant) * push).abs() / (u.abs() + push.abs()).max(),
        (noise - squared).abs() / (c.sigma**2 * c.dlam),
    ]
    return worst(float(each.max()) for each in wrong)


def _carried_variance(variant: str, steps: int = 100) -> float:
    """Variance at t = 0.95 of the linear SDE for N(0, 1) data: dV/dt = 2 a V + g², a the drift at x = 1."""
    path, one = exact_denoiser("linear").path, torch.ones(1, 1, dtype=torch.float64)

    def field(v: Tensor, t: float) -> Tensor:
        c = path.at(torch.tensor(t, dtype=torch.float64))
        squared = DIFFUSIONS["1.3(1-t/2)"](c) ** 2
        slope = STANDARD.marginal_velocity(one, c) + _share(variant) * squared * STANDARD.score(one, c)
        return 2 * slope * v + squared

    times = torch.linspace(0, 0.95, steps + 1, dtype=torch.float64).tolist()
    return float(ode.integrate(field, one, times, "rk4")[0])
