"""The tables of faults for `make mutants`: every fault fits its file, what is run exists, and results are kept."""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import subprocess
from pathlib import Path

import faults
import mutation
import outcomes
import pytest
from faults import Checks, Mutant
from outcomes import Outcome
from repository import ROOT

TABLE = faults.read()
PACKAGE = ROOT / "reproflow"


@pytest.mark.parametrize("layer", sorted({mutant.layer for mutant in TABLE.mutants}))
def test_a_fault_changes_its_file_once_and_leaves_it_python(layer: str) -> None:
    for mutant in (each for each in TABLE.mutants if each.layer == layer):
        text = (PACKAGE / mutant.file).read_text(encoding="utf-8")
        changed = faults.broken(text, mutant)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)), mutant.id


def test_no_fault_stands_twice() -> None:
    kinds = {(mutant.file, mutant.find, mutant.put) for mutant in TABLE.mutants}
    assert len(kinds) == len(TABLE.mutants)


def test_what_is_run_against_a_fault_exists() -> None:
    from reproflow.claims import ledger

    known = {entry.name for entry in ledger.find()}
    assert {mutant.file for mutant in TABLE.mutants} == set(TABLE.files)
    for checks in (*TABLE.files.values(), *(mutant.checks for mutant in TABLE.mutants)):
        assert checks.claims or checks.tests
        assert set(checks.claims) <= known, checks
        for test in checks.tests:
            path, *names = test.split("::")
            text = (ROOT / "tests" / path).read_text(encoding="utf-8")
            kinds = ((name.partition("[")[0], "class" if name[0].isupper() else "def") for name in names)
            assert all(f"{kind} {name}" in text for name, kind in kinds), test


def test_every_file_that_decides_has_a_fault_or_a_reason_why_not() -> None:
    """Modules of imports and docstrings alone decide nothing."""
    modules = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if _decides(path)}
    excused = {module for module in modules for pattern in TABLE.without if fnmatch.fnmatchcase(module, pattern)}
    assert modules - set(TABLE.files) - excused == set()
    unused = [pattern for pattern in TABLE.without if not fnmatch.filter(modules - set(TABLE.files), pattern)]
    assert not unused, "what they excuse has faults, or is gone"
    assert all(reason.strip() for reason in TABLE.without.values())


def _decides(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(tree))


def test_the_page_shows_every_fault() -> None:
    page = outcomes.PAGE.read_text(encoding="utf-8")
    assert page.startswith(outcomes.INTRODUCTION)
    for mutant in TABLE.mutants:
        assert f"| `{mutant.file}` | {mutant.breaks} |" in page
    assert "no reason known" not in page


FAULTS = [
    Mutant("a", "f.py", "breaks it", "x", "y", Checks(["LOSS-1"]), missed="because", layer="exact"),
    Mutant("b", "g.py", "too", "x", "y", Checks(tests=["unit/project/test_mutants.py"]), layer="theory"),
]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(outcomes, "KEPT", tmp_path / "build" / "mutants.jsonl")
    return tmp_path / "build" / "mutants.jsonl"


def test_a_missed_fault_is_named_with_its_reason() -> None:
    found = {"a": Outcome("a", "", "", "", 30.0, "abc", "2026-01-01"), "b": None}
    made = outcomes.page(FAULTS, found)
    assert "0 of 2 mutants are caught, 1 were not run; 0 minutes" in made
    assert "| `f.py` | breaks it | **missed**: because | abc, 2026-01-01 |" in made
    assert "| `g.py` | too | not run |  |" in made
    assert made.index("## exact") < made.index("## theory")
    caught = outcomes.page(FAULTS, found | {"b": Outcome("b", "", "", "claim LOSS-1", 90.0, "abc", "2026-01-01")})
    assert "1 of 2 mutants are caught; 2 minutes" in caught
    assert "| `g.py` | too | `claim LOSS-1` | abc, 2026-01-01 |" in caught


def test_what_ran_elsewhere_stays_on_the_page() -> None:
    """But for a fault that is another now; what ran here comes first."""
    lines = {
        "a": Outcome("a", "", "", "", 30.0, "abc", "2026-01-01"),
        "b": Outcome("b", "", "", "x y", 9.0, "d+", "2026-01-02"),
    }
    made = outcomes.page(FAULTS, lines)
    found = outcomes.shown(made, FAULTS, FAULTS)
    assert [(each.caught, each.commit, each.date) for each in found.values()] == [
        ("", "abc", "2026-01-01"), ("x y", "d+", "2026-01-02")
    ]  # fmt: skip
    again = outcomes.page(FAULTS, found)
    assert [line for line in again.splitlines() if line.startswith("|")] == [
        line for line in made.splitlines() if line.startswith("|")
    ]
    assert "0 minutes of one core for 0 of them" in again
    assert "1 minutes of one core for 1 of them" in outcomes.page(
        FAULTS, found | {"b": dataclasses.replace(lines["b"], seconds=60.0)}
    )
    others = [dataclasses.replace(FAULTS[0], put="z"), dataclasses.replace(FAULTS[1], breaks="the same in other words")]
    assert set(outcomes.shown(made, FAULTS, others)) == {"b"}
    assert outcomes.shown("| `f.py` | breaks it | not run |  |", FAULTS, FAULTS) == {}


