"""Errata about weights in time: rand**2 (E18), endpoint emphasis (E19), SNR weights on the velocity (E20)."""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.claims.errata.densities import toy_variance
from reproflow.claims.errata.erratum import CORRECTED, PRINTED, erratum
from reproflow.claims.policy import Context, Measurement, worst
from reproflow.exact import three_gaussians
from reproflow.numerics import gauss_rules, quadrature
from reproflow.numerics.arrays import on_arrays
from reproflow.theory.bounds import analyse
from reproflow.theory.objective import Objective, get_objective
from reproflow.theory.paths import forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

OTHER_END = "the line in N->D time"
EVEN = "uniform"
OTHER_PATH = "VP's v factor on the linear path"


@erratum(
    "E18",
    title="rand**2 without division by its density is another loss",
    source="003, 'Time Sampling'",
    tolerance=1e-8,
    controls=(OTHER_END,),
)
def rand_squared(form: str, context: Context) -> Measurement:
    """E_U[L(t)] = E_pi[L(t)/pi(t)]; printed as importance sampling, t = rand**2 without 1/pi: the weight 1/(2 sqrt t).

    Statement: sampling times by rand**2 leaves the expected loss alone and draws more of them near the data. Only with
        each loss multiplied by 1/pi = 2 sqrt(t) does it do the first; uncorrected it is the weight pi on uniform time
        (an admissible one, BIL-1). The second holds in 003's own time, where t = 0 is data, and not where the line is
        copied to time that runs to the data: there a quarter of the time next to the data gets 13 % of the draws.
    Assumptions: L integrable.
    Computed: L is the irreducible loss E tr Var(u_t|x) of three Gaussians on a line, linear path. E_pi by
        Gauss-Legendre in the quantile u through the registered law's map, the integral over t by Gauss-Legendre in t.
        The statistic is the larger of the relative bias and of what P(within 1/4 of the data) lacks to 1/2 (its value
        for rand**2). 003's time is reversed here: its rand**2 is the law one_minus_u_squared.
    Source: 003, "Time Sampling", "Importance sampling": "t = torch.rand(batch_size) ** 2", "more samples near t=0".
    Refuted by: a value above 1e-8. The line copied into this package's time (u_squared), with 1/pi, must show one.
    """
    path, law = forward_path("linear"), get_time_law("u_squared" if form == OTHER_END else "one_minus_u_squared")
    (u, weights), (t, lengths) = gauss_rules.legendre_on(0.0, 1.0, 40), gauss_rules.legendre_on(0.0, 1.0, 40)
    drawn = law.quantile(u)
    correction = torch.ones_like(u) if form == PRINTED else 1 / law.density(drawn)
    sampled = float(weights @ (correction * toy_variance("velocity", path.at(drawn))))
    wanted = float(lengths @ toy_variance("velocity", path.at(t)))
    near = 1 - float(law.cdf(torch.tensor(0.75, dtype=torch.float64)))
    detail = f"E[L] {sampled:.5g} against {wanted:.5g}; {near:.3g} of the draws within 1/4 of the data"
    return Measurement(worst(abs(sampled / wanted - 1), 0.5 - near), detail=detail)


@erratum(
    "E19",
    title="of the two endpoint weights that 003 offers, (1-t)² stresses its data end and t² does not",
    source="003, 'Weighted Loss'",
    tolerance=0.25,
    controls=(EVEN,),
)
def endpoint_emphasis(form: str, context: Context) -> Measurement:
    """For "sampling quality at t=0" (the data) 003 offers w = t² or (1-t)²: only the second weights that end.

    Statement: printed, either weight is an emphasis for t = 0; the page does not say which belongs to which end.
        Tested are t² (printed) and (1-t)² (corrected): the weight stresses the half of time next to the data, so that
        at most a quarter of its mass lies on the other half. In 003's time t² puts 87.5 % of its mass on the noise
        half, (1-t)² 12.5 %. The right one has a price of its own: on the velocity it loses the bound property (its
        canonical weight rises with lam next to the noise), which the printed one has.
    Assumptions: linear path, uniform time.
    Computed: the registered weightings, time reversed (003's t² is one_minus_t_squared here); the statistic is the
        share of int w dt on the noise half, by Gauss-Legendre; the detail has the verdict of the bound property.
    Source: 003, "Weighted Loss": "Endpoint emphasis: w(t) = t^2 or w(t) = (1-t)^2"; "When to use": "Endpoint emphasis
        if sampling quality at t=0 is critical".
    Refuted by: a share above 1/4. The uniform weight (one half) must show one.
    """
    name = {PRINTED: "one_minus_t_squared", CORRECTED: "t_squared", EVEN: "uniform"}[form]
    objective = get_objective("linear", "uniform", name)
    shares = []
    for low, high in ((0.0, 0.5), (0.5, 1.0)):
        t, lengths = gauss_rules.legendre_on(low, high, 8)
        shares.append(float(lengths @ objective.weighting.at(objective.path.at(t))))
    share = shares[0] / sum(shares)
    bound = analyse(
        on_arrays(objective.weight),
        on_arrays(lambda t: objective.path.at(t).lam),
        points=2001,
    )
    return Measurement(share, detail=f"mass on the noise half {share:.3g}; bound property: {bound.verdict}")


