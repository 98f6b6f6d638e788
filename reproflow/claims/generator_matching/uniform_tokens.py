"""Generator matching of tokens under uniform noise: their cases of BIL-2 and BIL-4."""

from __future__ import annotations

import functools
from dataclasses import replace

import torch
from torch import Tensor

from reproflow.claims.generator_matching.converse import GRADIENTS, USUAL
from reproflow.claims.generator_matching.theorem import (
    COORDINATE,
    PRIOR,
    WEIGHT,
    in_coordinate,
    time_weights,
    with_prior,
)
from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim
from reproflow.exact import matching
from reproflow.exact.matching import Comparison, Problem
from reproflow.exact.processes import uniform_tokens
from reproflow.exact.processes.uniform_tokens import MIXTURE, REVERSED
from reproflow.foundation import registry
from reproflow.theory.divergences import get_divergence

BACKGROUND = {MIXTURE: 0.1, REVERSED: 0.0}
"""Added to all rates: those of the mixture path are zero where no clean token leads, as in Edit Flows."""


def _divergences(bregman: bool) -> tuple[str, ...]:
    return tuple(e.name for e in registry.entries("divergence") if e.meta.get("bregman") is bregman)


def _of_rates(bregman: bool) -> tuple[str, ...]:
    return tuple(name for name in _divergences(bregman) if get_divergence(name).domain == "positive")


@claim(
    "BIL-2",
    process="uniform_tokens",
    title="conditional and marginal generator matching have equal gradients: tokens under uniform noise",
    source="000 Theorem 4.8",
    kind="exact",
    tolerance=1e-12,
    cases=lambda: tuple(f"uniform tokens, {kind}: {name}" for kind in BACKGROUND for name in _divergences(True)),
    controls=(WEIGHT, PRIOR, COORDINATE),
)
def equal_gradients(case: str, variant: str, context: Context) -> Measurement:
    """grad E w D_tx(u^z, v) = grad E w D_tx(E[u^z|x], v) for the rates u of tokens under uniform noise.

    Statement: BIL-2 for two chains with the law p_t(x|z) of tokens that are kept with probability alpha, else uniform:
        the mixture path, on which a token jumps to its clean value, and the reversed noise. z is the clean sequence.
    Assumptions: those of BIL-2.
    Computed: two dependent tokens of three values, enumerated (`exact.processes.uniform_tokens`), the rates of the four
        jumps of one token at eight times; 0.1 is added to rates of the mixture path, which may be zero. One random
        network, all weightings of the process times all time laws, the statistic of BIL-2. That the marginal
        rates generate p_t, and that they are those of the reversed chain, is a matter of the tests.
    Source: 000 Theorem 4.8; Gat et al. 2024; Austin et al. 2021; Lou et al. 2024.
    Refuted by: a relative gap above 1e-12, of the gradients or of the constant. The controls are those of BIL-2.
    """
    head, _, name = case.partition(": ")
    problem, divergence = _problem(head.removeprefix("uniform tokens, ")), get_divergence(name)
    theta = matching.parameters(problem, 0)
    loss = in_coordinate(divergence, problem.domain) if variant == COORDINATE else divergence
    found = matching.compare(problem, loss, theta, _latent_weight(problem) if variant == WEIGHT else None)
    if variant == PRIOR:
        # The network's units are those of the right problem: only the posterior may differ.
        wrong = matching.compare(with_prior(problem), loss, theta, predict=lambda _, th: matching.predict(problem, th))
        found = replace(found, marginal=wrong.marginal, marginal_gradient=wrong.marginal_gradient)
    return _gap(found, time_weights("uniform_tokens", tuple(problem.t.unique().tolist())), variant)


def _gap(found: Comparison, weights: Tensor, variant: str) -> Measurement:
    gradient, constant = found.gradient_gaps(weights), found.constant_gaps(weights)
    if variant != STATEMENT:
        # A control is wrong for every weight, so the least of its gaps must be seen.
        return Measurement(float(gradient.min()), detail=f"at least, over {len(weights)} weights of time")
    detail = f"{len(weights)} weights of time; gradients {gradient.max():.2g}, constant {constant.max():.2g}"
    return Measurement(float(torch.maximum(gradient, constant).max()), detail=detail)


def _latent_weight(problem: Problem) -> Tensor:
    return torch.linspace(0.5, 1.5, problem.joint.shape[1], dtype=torch.float64).expand_as(problem.joint)


PLACE = f"{GRADIENTS} on uniform tokens, "


def _parts(case: str) -> tuple[str, str]:
    """The divergence and which chain."""
    name, _, rest = case.partition(": ")
    return name, rest.removeprefix(PLACE)


def _controls(case: str) -> tuple[str, ...]:
    name, _ = _parts(case)
    return _of_rates(False) if get_divergence(name).bregman else (USUAL["positive"],)


@claim(
    "BIL-4",
    process="uniform_tokens",
    title="only gradients that are affine in the target agree with the marginal loss's: tokens under uniform noise",
    source="000 Theorem 4.8, converse; Banerjee et al. 2005",
    kind="exact",
    tolerance=1e-12,
    cases=tuple(f"{n}: {PLACE}{kind}" for n in (*_of_rates(True), *_of_rates(False)) for kind in BACKGROUND),
    controls=_controls,
    expected={f"{name}: {PLACE}{kind}": REFUTED for name in _of_rates(False) for kind in BACKGROUND},
)
def only_bregman(case: str, variant: str, context: Context) -> Measurement:
    """Of the divergences of positive rates, the Bregman ones and no others have equal gradients on uniform tokens.

    Statement: BIL-4 for the rates of tokens under uniform noise, of the mixture path and of the reversed noise.
    Assumptions: those of BIL-4.
    Computed: the relative gap of the two gradients in a random network's parameters, weight 1 at each of eight times,
        on the problem of BIL-2's cases.
    Source: 000 Theorem 4.8; the converse is not in 000 (Banerjee, Guo and Wang 2005).
    Refuted by: a relative gap above 1e-12. Divergences that are not Bregman ones must be refuted, and are the controls
        of those that are.
    """
    name, kind = _parts(case)
    problem = _problem(kind)
    divergence = get_divergence(name if variant == STATEMENT else variant)
    found = matching.compare(problem, divergence, matching.parameters(problem, 1))
    return Measurement(float(found.gradient_gaps(torch.ones(1, len(found.floor), dtype=torch.float64))))


@functools.cache
def _problem(kind: str) -> Problem:
    return uniform_tokens.problem(kind, background=BACKGROUND[kind])
