r"""Bounds: the cascade of optimal decoders, its gains, and what of it is monotone (ST-1, ST-2, ST-4).

001 counts time from data to noise, z_0 next to the data and z_T, at its t = 1, the noise. Its levels i = 0..T are kept
here; our t, which is 1 less its, falls along them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, told, worst
from reproflow.exact import binary_chain, gaussian_chain, three_gaussians
from reproflow.exact.chain import Chain, expected, posterior
from reproflow.exact.integrals import EXAMPLES
from reproflow.foundation import registry
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path

NO_LAW = "decoder without the law of the data"
NO_PRIOR = "KL to the prior left out"
GIVEN_X = "posterior given x in the gain"
PER_X = "for each x"
PATH_KL = "KL of paths"


def chains() -> tuple[str, ...]:
    """Process and path of every chain: one for each registered Gaussian and masked path."""
    masked = (entry.name for entry in registry.entries("path", "masked"))
    return (*(f"gaussian {name}" for name in three_gaussians.gaussian_paths()), *(f"masked {name}" for name in masked))


def _chain(case: str) -> Chain:
    process, name = case.split()
    return EXAMPLES[process]().chain(name)


@claim(
    "ST-1",
    title="a bound with the optimal decoder at every level",
    source="001 (optimal decoders)",
    kind="exact",
    tolerance=1e-12,
    cases=chains,
    controls=(NO_LAW, NO_PRIOR),
)
def optimal_decoder(case: str, variant: str, context: Context) -> Measurement:
    """L^(i)(x) <= log p^(i)(x) for every x and level; q(x|z_i), prop. to q(x) q(z_i|x), has the best bound on average.

    Statement: with p^(i)(x) = sum over z_i of q(x|z_i) p(z_i) and L^(i)(x) = E log q(x|z_i) - sum over j > i of
        E KL(q(z_{j-1}|z_j, x) || p(z_{j-1}|z_j)) - KL(q(z_T|x) || p(z_T)), both hold; E over x ~ q in the second.
    Assumptions: a Markov chain x -> z_0 -> ... -> z_T and any reverse model with its support.
    Proof idea: Jensen; the decoder enters by E log d(x|z_i) alone, and E log q(x|z_i) - E log d(x|z_i) is a KL.
    Computed: by enumeration. Gaussian: three points on a line, 11 levels, kernels on a grid of 81 points; masked: three
        tokens of three values, 7 levels, 64 states; with a denoiser that is off, and with the exact reversal of a wrong
        prior. The statistic is the largest of three: L - log p over x and levels; the gap between the sum of KLs as
        stated and E_q log p/q of whole paths; what E L gains by one of four decoders (the optimal one, one without
        q(x), its root, and it with a tenth of a uniform one). Good to 1e-14. L^(0) here has the optimal decoder too,
        not a learned one; the two differ by E KL(q(x|z_0) || p(x|z_0)).
    Source: 001, abstract, Fig. 1 and its section on optimal decoders; formulas written out here.
    Refuted by: any of the three above 1e-12. The decoder without q(x) is beaten (its L stays a bound); without
        KL(q(z_T|x) || p(z_T)), the stated sum is another number.
    """
    values = [_decoder_gaps(model, variant) for model in _models(_chain(case))]
    above, form, beaten = (worst(column) for column in zip(*values, strict=True))
    detail = f"L - log p at most {above:.2g}, the two forms of L apart by {form:.2g}, gain of a rival {beaten:.2g}"
    return Measurement(worst(above, form, beaten), detail=detail)


def _models(chain: Chain) -> tuple[Chain, Chain]:
    """The model that is off, and the exact reversal, of which only the prior is."""
    return chain, chain.with_model(reverse=chain.exact_reverse)


def _decoder_gaps(chain: Chain, variant: str) -> tuple[float, float, float]:
    """L - log p at its largest, the gap between two forms of L, and the largest gain of a rival decoder."""
    above, form, beaten, weight = [], [], [], chain.data.exp()
    later = torch.cat([chain.terms, chain.prior_terms[None]]).flip(0).cumsum(0).flip(0)
    if variant == NO_PRIOR:
        later = later - chain.prior_terms
    for i, given in enumerate(chain.given):
        rivals = _rivals(chain, i)
        decoder = rivals[1] if variant == NO_LAW else rivals[0]
        value = chain.bound(i, decoder)
        stated = expected(given, decoder) - later[i]
        above.append((stated - chain.likelihood(i, decoder)).max())
        form.append((stated - value).abs().max())
        beaten += [(chain.bound(i, rival) - value) @ weight for rival in rivals]
    return _largest(above), _largest(form), _largest(beaten)


def _largest(values: list[Tensor]) -> float:
    return float(torch.stack(values).max())


def _rivals(chain: Chain, i: int) -> list[Tensor]:
    best, size = chain.decoders[i], len(chain.data)
    uniform = torch.zeros_like(chain.data)
    return [best, posterior(uniform, chain.given[i]), (best / 2).log_softmax(0), (0.9 * best.exp() + 0.1 / size).log()]


@claim(
    "ST-2",
    title="each level's bound is better on average, by a KL (Theorem 1)",
    source="001 Theorem 1",
    kind="exact",
    tolerance=1e-12,
    cases=chains,
    controls=(GIVEN_X, PER_X),
)
def improved_bounds(case: str, variant: str, context: Context) -> Measurement:
    """E L^(i+1) - E L^(i) = E KL(q(z_i|z_{i+1}) || p(z_i|z_{i+1})) >= 0, and -H(q) - E L^(i) = KL(q || p) of paths.

    Statement: every further step that is done exactly gains its KL, so that the average bound rises towards the noise,
        and what is missing to the negative entropy is the KL between the laws of (z_i, ..., z_T).
    Assumptions: as in ST-1; the average is over x ~ q. It is no statement about a single x.
    Proof idea: -H - E L^(i) is the KL of the laws of (x, z_i, ..., z_T), in which x|z_i has the same law on both sides;
        chain rule, from z_T back.
    Computed: on the chains of ST-1 by enumeration: L from x-conditional forward laws, the gain from q(z_i|z_{i+1}) by
        Bayes, the path KL from the forward kernels of the mixed chain. The statistic is the largest gap of either
        identity or fall of E L. Good to 1e-14. The detail counts the pairs (level, x) at which L itself falls.
    Source: 001 Theorem 1 ("on average a better lower bound") and its footnote.
    Refuted by: a gap or a fall above 1e-12. The posterior given x adds I(x; z_i|z_{i+1}) to the gain; claimed for each
        x, the statement fails on the same chains.
    """
    chain = _chain(case)
    steps = chain.bounds[1:] - chain.bounds[:-1]
    gain = steps @ chain.data.exp()
    stated = chain.terms @ chain.data.exp() if variant == GIVEN_X else chain.improvements
    fall = -steps.min() if variant == PER_X else -gain.min()
    path = (-chain.entropy - chain.bounds @ chain.data.exp() - chain.path_kls).abs().max()
    parts = {"gain": (gain - stated).abs().max(), "path KL": path, "fall": fall.clamp(min=0)}
    said = told(parts)
    detail = f"{said}; for single x, L falls at {int((steps < 0).sum())} of {steps.numel()} (level, x)"
    return Measurement(float(torch.stack(list(parts.values())).max()), detail=detail)


def _jumping(z: Tensor, c: Coefficients) -> Tensor:
    """E[x|z], 3 too high next to the noise and 1.2 too low in the middle (001's time s = 1 - t: s > 0.7, 0.4..0.7)."""
    s = 1 - c.t
    return gaussian_chain.exact_denoiser(z, c) + 3 * (s > 0.7) - 1.2 * ((s > 0.4) & (s <= 0.7))


def _gaussian() -> Chain:
    times = 1 - torch.linspace(0.08, 0.95, 11, dtype=torch.float64)
    return gaussian_chain.gaussian_chain(forward_path("linear"), times, _jumping)


COUNTEREXAMPLES: dict[str, Callable[[], Chain]] = {
    "bit, wrong prior": binary_chain.wrong_prior,
    "bit, exact prior": binary_chain.matched_prior,
    "gaussian": _gaussian,
}


@claim(
    "ST-4",
    title="the data-model KL itself never rises along the cascade (it may)",
    source="001 abstract (own observation)",
    kind="exact",
    tolerance=1e-9,
    cases=tuple(COUNTEREXAMPLES),
    controls=(PATH_KL,),
    expected=dict.fromkeys(COUNTEREXAMPLES, "refuted"),
)
def data_kl_monotone(case: str, variant: str, context: Context) -> Measurement:
    """KL(q || p^(i+1)) <= KL(q || p^(i)) is false as a universal statement; only its bound, the path KL, never rises.

    Statement: (to be refuted) in every chain and for every model, KL(q || p^(i)) falls or stays from level to level.
    Assumptions: as in ST-1.
    Proof idea: a step back that is wrong by itself may undo the damage of an earlier one; leaving it out, as level
        i + 1 does, lays the damage bare. In the extreme it ignores z_{i+1} and draws z_i from q(z_i).
    Computed: by enumeration, good to 1e-14. A bit that is 1 with probability 0.7: flips of 0.1 and 0.2, prior (0.8,
        0.2); flips of 0.02, 0.05 and 0.1, the exact prior and a first step back that takes 0 for 1; both forget z_1 in
        p(z_0|z_1) = q(z_0). And the three points of ST-1 on the linear path, 11 levels, with a denoiser that is 3
        too high near the noise and 1.2 too low before. The statistic is the largest rise from a level to the next.
    Source: 001's abstract speaks of reduced data-model KL divergences; Theorem 1 is about their bound (see E27).
    Refuted by: a rise above 1e-9, as expected here of each case. The control, the KL of paths, must show none.
    """
    chain = COUNTEREXAMPLES[case]()
    series = chain.path_kls if variant == PATH_KL else chain.data_kls
    detail = "levels from the data: " + ", ".join(f"{abs(value):.4f}" for value in series.tolist())
    return Measurement(float((series[1:] - series[:-1]).max()), detail=detail)