DIFFUSION = {"min_snr:gamma=5": ("min(snr, 5)", "min(snr, 5)"), "snr": ("1/snr", "snr")}
"""Diffusion's weightings of the x1 error: 003's factors on the velocity, and the numerators that are right there."""


@erratum(
    "E20",
    title="SNR and Min-SNR weights belong to the x1 error, not to the velocity's",
    source="003, 'Weighted Loss'",
    tolerance=1e-9,
    controls=(OTHER_PATH, *(f"{printed} alone" for printed, _ in DIFFUSION.values())),
)
def snr_on_velocity(form: str, context: Context) -> Measurement:
    """Min-SNR on the velocity is min(SNR, g)/(1+sqrt SNR)² (linear) or min(SNR, g)/(1+SNR) (VP), not min(SNR, g).

    Statement: the factor makes the velocity loss diffusion's weighted loss ("to match diffusion performance"). SNR and
        min(SNR, g) are factors on the x1 error (SNR there is DDPM's 1 on the eps error); an error of the velocity is
        (1 + sqrt SNR)² (linear) or a constant times (1 + SNR) (cosine) times one of x1, and the factor must be divided
        by it. 003's 1/SNR matches neither, and next to the noise, where SNR ~ t², it is not integrable: the hypothesis
        E[w] < inf of 000's Lemma 4.7 is not met.
    Assumptions: uniform time; t in [0.001, 0.999]; g = 5.
    Computed: canonical weights by the package (weight relative to the ELBO integrand), for 003's factor on the
        velocity and for the registered snr and min_snr on x1, linear and cosine path; the statistic is the largest
        range of the logarithm of their ratio over 999 times: 0 if and only if the objectives are proportional. The
        detail has the mean of each factor by adaptive quadrature, infinite where it finds no integral.
    Source: 003, "Weighted Loss", items 2 and 4; Hang et al. 2023; Salimans & Ho 2022.
    Refuted by: a range above 1e-9. Min-SNR's factor for v, min(SNR, g)/(1+SNR), on the linear path must show one, and
        so must each of 003's factors alone.
    """
    law = get_time_law("uniform")
    t = torch.linspace(*three_gaussians.T_RANGE, 999, dtype=torch.float64)
    spreads, said = [], []
    for name in ("linear", "cosine"):
        path, factor = forward_path(name), "1 + snr" if name == "cosine" or form == OTHER_PATH else "(1 + sqrt(snr))**2"
        for diffusion, (printed, numerator) in DIFFUSION.items():
            text = printed if form in (PRINTED, f"{printed} alone") else f"{numerator}/({factor})"
            objective = Objective(path, law, get_weighting(f"expr:{text}", on="velocity"))
            ratio = objective.weight(t) / Objective(path, law, get_weighting(diffusion)).weight(t)
            spread = float(ratio.log().max() - ratio.log().min())
            spreads.append(spread)
            said.append(f"{text} on the {name} path: range {spread:.2g}, mean {_mean(objective):.3g}")
    return Measurement(worst(spreads), detail=", ".join(said))


def _mean(objective: Objective) -> float:
    """The mean of an objective's weighting over its time law, infinite where its integral diverges."""

    def f(t: Tensor) -> Tensor:
        return objective.time.density(t) * objective.weighting.at(objective.path.at(t))

    return quadrature.integral(on_arrays(f)).value
