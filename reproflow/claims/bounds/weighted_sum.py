r"""Bounds: a weighted loss is a sum of the cascade's bounds (ST-3, ST-5, ST-13).

The discrete weights are w_j = w at the middle of the step from level j to j - 1, w the canonical weight of a registered
weighting (001 counts from the data: j = 1 is the last step of sampling; our t falls with j). Then

.. math:: \tilde w_0 = w_1, \quad \tilde w_i = w_{i+1} - w_i \; (0 < i < T), \qquad w_j = \sum_{i<j} \tilde w_i .

Where w falls with j somewhere, it still certifies its running minimum w_low(j) = min over k >= j of w_k.
"""

from __future__ import annotations

import functools
import itertools

import torch
from torch import Tensor

from reproflow.claims.bounds.improved_bounds import chains
from reproflow.claims.policy import Context, Measurement, claim, told, worst
from reproflow.exact.chain import Chain, expected
from reproflow.exact.integrals import EXAMPLES, over_least, panels, path_kl, stieltjes
from reproflow.foundation import processes, registry
from reproflow.theory.objective import Objective
from reproflow.theory.paths import forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

NO_PRIOR = "prior term left out"
NEXT = "one level further"
REVERSED = "increments in the order of t"
FALLING = "w itself, where it falls"

CONTINUOUS = ("uniform", "logit_normal")
"""Time laws of the integrals; the sums go through all."""


_law = functools.cache(get_time_law)
"""One object a law: its gaps are found once."""


def _weightings() -> tuple[str, ...]:
    """Every weighting of the processes that have an exact chain."""
    known = [process for process in processes.known() if process in EXAMPLES]
    return tuple(f"{process} {entry.name}" for process in known for entry in registry.entries("weighting", process))


def _laws(process: str) -> tuple[str, ...]:
    return tuple(entry.name for entry in registry.entries("time", process))


@functools.cache
def _models(process: str, path_name: str) -> tuple[Chain, Chain, Chain]:
    """The chain of ST-1 on a path with denoiser and prior off; the denoiser alone; the prior alone."""
    chain = EXAMPLES[process]().chain(path_name)
    return chain, chain.with_model(prior=chain.marginals[-1]), chain.with_model(reverse=chain.exact_reverse)


@functools.cache
def _weights(process: str, name: str, law: str, path_name: str = "") -> Tensor:
    """w_1..w_T, the largest 1, on a path (the process's default)."""
    path_name = path_name or EXAMPLES[process]().path
    path = forward_path(path_name, process)
    w = Objective(path, _law(law), get_weighting(name, process)).weight(_middles(process, path_name))
    return w / w.max()


@functools.cache
def _middles(process: str, path_name: str) -> Tensor:
    """The times between the levels of the chain of ST-1, (T,)."""
    example = EXAMPLES[process]()
    times = example.levels(forward_path(path_name, process), example.steps)
    return 0.5 * (times[1:] + times[:-1])


def _increments(w: Tensor) -> Tensor:
    """w~_0..w~_{T-1}."""
    return torch.cat([w[:1], w.diff()])


def _running_minimum(w: Tensor) -> Tensor:
    """The largest non-decreasing sequence below w."""
    return w.flip(0).cummin(0).values.flip(0)


def _monotone(w: Tensor) -> bool:
    """Whether w never falls towards the noise, by more than rounding."""
    return bool((w - _running_minimum(w)).max() <= 1e-9)


@claim(
    "ST-3",
    title="the bounds on the data-model KL, level by level and weighted",
    source="001 Theorems 1, 2",
    kind="exact",
    tolerance=1e-12,
    cases=chains,
    controls=(NEXT, NO_PRIOR),
)
def data_model_kl(case: str, variant: str, context: Context) -> Measurement:
    """KL(q || p^(i)) <= KL(q(z_i) || p(z_i)) <= PKL_i, which never rises; a weighted excess loss bounds their mixture.

    Statement: PKL_i = KL(q(z_i..z_T) || p(z_i..z_T)) does not rise in i. And for any w >= 0, with e_j the j-th
        denoising term less its minimum, sum w_j e_j + w_T KL_T >= sum v_i KL(q || p^(i)), where v are the increments of
        w, or of its running minimum where w is not monotone, and KL_T = KL(q(z_T) || p(z_T)).
    Assumptions: as in ST-1. Only the bound PKL_i is monotone, not the KL itself (ST-4).
    Proof idea: data processing, once through q(x|z_i), once by forgetting z_{i+1..T}; chain rule. The sum is Abel's
        summation of e_j = PKL_{j-1} - PKL_j.
    Computed: on the chains of ST-1, by enumeration, good to 1e-14; every registered weighting of the process under
        uniform time, largest weight 1. Models: a denoiser that is off, with the exact prior and with a wrong one, and
        the exact reversal of a wrong prior. The statistic is the largest violation of the four inequalities.
    Source: 001, consequence of Theorem 1, and Theorem 2; the term w_T KL_T is written out here.
    Refuted by: a violation above 1e-12. PKL_{i+1} in place of PKL_i lets one step of the model go unpaid; without the
        KL_T, the exact reversal of a wrong prior would have no distance to the data at all.
    """
    process, name = case.split()
    weightings = [entry.name for entry in registry.entries("weighting", process)]
    weights = [_weights(process, each, "uniform", name) for each in weightings]
    values = [_violations(model, weights, variant) for model in _models(process, name)]
    largest = {key: worst(each[key] for each in values) for key in values[0]}
    detail = "largest violation: " + told(largest)
    return Measurement(worst(largest.values()), detail=detail)


