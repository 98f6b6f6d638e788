"""Fingerprints follow what a result depends on, and nothing else."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import reproflow
from reproflow.foundation import config, fingerprint, grid, sources, syntax

CODE = """
import json, sys
from reproflow.foundation import config, fingerprint, grid
checked = config.load(sys.argv[1])
stages = {c.key: [fingerprint.stage(checked, c, s).value for s in fingerprint.STAGES] for c in grid.expand(checked)}
print(json.dumps(stages))
"""
CI = Path("configs/ci.yaml").resolve()
ROOT = Path(reproflow.__file__).parent


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that a test may edit and that fingerprints are read from."""
    source = Path(reproflow.__file__).parent
    shutil.copytree(source, tmp_path / "reproflow", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "PACKAGE", tmp_path / "reproflow")
    yield tmp_path
    fingerprint.forget()


def fingerprints(file: Path = CI) -> dict[str, list[str]]:
    fingerprint.forget()
    checked = config.load(file)
    return {
        cell.key: [fingerprint.stage(checked, cell, stage).value for stage in fingerprint.STAGES]
        for cell in grid.expand(checked)
    }


def fingerprints_elsewhere(cwd: str, **environment: str) -> dict[str, list[str]]:
    """The same in a fresh process."""
    answer = subprocess.run(
        [sys.executable, "-c", CODE, str(CI)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def edit(package: Path, file: str, old: str, new: str) -> None:
    path = package / "reproflow" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def changed(before: dict, after: dict) -> dict[str, list[bool]]:
    return {key: [a != b for a, b in zip(before[key], after[key], strict=True)] for key in before}


def test_comments_docstrings_and_citations_do_not_count(package: Path) -> None:
    before = fingerprints()
    edit(
        package,
        "theory/weightings.py",
        '    """w = 1: the variational bound itself."""',
        '    """Another text."""\n    # why',
    )
    edit(package, "theory/weightings.py", 'cite="Kingma et al. 2021; Shi et al. 2024"', 'cite="somebody"')
    edit(
        package,
        "learning/training/stacked.py",
        "        squares = torch",
        "        # a remark\n\n        squares = torch",
    )
    (package / "reproflow/theory/paths.py").touch()
    assert fingerprints() == before


def test_surroundings_do_not_count() -> None:
    assert fingerprints_elsewhere("/", PYTHONHASHSEED="7", LC_ALL="C") == fingerprints()


def test_a_weighting_changes_its_own_cells(package: Path) -> None:
    before = fingerprints()
    edit(package, "theory/weightings.py", "return torch.ones_like(lam)", "return 2 * torch.ones_like(lam)")
    for key, stages in changed(before, fingerprints()).items():
        assert stages == [".elbo." in key] * 3, key


def test_a_helper_that_a_weighting_calls_changes_it(package: Path) -> None:
    helper = "\n\ndef _one(lam):\n    return {}\n"
    file = package / "reproflow/theory/weightings.py"
    edit(package, "theory/weightings.py", "return torch.ones_like(lam)", "return _one(lam)")
    text = file.read_text()
    file.write_text(text + helper.format("lam * 0 + 1"))
    before = fingerprints()
    file.write_text(text + helper.format("lam * 0 + 2"))
    for key, stages in changed(before, fingerprints()).items():
        assert stages == [".elbo." in key] * 3, key


def test_a_new_weighting_changes_nothing(package: Path) -> None:
    before = fingerprints()
    file = package / "reproflow/theory/weightings.py"
    addition = '\n\n@weighting("other", on="canonical", cite="-")\ndef other(t, lam):\n    return lam * 0 + 3\n'
    file.write_text(file.read_text() + addition)
    assert fingerprints() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        ("learning/training/stacked.py", "eps=1e-8", "eps=1e-9", [True, True, True]),
        ("learning/training/schedule.py", "0.5 * training.lr", "0.4 * training.lr", [True, True, True]),
        ("learning/networks/stacked_mlp.py", "FREQUENCIES = 8", "FREQUENCIES = 6", [True, True, True]),
        ("foundation/seeds.py", "digest_size=8", "digest_size=9", [True, True, True]),
        ("learning/sampling/samples.py", "CHUNK = 1024", "CHUNK = 512", [False, True, True]),
        ("evaluation/features/fid_kid.py", "BLOCKS = 20", "BLOCKS = 10", [False, False, True]),
        (
            "evaluation/features/sample_measures.py",
            'labels = subject.drawn["labels"]',
            "labels = None",
            [False, False, True],
        ),
        ("evaluation/features/sample_measures.py", "margin=0.05", "margin=0.06", [False, False, False]),
        ("reporting/tables.py", "import", "import", [False, False, False]),
        ("foundation/errors.py", "exit_code = 5", "exit_code = 6", [False, False, False]),
    ],
)
@pytest.mark.default_cases(2)
def test_engine_files_change_their_stage_and_later_ones(
    package: Path, file: str, old: str, new: str, stages: list[bool]
) -> None:
    before = fingerprints()
    edit(package, file, old, new)
    if stages == [False, False, False]:
        (package / "reproflow" / file).write_text((package / "reproflow" / file).read_text() + "\nEXTRA = 1\n")
    assert set(map(tuple, changed(before, fingerprints()).values())) == {tuple(stages)}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("claims/losses/matching.py", "variant", "variant_"),
        ("claims/policy.py", "math.isnan", "math.isinf"),
        ("claims/errata/erratum.py", "expected={PRINTED: REFUTED}", "expected={}"),
        ("theory/weightings.py", "return torch.ones_like(lam)", "return 2 * torch.ones_like(lam)"),
        ("exact/mixture.py", "self.weights", "self.masses"),
    ],
)
@pytest.mark.default_cases(2)
def test_claims_depend_on_their_source_and_on_what_they_judge(package: Path, file: str, old: str, new: str) -> None:
    fingerprint.forget()
    before = fingerprint.claims()
    edit(package, file, old, new)
    fingerprint.forget()
    assert fingerprint.claims() != before


FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
LEFT_OUT = [
    "foundation/by_process.py",
    "foundation/config.py",
    "foundation/errors.py",
    "foundation/experiment.py",
    "foundation/expression_syntax.py",
    "foundation/files.py",
    "foundation/fingerprint.py",
    "foundation/grid.py",
    "foundation/measures.py",
    "foundation/names.py",
    "foundation/processes.py",
    "foundation/registry.py",
    "foundation/run.py",
    "foundation/schema.py",
    "foundation/schema_entries.py",
    "foundation/specs.py",
    "foundation/store.py",
    "foundation/user_files.py",
    "learning/training/checkpoint.py",
]


def test_the_modules_that_are_left_out_are_these_and_give_a_reason() -> None:
    """None computes: they import nothing that does, and the one that knows tensors only names their type."""
    found = {}
    for file in FILES:
        content = syntax.read((ROOT / file).read_text())
        if not content.counts:
            (marked,) = content.definitions[syntax.MARKER]
            assert isinstance(marked, ast.Assign)
            found[str(file)] = ast.literal_eval(marked.value)
            imported = {source.module.partition(".")[0] for source in content.imports.values()}
            assert not imported & {"numpy", "scipy", "random", "pandas"}, file
            assert "torch" not in imported or content.imports["Tensor"] == ("torch", ("Tensor",), "value"), file
    assert sorted(found) == LEFT_OUT
    assert all(len(reason) > 20 for reason in found.values())


def test_the_modules_that_are_left_out_change_no_fingerprint(package: Path) -> None:
    before, claims = fingerprints(), fingerprint.claims()
    for file in LEFT_OUT:
        path = package / "reproflow" / file
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body.append(ast.parse("EXTRA = 1").body[0])
        path.write_text(ast.unparse(tree))
    assert fingerprints() == before
    assert fingerprint.claims() == claims


