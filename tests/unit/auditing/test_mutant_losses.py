"""Losses with a typical bug or an unsettled design: each is found under its own id, and of nothing else accused.

A few run by default, all of them with `-m slow`; benchmarks/results/audit_mutants.md has what came out.
"""

from __future__ import annotations

import functools
import itertools
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
    "seeded_inside",
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


CODES = {Level.DEFECT: 3, Level.QUESTION: 5, Level.NOTE: 0}


@functools.cache
def committed() -> dict[str, dict[str, str]]:
    """The rows of the table of losses with a bug, by the loss: cells by their headings."""
    lines = [line.strip("| ").split("|") for line in TABLE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip(" `") for cell in line] for line in lines]
    head, _, *rest = cells
    rows = itertools.takewhile(lambda row: row[0] != head[0], rest)  # another table follows
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def said(cell: str) -> list[str]:
    """The findings in a cell of the table, behind the option that they take."""
    return [each.strip() for each in cell.split(":")[-1].split(",") if each.strip()]


@pytest.mark.parametrize("key", [pytest.param(key, marks=() if key in DAILY else pytest.mark.slow) for key in FAULTY])
@pytest.mark.default_cases(10)
def test_a_mutant_is_found(key: str) -> None:
    """Under its own id, with the exit code of that id's level, and as the committed table has it."""
    case, row = FAULTY[key], committed()[key]
    found = of(case)
    ids = [each.id for each in found.findings]
    assert case.finding in ids
    assert set(ids) <= {case.finding, *case.others}
    assert len(ids) == len(set(ids))
    assert found.exit_code == CODES[LEVELS[case.finding]]
    assert ids == (said(row["found with what is told"]) or said(row["found with nothing told"]))
    assert not (found.identification.judged and found.reading.coupled)


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(TOLD))
def test_what_takes_an_expectation_or_a_sampler_says_nothing_without(key: str) -> None:
    assert [each.id for each in of(FAULTY[key], told=False).findings if each.level is not Level.NOTE] == []


def test_every_finding_has_its_mutant() -> None:
    assert {case.finding for case in FAULTY.values()} == set(LEVELS)


def test_nine_in_ten_are_found_with_nothing_restated() -> None:
    """Of the committed table, whose rows are what an audit finds; designs that are legal are no bugs."""
    # In any order: losses stand in that in which their files were imported.
    assert set(committed()) == set(FAULTY)
    bugs = {key: case for key, case in FAULTY.items() if LEVELS[case.finding] is not Level.NOTE}
    alone = [
        key
        for key, case in bugs.items()
        if {case.finding, *(case.others if case.sampler else ())} & {*said(committed()[key]["found with nothing told"])}
    ]
    assert len(alone) >= 0.9 * len(bugs)
    assert f"{len(alone)} of {len(bugs)} bugs are found with nothing restated" in TABLE.read_text()