def _violations(model: Chain, weights: list[Tensor], variant: str) -> dict[str, float]:
    """By how much each inequality of ST-3 fails; negative where none of its cases is tight."""
    bound = model.path_kls - (model.marginal_kls[-1] if variant == NO_PRIOR else 0.0)
    if variant == NEXT:
        bound = torch.cat([bound[1:], bound[-1:]])
    return {
        "KL over KL_i": float((model.data_kls - model.marginal_kls).max()),
        "KL_i over PKL_i": float((model.marginal_kls - bound).max()),
        "rise of PKL_i": float(bound.diff().max()),
        "weighted": worst(_weighted_violation(model, w, variant) for w in weights),
    }


def _weighted_violation(model: Chain, w: Tensor, variant: str) -> float:
    """sum v_i KL(q || p^(i)) - (sum w_j e_j + w_T KL_T)."""
    excess = w @ (model.terms @ model.data.exp() - model.floors)
    prior = 0.0 if variant == NO_PRIOR else w[-1] * model.marginal_kls[-1]
    return float(_increments(_running_minimum(w)) @ model.data_kls[:-1] - excess - prior)


def _controls(case: str) -> tuple[str, ...]:
    process, name = case.split()
    w = _weights(process, name, "uniform")
    # A constant w is the same in either order.
    return (NEXT, NO_PRIOR) if float(w.min()) > 1 - 1e-9 else (NEXT, NO_PRIOR, REVERSED)


@claim(
    "ST-5",
    title="a weighted loss is a weighted sum of the cascade's bounds (Theorem 2)",
    source="001 Theorem 2, Fig. 1",
    kind="exact",
    tolerance=1e-9,
    cases=_weightings,
    controls=_controls,
)
def weighted_sum(case: str, variant: str, context: Context) -> Measurement:
    """sum_j w_j l_j = -sum_i w~_i E L^(i) + const(q); in continuous time int w l = C_w + int PKL dnu - nu KL_T.

    Statement: const = sum w~_i E log q(x|z_i) - w_T E KL(q(z_T|x) || p(z_T)) is free of the denoiser; the excess over
        the smallest loss is sum w~_i PKL_i - w_T KL_T. In continuous time nu has the mass w at the data end and grows
        with w towards the noise, and nu's whole mass is w at the noise end. The term of the prior is not in 001.
    Assumptions: any w; it is a sum of *bounds* only where w never falls towards the noise (ST-11).
    Proof idea: Abel's summation, in continuous time integration by parts.
    Computed: chains of ST-1 (linear path; masked: cosine schedule), every registered time law, w by its canonical form.
        Sums: the constant from three models (denoiser off, prior off, both), which must be as stated, L by path laws
        and l by posteriors, and the excess against PKL by forward kernels; good to 1e-14. Integrals, under two time
        laws: pi(t) c(t) of training times the raw error less the least, by quadrature over x and eps (masked: over sets
        of hidden tokens), against PKL by E|x-hat - E[x|z]|² (masked: KL to the exact denoiser) and the increments of
        w, on panels that are finer where w bends; good to 1e-10. The statistic is the largest relative gap.
    Source: 001 Theorem 2 and Fig. 1 in noise-time; Kingma & Gao 2023 for the continuous form.
    Refuted by: a gap above 1e-9. L^(i+1) for L^(i), the term of the prior left out, and increments in
        the opposite order of time (not for a constant w) must show one.
    """
    process, name = case.split()
    gaps = {
        "sums": worst(_discrete_gap(process, name, law, variant) for law in _laws(process)),
        "integrals": worst(_continuous_gap(process, name, law, variant) for law in CONTINUOUS),
    }
    detail = "relative gaps: " + told(gaps)
    return Measurement(worst(gaps.values()), detail=detail)


def _measure(w: Tensor, variant: str) -> Tensor:
    """w~ at the levels 0..T."""
    nu = _increments(w.flip(0) if variant == REVERSED else w)
    zero = torch.zeros(1, dtype=w.dtype)
    return torch.cat([zero, nu]) if variant == NEXT else torch.cat([nu, zero])


def _discrete_gap(process: str, name: str, law: str, variant: str) -> float:
    models = _models(process, EXAMPLES[process]().path)
    w, weight = _weights(process, name, law), models[0].data.exp()
    nu = _measure(w, variant)
    prior = 0.0 if variant == NO_PRIOR else 1.0
    gaps = []
    for model in models:
        loss = w @ (model.terms @ weight)
        stated = nu @ (model.reconstructions @ weight) - prior * w[-1] * (model.prior_terms @ weight)
        excess = loss - w @ model.floors + prior * w[-1] * model.marginal_kls[-1]
        gaps += [loss + nu @ (model.bounds @ weight) - stated, excess - nu @ model.path_kls]
    return float(torch.stack(gaps).abs().max() / (w @ (models[0].terms @ weight)))


