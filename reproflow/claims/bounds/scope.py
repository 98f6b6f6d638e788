r"""Bounds: what they do not say. A comparison without power, the sampler they hold for, numbers (ST-12, 14, 15)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim, worst
from reproflow.exact.discrete import TableDenoiser, random_order_bound
from reproflow.exact.ripple import Ripple
from reproflow.foundation import seeds
from reproflow.numerics import gauss_rules
from reproflow.theory.paths import forward_path
from reproflow.theory.weightings import get_weighting

HUMP = "a hump above W"
CAPPED = "w capped at W"
LENGTH = 3
VOCABULARY = 3
CUT = 0.999
DIP = "dip"
WAVE = "zero in the middle"
NEGATIVE = "negative in the middle"

# Own weights as functions of the masking probability m, all at most W = 1 and none of them monotone.
OWN: dict[str, Callable[[Tensor], Tensor]] = {
    DIP: lambda m: 1 - 0.5 * torch.exp(-(((m - 0.08) / 0.02) ** 2)),
    WAVE: lambda m: torch.cos(math.pi * m) ** 2,
    NEGATIVE: lambda m: torch.cos(2 * math.pi * m),
}
BELOW = ("elbo", "sigmoid", "edm_monotone", *OWN)
ABOVE = ("iddpm", "edm", "min_snr")


@claim(
    "ST-12",
    title="the normalised comparison with the ELBO holds for every w below its end value",
    source="001 Theorem 2 and Fig. 1; the absence of power is our own",
    kind="bound",
    tolerance=1e-9,
    cases=(*BELOW, *ABOVE),
    controls=lambda case: (CAPPED,) if case in ABOVE else (HUMP,),
    expected=dict.fromkeys(ABOVE, REFUTED),
)
def normalised_comparison(case: str, variant: str, context: Context) -> Measurement:
    """(1/W) int E L^(s) nu(ds) >= E L^(0) with W = w at the noise end, wherever w <= W: monotone or not.

    Statement: the weighted sum of bounds, normalised, is on average no worse than the ELBO itself. All it takes is
        w <= W, so that it tells nothing about the bound property: weights with a dip, with zeros in the middle, even
        negative ones have it. Where w goes to zero at the noise end (IDDPM, EDM, Min-SNR) it is undefined; cut at a
        masking probability of 0.999, so that W is small and positive, it is false.
    Assumptions: 0 < W < infinity; matched prior. L^(0) here is with the optimal decoder; at s = 0 nothing is masked, so
        a learned decoder is the same (in general they differ by E KL(q(x|z_0)||p(x|z_0))).
    Proof idea: the left side is -H(q) - (1/W) int w e ds with the excess e >= 0 of the loss at s, and w/W <= 1.
    Computed: three tokens of three values, q a random table, the model the exact denoiser of another. e as a polynomial
        in m by enumeration of states and masks, integrated by Gauss-Legendre; E L^(0) as minus the mean over all
        orders of unmasking (`random_order_bound`), a route that shares nothing with e. The statistic is
        E L^(0) - left, relative to |E L^(0)|.
    Source: 001 Theorem 2, in its title "improved"; that it has no power is derived here.
    Refuted by: a statistic above 1e-9. Controls: a hump of 8 W m (1 - m) added to w must be; the three that are false
        must hold once w is capped at W.
    """
    noise_end = CUT if case in ABOVE else 1.0
    m, weights = gauss_rules.legendre_on(0.0, noise_end, 200)
    w, end = weight(case, m), float(weight(case, torch.tensor(noise_end, dtype=torch.float64)))
    if variant == HUMP:
        w = w + 8 * end * m * (1 - m)
    if variant == CAPPED:
        w = w.clamp(max=end)
    # What lies beyond the cut, PKL there, is the prior term, with weight W.
    beyond = _integrated(noise_end, 1.0)
    left = -entropy() - float((weights * w * excess(m)).sum()) / end - beyond
    elbo = expected_elbo()
    return Measurement((elbo - left) / abs(elbo), detail=f"W = {end:.4g}: {left:.6f} against {elbo:.6f}")


def weight(case: str, m: Tensor) -> Tensor:
    """The canonical weight of a case at masking probabilities m, of m's shape."""
    if case in OWN:
        return OWN[case](m)
    return get_weighting(case, "masked").at(forward_path("linear", "masked").at(1 - m))


def excess(m: Tensor) -> Tensor:
    """e(m) = sum over masks M of m^(|M|-1) (1-m)^(L-|M|) times the excess cross-entropy on M, of m's shape."""
    return sum((gap * m ** (size - 1) * (1 - m) ** (LENGTH - size) for size, gap in gaps()), torch.zeros_like(m))


@functools.cache
def gaps() -> tuple[tuple[int, float], ...]:
    """By set of masked tokens: its size, and E_q sum over it of log q(x_n|shown)/r(x_n|shown)."""
    data, model = laws()
    x, q = _states(), data.table.reshape(-1)
    found = []
    for masked in itertools.product((False, True), repeat=LENGTH):
        hidden = torch.tensor(masked)
        z = torch.where(hidden, VOCABULARY, x)
        ratio = data.logits(z).gather(-1, x[..., None]) - model.logits(z).gather(-1, x[..., None])
        found.append((sum(masked), float((q[:, None] * ratio[..., 0])[:, hidden].sum())))
    return tuple(each for each in found if each[0])