def test_what_a_page_says_is_of_the_tables_that_it_was_written_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that was changed since, under the same words, was not run."""
    table = tmp_path / "faults" / "one.toml"
    table.parent.mkdir()
    for name, value in (("ROOT", tmp_path), ("FOLDER", table.parent), ("PAGE", tmp_path / "page.md")):
        monkeypatch.setattr(outcomes, name, value)

    def committed(put: str) -> list[Mutant]:
        stated = f'file = "f.py"\nbreaks = "b"\nfind = "x"\nput = "{put}"\n'
        table.write_text(f'[files."f.py"]\ntests = ["t.py"]\n\n[mutants.a]\n{stated}')
        for words in (["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "one"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
        return faults.read(table.parent).mutants

    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    outcomes.PAGE.write_text("| `f.py` | b | `test t.py` | abc, 2026-01-01 |\n")
    assert outcomes.committed(committed("y"))["a"].caught == "test t.py"
    assert outcomes.committed(committed("z")) == {}


def test_outcomes_are_kept_for_the_fault_and_the_tree_that_they_are_of(kept: Path, monkeypatch) -> None:
    fault, other = FAULTS
    assert outcomes.kept(fault) is None
    outcomes.keep(fault, "claim LOSS-1", 3.0)
    found = outcomes.kept(fault)
    assert found is not None
    assert (found.caught, found.seconds) == ("claim LOSS-1", 3.0)
    assert outcomes.kept(other) is None
    # A line that a kill cut short is none.
    kept.write_text(kept.read_text() + '{"name": "b", "fau')
    assert outcomes.kept(fault) == found
    # Another text to put, or another check, is another fault; another reason why it is missed is not.
    assert outcomes.newest(dataclasses.replace(fault, put="z")) is None
    assert outcomes.newest(dataclasses.replace(fault, checks=Checks(["LOSS-2"]))) is None
    assert outcomes.newest(dataclasses.replace(fault, missed="")) == found
    # On another tree it is not taken again, and shown all the same.
    monkeypatch.setattr(faults, "_files_digest", lambda name: "another")
    assert outcomes.kept(fault) is None
    assert outcomes.newest(fault) == found


def test_a_tree_is_the_package_and_the_tests_that_are_run() -> None:
    plain, tested = faults.tree_digest(Checks(["LOSS-1"])), faults.tree_digest(FAULTS[1].checks)
    assert plain == faults.tree_digest(Checks(["LOSS-2"]))
    assert plain != tested
    assert tested == faults.tree_digest(Checks(tests=["unit/project/test_mutants.py::test_no_fault_stands_twice"]))


def test_checks_that_passed_unbroken_are_not_run_again(kept: Path) -> None:
    assert mutation._unseen(FAULTS) == [("claims", "LOSS-1"), ("tests", "unit/project/test_mutants.py")]
    outcomes.keep_passed("claims", ["LOSS-1"])
    assert mutation._unseen(FAULTS) == [("tests", "unit/project/test_mutants.py")]


def test_a_case_that_is_named_is_run_though_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(pytest, "main", lambda arguments, plugins: asked.append(arguments) or 0)
    assert mutation._tests(["a.py", "b.py::test_c[d]", "e.py"]) == ""
    assert [[each for each in words if ".py" in each] for words in asked] == [
        ["tests/a.py"], ["tests/b.py::test_c[d]"], ["tests/e.py"]
    ]  # fmt: skip
    assert ["-m" in words for words in asked] == [False, True, False]


def test_a_fault_that_does_not_fit_once_is_refused() -> None:
    for text in ("none", "x and x"):
        with pytest.raises(ValueError, match=r"times in f\.py"):
            faults.broken(text, FAULTS[0])


def test_tables_that_share_an_id_are_refused(tmp_path: Path) -> None:
    table = '[files."f.py"]\ntests = ["t.py"]\n\n[mutants.a]\nfile = "f.py"\nbreaks = "b"\nfind = "x"\nput = "y"\n'
    (tmp_path / "one.toml").write_text(table)
    read = faults.read(tmp_path)
    assert [(each.id, each.layer, each.checks.tests) for each in read.mutants] == [("a", "one", ["t.py"])]
    (tmp_path / "two.toml").write_text(table)
    with pytest.raises(ValueError, match=r"two\.toml: a, f\.py stands"):
        faults.read(tmp_path)