def _continuous_gap(process: str, name: str, law: str, variant: str) -> float:
    """|int w l - C_w + w_T KL_T - int PKL dnu|, over the latter."""
    loss, w, kl = _in_time(process, name, law)
    prior = 0.0 if variant == NO_PRIOR else w[0] * kl[0]
    if variant == NEXT:
        kl = torch.cat([kl[:1].expand(len(kl) // 10), kl[: -(len(kl) // 10)]])
    # Our t rises towards the data, so nu(dt) = -dw, with an atom of w at the data end.
    total = w[-1] * kl[-1] - stieltjes(kl, w.flip(0) if variant == REVERSED else w)
    return float((loss + prior - total).abs() / total.abs())


@functools.cache
def _in_time(process: str, name: str, law: str) -> tuple[Tensor, Tensor, Tensor]:
    """int w l - C_w by what training multiplies its errors with; at the edges w by its canonical form, and PKL."""
    path, weighting = forward_path(EXAMPLES[process]().path, process), get_weighting(name, process)
    objective = Objective(path, _law(law), weighting)
    on = panels(process, objective.weight)
    rate = _law(law).density(on.t) * objective.coefficient(on.t)
    return (on.weights * rate) @ over_least(process, on.t)[0], objective.weight(on.edges), path_kl(process, on)


def _noised_controls(case: str) -> tuple[str, ...]:
    process, name = case.split()
    weights = [_weights(process, name, law) for law in _laws(process)]
    return (NEXT, NO_PRIOR) if all(map(_monotone, weights)) else (NEXT, NO_PRIOR, FALLING)


@claim(
    "ST-13",
    title="a monotone weight gives the ELBO of noised data",
    source="Kingma & Gao 2023, Theorem 1; 001",
    kind="exact",
    tolerance=1e-12,
    cases=_weightings,
    controls=_noised_controls,
)
def noised_data(case: str, variant: str, context: Context) -> Measurement:
    """sum w_j l_j + w_T KL(q(z_T|x) || p) = W E_{i ~ w~/W} KL(q(z_i..z_T|x) || p(z_i..z_T)), E over x: ELBOs of z_i.

    Statement: the loss is, but for the prior's term, W = w_T times an average of negative ELBOs (less entropies of
        q(z_i|x)) of data noised up to a random level, for a w that never falls towards the noise; else for its running
        minimum. Each is >= E KL(q(z_i|x) || p(z_i)) >= KL(q(z_i) || p(z_i)) >= KL(q || p^(i)), 001's left side.
    Assumptions: as in ST-1; w >= 0.
    Proof idea: the sum of ST-5 without decoders; data processing for the inequalities.
    Computed: chains of ST-1 (linear path; masked: cosine schedule), w under every registered time law; l_j by
        posteriors, path KLs given x by forward kernels. The statistic is the largest of the relative gap of the
        identity, the most negative share of a level, and the violations of the three inequalities. Good to 1e-14.
    Source: Kingma & Gao 2023 (the bound on noised data); 001 for the left side with optimal decoders.
    Refuted by: any above 1e-12. Levels off by one, the term of the prior left out, and, where w falls under some time
        law, w itself for its running minimum (a level with a negative share) must show one.
    """
    process, name = case.split()
    chain = _models(process, EXAMPLES[process]().path)[0]
    weights = [_weights(process, name, law) for law in _laws(process)]
    gaps = [_noised_gap(chain, w if variant == FALLING else _running_minimum(w), variant) for w in weights]
    monotone = sum(map(_monotone, weights))
    said = f"w itself is monotone on these levels under {monotone} of {len(weights)} time laws"
    ladder = (chain.data_kls, chain.marginal_kls, _noised(chain), chain.conditional_path_kls)
    order = worst(float((small - large).max()) for small, large in itertools.pairwise(ladder))
    return Measurement(
        worst(*gaps, order), detail=f"relative gap {worst(gaps):.2g}, order violated by {order:.2g}; {said}"
    )


def _noised_gap(chain: Chain, w: Tensor, variant: str) -> float:
    """The relative gap of the identity, or the most negative weight of a level."""
    nu, weight = _measure(w, variant), chain.data.exp()
    prior = 0.0 if variant == NO_PRIOR else w[-1] * (chain.prior_terms @ weight)
    loss = w @ (chain.terms @ weight)
    return float(torch.maximum((loss + prior - nu @ chain.conditional_path_kls).abs() / loss, -nu.min()))


def _noised(chain: Chain) -> Tensor:
    """E_x KL(q(z_i|x) || p(z_i)), (T+1,)."""
    pairs = zip(chain.given, chain.model_marginals, strict=True)
    return torch.stack([expected(q, q - p) for q, p in pairs]) @ chain.data.exp()
