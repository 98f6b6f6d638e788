"""Losses with a typical bug or an unsettled design: each is found under its own id, and of nothing else accused.

A few run by default, all of them with `-m slow`; benchmarks/results/audit_mutants.md has what came out.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from losses.run import FAULTY, of

from reproflow.auditing.findings import LEVELS, Level

TABLE = Path(__file__).parents[3] / "benchmarks" / "results" / "audit_mutants.md"
DAILY = (
    "target_draws_its_own_noise",
    "network_in_no_grad",
    "target_is_the_input",
    "contrastive_flow",
    "weights_of_the_sample_before",
    "weights_over_their_mean",
    "weight_by_the_target",
    "weight_by_the_class",
    "noise_shuffled_in_the_state_alone",
    "minibatch_transport",
    "pyramid_noise",
    "consistency_training",
    "gradient_penalty",
    "two_levels_at_once",
    "fresh_time_told",
    "a_level_a_row",
    "times_along_the_width",
    "state_squashed",
    "one_number_of_noise_a_sample",
    "blurred_without_noise",
    "loss_on_shown_tokens_only",
    "divided_by_the_count",
    "uniform_noise_on_tokens",
)
"""Both levels and each kind of bug, the quick ones."""
TOLD = {
    key
    for key, case in FAULTY.items()
    if case.finding == "not-as-stated" or (case.finding.startswith("sampler-") and not case.others)
}
"""Sound objectives, where another one was meant, and right losses, whose samplers are wrong."""


@pytest.mark.parametrize("key", [pytest.param(key, marks=() if key in DAILY else pytest.mark.slow) for key in FAULTY])
def test_a_mutant_is_found(key: str) -> None:
    case = FAULTY[key]
    found = of(case)
    ids = [each.id for each in found.findings]
    assert case.finding in ids
    assert set(ids) <= {case.finding, *case.others}
    assert len(ids) == len(set(ids))
    defect = any(LEVELS[each] is Level.DEFECT for each in ids)
    question = any(LEVELS[each] is Level.QUESTION for each in ids)
    assert found.exit_code == (3 if defect else 5 if question else 0)
    assert not (found.identification.judged and found.reading.coupled)


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(TOLD))
def test_what_takes_an_expectation_or_a_sampler_says_nothing_without(key: str) -> None:
    assert [each.id for each in of(FAULTY[key], told=False).findings if each.level is not Level.NOTE] == []


def test_nine_in_ten_are_found_with_nothing_restated() -> None:
    """Every finding has its mutant; the catalogue's losses that need more to be told are a tenth at the most."""
    assert {case.finding for case in FAULTY.values()} == set(LEVELS)
    assert len(FAULTY) >= 40
    assert len(TOLD) <= 0.1 * len(FAULTY)


def test_the_committed_table_has_all_of_them() -> None:
    rows = [line.split("|") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    found = {row[1].strip(" `"): f"{row[4]}, {row[5].split(':')[-1]}" for row in rows if len(row) == 8}
    for key, case in FAULTY.items():
        assert case.finding in [each.strip() for each in found[key].split(",")], key