@pytest.mark.parametrize(
    ("file", "old", "new", "processes"),
    [
        # What no source leads to is a part, or a root, by itself.
        ("theory/targets.py", "return -c.sigma, c.alpha", "return c.sigma, c.alpha", {"gaussian"}),
        ("evaluation/features/extractors.py", 'SHIPPED_SHA256 = "1', 'SHIPPED_SHA256 = "2', {"gaussian", "masked"}),
        # A measure is a root of the evaluation of the processes that it is registered for.
        ("evaluation/likelihood/likelihood_measures.py", "COARSE_BITS = 0.05", "COARSE_BITS = 0.04", {"gaussian"}),
        ("evaluation/likelihood/masked_bound.py", ".floor()", ".ceil()", {"masked"}),
    ],
)
@pytest.mark.default_cases(2)
def test_what_is_looked_up_by_name_counts(package: Path, file: str, old: str, new: str, processes: set[str]) -> None:
    before = fingerprints()
    edit(package, file, old, new)
    measured = {key for key, stages in changed(before, fingerprints()).items() if stages[-1]}
    assert {key.split(".")[1] for key in measured} == processes


SAMPLED = [False, True, True]
MEASURED = [False, False, True]


@pytest.mark.parametrize(
    ("file", "old", "new", "process", "stages"),
    [
        ("theory/processes/masked.py", "dalpha.abs() / sigma", "dalpha.abs() / alpha", "masked", [True] * 3),
        ("theory/processes/gaussian.py", "alpha**2 / (", "alpha**3 / (", "gaussian", [True] * 3),
        ("theory/processes/masked.py", "x1.shape[-1])", "x1.shape[0])", "masked", [True] * 3),
        ("learning/processes/masked.py", '"u": torch.rand(', '"u": 1 - torch.rand(', "masked", [True] * 3),
        ("learning/processes/gaussian.py", "head.levels))", "head.levels) + 0)", "gaussian", [True] * 3),
        (
            "learning/processes/gaussian.py",
            "return nearest_level(x1, ",
            "return nearest_level(-x1, ",
            "gaussian",
            SAMPLED,
        ),
        ("learning/sampling/ancestral.py", "alpha[-1] = 1.0", "alpha[-1] = 0.9", "masked", SAMPLED),
        ("learning/sampling/ode.py", "1 / 6, 1 / 3,", "1 / 3, 1 / 6,", "gaussian", SAMPLED),
        ("evaluation/likelihood/masked_bound.py", ".mean(0)", ".mean(1)", "masked", MEASURED),
        ("evaluation/likelihood/gaussian_bound.py", "4.6 / spacing", "4.7 / spacing", "gaussian", MEASURED),
        ("evaluation/processes/masked.py", "DRAWS = 256", "DRAWS = 128", "masked", MEASURED),
    ],
)
@pytest.mark.default_cases(3)
def test_what_is_entered_for_a_process_counts_for_its_cells(
    package: Path, file: str, old: str, new: str, process: str, stages: list[bool]
) -> None:
    """No text leads from a stage to what it looks up by the process's name."""
    before = fingerprints()
    edit(package, file, old, new)
    for key, found in changed(before, fingerprints()).items():
        assert found == (stages if key.split(".")[1] == process else [False] * 3), key


def test_settings_count_and_bookkeeping_does_not(tmp_path: Path) -> None:
    text = CI.read_text()
    before = fingerprints()
    for old, new, stages in [
        ("save_every: 30", "save_every: 20", (False, False, False)),
        ("    seeds: [0]", "    shard_size: 1\n    seeds: [0]", (False, False, False)),
        ("lr: 2e-3", "lr: 3e-3", (True, True, True)),
        ("ema: 0.9", "ema: 0.8", (True, True, True)),
        ("n: 200", "n: 300", (False, True, True)),
        ("repeats: 2", "repeats: 3", (False, False, True)),
    ]:
        file = tmp_path / "changed.yaml"
        file.write_text(text.replace(old, new))
        found = changed(before, fingerprints(file))
        relevant = {key: value for key, value in found.items() if "digits8" in key or old != "repeats: 2"}
        assert set(map(tuple, relevant.values())) == {stages}, old