@functools.cache
def laws() -> tuple[TableDenoiser, TableDenoiser]:
    """The exact denoisers of data and model, two random joint laws (V, V, V)."""
    tables = torch.rand(2, *(VOCABULARY,) * LENGTH, generator=seeds.generator("ST-12"), dtype=torch.float64) ** 2
    data, model = (table / table.sum() for table in tables)
    return TableDenoiser(data), TableDenoiser(model)


def entropy() -> float:
    """H(q) in nats."""
    return float(torch.special.entr(laws()[0].table).sum())


@functools.cache
def expected_elbo() -> float:
    """E_q L^(0) = minus the mean over q of the bound over all orders of unmasking."""
    data, model = laws()
    return -float((data.table.reshape(-1) * random_order_bound(model.logits, _states(), VOCABULARY)).sum())


def _integrated(low: float, high: float) -> float:
    """The integral of e over (low, high) in m."""
    m, weights = gauss_rules.legendre_on(low, high, 20)
    return float((weights * excess(m)).sum())


def _states() -> Tensor:
    return torch.cartesian_prod(*[torch.arange(VOCABULARY)] * LENGTH)


ANCESTRAL = "ancestral sampler"
ODE = "ODE sampler"
FREQUENCIES = (5.0, 10.0, 20.0)
STEPS = 40


@claim(
    "ST-14",
    title="the bounds hold for the ancestral model, not for the probability-flow ODE",
    source="001 (the bounds are on the reverse chain); our own counterexample",
    kind="bound",
    tolerance=1e-9,
    cases=(ANCESTRAL, ODE),
    controls=lambda case: (ODE if case == ANCESTRAL else ANCESTRAL,),
    expected={ODE: REFUTED},
)
def sampler_scope(case: str, variant: str, context: Context) -> Measurement:
    """KL(q||p) <= the excess of the ELBO holds where p is sampled ancestrally and fails where p is the flow of the ODE.

    Statement: the loss bounds the divergence of the reverse chain. The same network, run as a probability-flow ODE, is
        another model, on whose divergence neither the ELBO nor the flow-matching loss has any hold: it may grow without
        limit at a fixed loss. (Nor can one sample with an optimal decoder, which takes q itself: 001 names the
        trade-off.)
    Assumptions: none needed for a counterexample: data N(0, 1) on the cosine path, where the marginal velocity is zero;
        the model's velocity is its error, sin(k x)/2 up to t = 0.9 and zero from there.
    Proof idea: the chain rule for the chain; the likelihood of a flow contains the divergence of its velocity, of order
        k, which a loss on the velocity's size does not see. In the limit KL = 2 log cosh(c/2), c = 0.45 k.
    Computed: the flow in closed form, its KL by the trapezoid rule (20001 points); the chain of 40 steps by its
        transition densities on a grid of 561, its path divergence in closed form, which is what the ELBO exceeds the
        best one by. The statistic is the largest KL minus path divergence over k = 5, 10, 20, in nats.
    Source: 001 Theorems 1 and 2 are on the reverse chain; Song et al. 2021 and Lu et al. 2022 on the ODE's likelihood.
    Refuted by: a KL above the path divergence. Each sampler is the other's control.
    """
    which = case if variant == STATEMENT else variant
    models = [Ripple(k) for k in FREQUENCIES]
    divergences = [each.ancestral_kl(STEPS) if which == ANCESTRAL else each.flow_kl() for each in models]
    bounds = [each.path_kl(STEPS) for each in models]
    said = ", ".join(f"{kl:.4g} (k = {each.frequency:g})" for kl, each in zip(divergences, models, strict=True))
    detail = f"KL {said}; path divergence {bounds[-1]:.4g}, flow-matching excess {models[-1].fm_excess:.4g}"
    return Measurement(worst(kl - bound for kl, bound in zip(divergences, bounds, strict=True)), detail=detail)


@claim(
    "ST-15",
    title="sample quality on ImageNet 64x64 with the simple weighting",
    source="001 abstract, Figs. 4-5",
    kind="textual",
)
def empirical_numbers(case: str, variant: str, context: Context) -> Measurement:
    """Class-conditional ImageNet 64x64 by masked diffusion, simple weighting, 324M parameters, 256 steps: FID 1.92.

    Statement: 001 reports this FID, and shows samples of models of 204M parameters trained with the monotone weightings
        ELBO, sigmoid, FM and simple.
    Assumptions: its training settings, which the stored text does not contain; nor does it contain the FID by
        weighting, bits per dimension, or the constant of the sigmoid.
    Computed: nothing. It takes ImageNet and networks of hundreds of millions of parameters. What can be compared at
        the size of this package is an ordering of weightings by a stand-in for the FID on small images, paired over
        seeds: that is an experiment with its own intervals, not a check of this number.
    Source: 001 abstract, captions of Figs. 4 and 5.
    Refuted by: nothing here.
    """
    return Measurement(
        math.nan, detail="an FID on ImageNet 64x64 of a 324M network; data, compute and settings are not available here"
    )
