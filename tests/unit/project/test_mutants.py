"""The table of faults for `make mutants` is sound: every fault fits its file, and what declares a file exists."""

from __future__ import annotations

import ast

import mutation
import pytest
from repository import ROOT

MUTANTS, FILES = mutation.table()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_fault_changes_its_file_once_and_leaves_it_python(mutant: mutation.Mutant) -> None:
    text = (ROOT / "reproflow" / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.find) == 1
    changed = text.replace(mutant.find, mutant.put)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))


def test_every_file_is_declared_by_claims_or_tests_that_exist() -> None:
    from reproflow.claims import ledger

    known = {entry.name for entry in ledger.find()}
    assert {mutant.file for mutant in MUTANTS} == set(FILES)
    for file, checks in FILES.items():
        assert checks["claims"], file
        assert set(checks["claims"]) <= known, file
        assert all((ROOT / "tests" / path).is_file() for path in checks["tests"]), file


def test_the_page_shows_every_fault() -> None:
    page = mutation.PAGE.read_text(encoding="utf-8")
    assert page.startswith(mutation.INTRODUCTION)
    for mutant in MUTANTS:
        assert f"| `{mutant.file}` | {mutant.breaks} |" in page
    assert "no reason known" not in page


def test_a_missed_fault_is_named_with_its_reason() -> None:
    faults = [
        mutation.Mutant("a", "f.py", "breaks it", "x", "y", "because"),
        mutation.Mutant("b", "g.py", "too", "x", "y"),
    ]
    made = mutation.page(faults, ["", "claim LOSS-1"])
    assert "1 of 2 mutants are caught" in made
    assert "| `f.py` | breaks it | **missed**: because |" in made
    assert "| `g.py` | too | `claim LOSS-1` |" in made
