"""Losses: score matching against conditional score matching (LOSS-3), and what of it is noise prediction (LOSS-4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal

from reproflow.claims.losses.matching import L1, PRIOR, WEIGHT, worst_of
from reproflow.claims.policy import STATEMENT, Context, Measurement, claim, told, worst
from reproflow.exact import conditional_losses, three_gaussians
from reproflow.foundation import seeds
from reproflow.numerics.derivatives import Mode
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.objective import get_objective
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import convert, get_target

PLAIN = "w = 1"
SCALED = "w = sigma²"


def _score_cases() -> tuple[str, ...]:
    return tuple(f"{path}, {weight}" for path in three_gaussians.gaussian_paths() for weight in (PLAIN, SCALED))


@claim(
    "LOSS-3",
    title="score matching and conditional score matching have equal gradients",
    source="002, 'Score Matching'",
    kind="exact",
    tolerance=1e-11,
    cases=_score_cases,
    controls=(L1, WEIGHT, PRIOR),
)
def sm_equals_csm(case: str, variant: str, context: Context) -> Measurement:
    """L_SM(theta) = L_CSM(theta) + C with C = -E tr Var(grad log p_t(x|Z) | x), so grad L_SM = grad L_CSM.

    Statement: with the squared loss, regressing on the conditional score -eps/sigma of the noise that made x has the
        gradient of regressing on the marginal score grad log p_t(x); so it has under the weight sigma².
    Assumptions: E|eps/sigma|² finite: times end before sigma = 0 (0.999 here). Over all of [0, 1] with w = 1 both the
        conditional loss and C are infinite on data with a density (E03), where w = sigma² keeps them finite.
    Proof idea: Fisher's identity, grad log p_t(x) = E[grad log p_t(x|Z)|x], then as LOSS-1.
    Computed: L_CSM by Gauss-Hermite over (component, z, eps) with the package's target `score`; L_SM by the trapezoid
        rule over x with the gradient of the closed log-density; C from the posterior variance of eps; two random
        networks on times in [0.001, 0.999]. The statistic is the largest relative gap of gradient and of C.
    Source: 002 "L_SM", "L_CSM" (stated without proof: "in the similar way"); Vincent 2011.
    Refuted by: a relative gap above 1e-11. The L1 loss, a weight that depends on the component of z, and the
        conditional score at the data mean in place of the posterior average must show one in the gradient.
    """
    name, scale = case.split(", ")
    loss = conditional_losses.absolute if variant == L1 else conditional_losses.squared
    mean = conditional_losses.prior_mean("score") if variant == PRIOR else three_gaussians.MIXTURE.score
    weight = conditional_losses.of_component() if variant == WEIGHT else conditional_losses.ONE
    problem = conditional_losses.Regression(get_target("score"), loss, weight, mean)
    in_time = (lambda c: c.sigma**2) if scale == SCALED else None
    networks = range(2 if variant == STATEMENT else 1)
    return worst_of((conditional_losses.gaps(problem, forward_path(name), seed, in_time) for seed in networks), variant)


PRINTED = "+ for - in the noise loss"
UNSCALED = "1/sigma² left out"


@claim(
    "LOSS-4",
    title="conditional score matching is noise prediction",
    source="002, 'Score Matching'; Ho et al. 2020",
    kind="exact",
    tolerance=1e-12,
    cases=three_gaussians.gaussian_paths,
    controls=(PRINTED, UNSCALED),
)
def score_is_noise(case: str, variant: str, context: Context) -> Measurement:
    """|s + eps/sigma|² = sigma^-2 |sigma s + eps|² = sigma^-2 |eps - eps_hat|² with eps_hat = -sigma s, per sample.

    Statement: the three forms are one loss; DDPM's E|eps_hat - eps|² is the first without its factor sigma^-2, that is
        the weight sigma² on the score, SNR on x1, 1 on eps; and its minimiser is -sigma grad log p_t(x), gain +1.
    Assumptions: sigma > 0; t in [0.001, 0.999]. (002 prints |eps_hat + eps|²: E02.)
    Proof idea: the conditional score is -eps/sigma; multiply out.
    Computed: three numbers, the largest counts. The forms on 4096 random (t, z, eps, s), eps_hat by `convert`, as a
        discrepancy relative to the loss; the coefficient that the registered weighting `snr` puts on the eps error,
        whose distance from 1 is taken; and the gain g that minimises E|g eps* - eps|², eps* = -sigma grad log p_t from
        the closed density, by the trapezoid rule over x in each component, whose distance from 1 is taken.
    Source: 002 "L_CSM" and "L_DDPM", with its sign corrected.
    Refuted by: any of the three above 1e-12. The printed sign must turn the gain into -1 and break the forms; the last
        form without sigma^-2 is another weight and must not equal the first.
    """
    path = forward_path(case)
    parts = {"forms": _forms(path.at(_times()), variant), "snr on x1": _ddpm(case), "gain": _gain(case, variant)}
    # The printed sign must break the forms and the gain, so the lesser of the two counts.
    value = min(parts["forms"], parts["gain"]) if variant == PRINTED else worst(parts.values())
    return Measurement(value, detail=told(parts))


def _times() -> Tensor:
    return torch.linspace(*three_gaussians.T_RANGE, 64, dtype=torch.float64).repeat_interleave(64)


def _forms(c: Coefficients, variant: str) -> float:
    """Largest discrepancy of the three forms relative to the first, at random predictions s in 8 dimensions."""
    z, eps, noise = torch.randn(3, len(c.t), 8, generator=seeds.generator("LOSS-4"), dtype=torch.float64)
    s, sigma = -noise / c.sigma[:, None], c.sigma[:, None]
    x = c.alpha[:, None] * z + sigma * eps
    eps_hat = convert(s, x, c, get_target("score"), get_target("eps"))
    error = eps_hat + eps if variant == PRINTED else eps_hat - eps
    scale = 1.0 if variant == UNSCALED else c.sigma**-2
    first = (s - get_target("score").of(z, eps, c)).square().sum(1)
    others = (c.sigma**-2 * (sigma * s + eps).square().sum(1), scale * error.square().sum(1))
    return max(float(((other - first).abs() / first).max()) for other in others)


def _ddpm(case: str) -> float:
    """Distance from 1 of the coefficient that `snr` on x1 puts on the eps error under uniform times."""
    t = torch.linspace(*three_gaussians.T_RANGE, 64, dtype=torch.float64)
    return float((get_objective(case, "uniform", "snr", mode=Mode.FORWARD).coefficient(t) - 1).abs().max())


def _gain(case: str, variant: str) -> float:
    """|g - 1| of the gain g = E[eps eps*] / E[eps*²] that minimises the noise loss of g eps*, the worst of nine times.

    Given x and the component, eps has the mean of a linear regression, which knows nothing of a score.
    """
    x, spacing = three_gaussians.line(401)
    gaps = []
    for t in torch.linspace(0.1, 0.9, 9, dtype=torch.float64):
        c = forward_path(case).at(t)
        best = -c.sigma * three_gaussians.MIXTURE.score(x, c)
        mean, variance = (
            c.alpha * three_gaussians.MIXTURE.means[:, 0],
            c.alpha**2 * three_gaussians.MIXTURE.stds**2 + c.sigma**2,
        )
        density = spacing * three_gaussians.MIXTURE.weights * Normal(mean, variance.sqrt()).log_prob(x).exp()
        cross = (density * c.sigma * (x - mean) / variance * best).sum()
        cross = -cross if variant == PRINTED else cross
        gaps.append(float((cross / (density * best.square()).sum() - 1).abs()))
    return worst(gaps)
