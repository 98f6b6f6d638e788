"""The catalogue of masked losses: parts, names and verdict of the right ones, the findings of the others."""

from __future__ import annotations

import pytest
from losses import mutants_tokens, restated_tokens
from losses.faulty import FAULTY, Faulty
from losses.stated import CATALOGUE, LENGTH, MASK, VOCABULARY, Stated

from reproflow import audit, judge
from reproflow.auditing.expected import Expected

RIGHT = {key: CATALOGUE[key] for key in CATALOGUE if CATALOGUE[key].loss.__module__ == restated_tokens.__name__}
WRONG = {key: FAULTY[key] for key in FAULTY if FAULTY[key].loss.__module__ == mutants_tokens.__name__}
NOT_REGISTERED = {"discrete_flow_cubic"}
"""Losses whose path has no registered name."""
BY_DEFAULT = {
    "mdlm_stratified",
    "logarithm_of_the_rate",
    "rate_not_told",
    "weights_of_another_sentence",
}
"""Those that neither `test_mutant_losses` (a loss divided by its count) nor `test_token_readings` (one on all tokens)
has by default."""


def cases(catalogue):
    return [
        pytest.param(each, id=key, marks=() if key in BY_DEFAULT else pytest.mark.slow)
        for key, each in catalogue.items()
    ]


def audited(each: Stated | Faulty, expect: Expected | None):
    sampler = each.sampler if isinstance(each, Faulty) else None
    return audit(each.loss, (LENGTH,), vocab=VOCABULARY, mask=MASK, expect=expect, sampler=sampler)


@pytest.mark.parametrize("each", cases(RIGHT))
def test_a_right_loss_is_the_stated_objective_with_the_verdict_of_check(each: Stated) -> None:
    found = audited(each, Expected(each.weighting, each.on, each.path, each.time))
    parts = found.identification
    assert found.exit_code == 0
    assert {finding.id for finding in found.findings} <= {"mask-logit"}
    assert found.reading.form.form == ("score entropy" if each.target == "score entropy" else "cross-entropy")
    assert parts.path is not None
    path = "polynomial:n=2" if each.path == "polynomial" else each.path
    assert parts.path["name"] == (None if each.key in NOT_REGISTERED else path)
    assert parts.expected is not None
    assert parts.expected["verdict"] == "same"
    same = judge.weighting(each.weighting, "masked", each.path, each.time, each.on)
    assert parts.judged is not None
    assert parts.judged["bound"]["verdict"] == same.bound["verdict"] == each.verdict


@pytest.mark.parametrize("each", cases(WRONG))
@pytest.mark.default_cases(2)
def test_a_wrong_loss_has_the_finding_and_no_other(each: Faulty) -> None:
    found = audited(each, Expected(**each.expect) if each.expect else None)
    ids = {finding.id for finding in found.findings}
    assert each.finding in ids
    assert ids <= {each.finding, *each.others, "mask-logit"}
