"""The public Python API: what is exported, results as tables, and docs/api.md, executed."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from repository import ROOT
from synthetic_results import CELL_COLUMNS, write_csv, write_results

import reproflow
from reproflow.analysis.comparison import comparison_table
from reproflow.analysis.fid_table import fid_table
from reproflow.analysis.ranking import ranking_table
from reproflow.analysis.results import load_results
from reproflow.analysis.trained_equivalence import equivalence_table
from reproflow.claims import ledger
from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError
from reproflow.reporting.tables import write_tables

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
SAID = re.compile(r'^(?P<code>\S[^#\n]*?) +# (?P<value>\(\)|"[^"]*"|\[[^\]]*\])', re.MULTILINE)


def blocks() -> list[str]:
    return BLOCK.findall((ROOT / "docs" / "api.md").read_text())


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it; all of the package's own is registered before."""
    ledger.load()
    importlib.import_module("reproflow.learning.data")
    monkeypatch.setattr(registry, "BUILT_IN", registry.BUILT_IN.copy())


def test_examples_of_the_page_run_and_give_what_it_says(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "demo").symlink_to(reported)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    checked = 0
    for block in blocks():
        exec(compile(block, "docs/api.md", "exec"), names)
        for said in SAID.finditer(block):
            assert eval(said["code"], names) == ast.literal_eval(said["value"]), said[0]
            checked += 1
    assert len(blocks()) == 7
    assert checked == 6


def test_every_public_name_is_there_and_documented_on_the_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    for name in reproflow.__all__:
        assert getattr(reproflow, name)
        assert name.startswith("__") or f"`{name}" in page or f"{name}(" in page, name
    assert set(dir(reproflow)) == set(reproflow.__all__)
    with pytest.raises(AttributeError, match="weigthing"):
        reproflow.weigthing  # noqa: B018


def test_judge_is_the_module_however_it_is_imported() -> None:
    module = importlib.import_module("reproflow.judge")
    assert reproflow.judge is module is reproflow.__getattr__("judge")
    assert callable(reproflow.judge.weighting)


def test_tables_hold_what_the_files_hold(reported: Path) -> None:
    results = load_results(reported)
    rows = list(csv.DictReader((reported / "cells.csv").open()))
    assert results.missing == ()
    assert len(results.cells) == len(rows)
    own = results.cells.set_index("cell")
    for row in rows:
        for name in ("fid_train", "nll_nats", "steps"):
            value = own.at[row["cell"], name]
            assert np.isnan(value) if row[name] == "" else value == float(row[name])
        assert own.at[row["cell"], "reason"] == row.get("reason", "")
    assert results.config["name"] == "synthetic"
    assert (
        repr(results)
        == f"<Results {reported}: {len(rows)} cells, {len(rows) - 2} ok; {len(results.claims)} rows of claims>"
    )


def test_setup_is_shared_by_experiments_of_equal_settings_only(reported: Path) -> None:
    cells = load_results(reported).cells
    eight = cells[cells["dataset"] == "eight_gaussians"]
    assert set(eight["experiment"]) == {"eight_gaussians", "paths", "times"}
    assert set(eight["setup"]) == {"eight_gaussians"}
    assert set(cells.loc[cells["dataset"] == "two_moons", "setup"]) == {"two_moons"}


def test_samples_and_objective_of_a_cell(reported: Path) -> None:
    results = load_results(reported)
    key = "eight_gaussians.gaussian.cosine.uniform.fm.velocity.s1"
    saved = np.load(reported / "samples" / f"{key}.npz")["samples"]
    found = results.samples(key)
    assert found is not None
    np.testing.assert_array_equal(found.samples, saved)
    assert (found.labels == 0).all()
    objective = results.objective(key)
    path, law, weighting = objective.path, objective.time, objective.weighting
    assert (path.name, law.name, weighting.name) == ("cosine", "uniform", "fm")
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    # On the cosine path sigma/alpha = cot(pi t/2), and fm's weight is that ratio.
    expected = 1 / np.tan(np.pi * t.numpy() / 2)
    np.testing.assert_allclose(reproflow.canonical(path, law, weighting, t), expected, rtol=1e-12)
    assert torch.equal(objective.weight(t), reproflow.canonical(path, law, weighting, t))
    assert results.cell(key).seed == 1
    failed = results.cells.loc[results.cells["status"] == "failed", "cell"].iloc[0]
    assert results.samples(failed) is None


@pytest.mark.parametrize("ask", ["samples", "cell", "objective"])
def test_an_unknown_cell_is_a_users_fault(reported: Path, ask: str) -> None:
    with pytest.raises(UsageError, match=r"no cell 'eight_gausians.*did you mean 'eight_gaussians\."):
        getattr(load_results(reported), ask)("eight_gausians.gaussian.cosine.uniform.fm.velocity.s1")


def test_a_wrong_folder_is_a_users_fault_and_its_runs_are_named(reported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results folder"):
        load_results(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="run the workflow first"):
        load_results(tmp_path)
    with pytest.raises(UsageError, match=rf"name one of its runs: .*{reported.name}"):
        load_results(reported.parent)


def test_a_configuration_that_cannot_be_used_is_said_and_the_rest_is_read(reported_copy: Path) -> None:
    text = (reported_copy / "config.json").read_text()
    (reported_copy / "config.json").write_text(text.replace('"uniform"', '"unform"', 1))
    results = load_results(reported_copy)
    assert [each.file for each in results.missing] == ["config.json"]
    assert "did you mean 'uniform'" in results.missing[0].reason
    assert set(results.cells["setup"]) == {""}
    assert results.objective("eight_gaussians.gaussian.cosine.uniform.fm.velocity.s1").path.name == "cosine"


def test_a_users_own_weighting_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.py").write_text("def weight(t, lam, k=1.0):\n    return (-k * lam / 2).exp()\n")
    folder = with_own_weighting(tmp_path / "run", {"name": "mine", "spec": "w.py:weight:k=1", "on": "canonical"})
    key = "eight_gaussians.gaussian.linear.uniform.mine.velocity.s0"
    results = load_results(folder)
    assert results.missing == ()
    assert results.cell(key).weighting.source == "w.py:weight"
    w = results.objective(key).weight(torch.tensor([0.25, 0.5], dtype=torch.float64))
    np.testing.assert_allclose(w, [3.0, 1.0], rtol=1e-12)  # exp(-lam/2) = (1-t)/t
    with pytest.raises(UsageError, match=r"tables/equivalence.csv is not there; run: reproflow tables --config .*json"):
        results.equivalence()
    write_tables(folder)
    equal = results.equivalence()
    assert {"fm", "mine"} <= set(equal["weighting_a"]) | set(equal["weighting_b"])
    (tmp_path / "w.py").unlink()
    gone = load_results(folder)
    assert "no file w.py" in gone.missing[0].reason
    with pytest.raises(UsageError, match="unknown gaussian weighting 'mine'"):
        gone.objective(key)


def with_own_weighting(folder: Path, own: dict[str, str]) -> Path:
    """Synthetic results in which eight Gaussians' `sigmoid` is a user's own weighting."""
    write_results(folder)
    config = json.loads((folder / "config.json").read_text())
    experiment = next(each for each in config["experiments"] if each["name"] == "eight_gaussians")
    experiment["weightings"] = ["elbo", "fm", own]
    (folder / "config.json").write_text(json.dumps(config))
    rows = list(csv.DictReader((folder / "cells.csv").open()))
    for row in rows:
        if (row["dataset"], row["weighting"]) == ("eight_gaussians", "sigmoid"):
            row["weighting"], row["cell"] = own["name"], row["cell"].replace(".sigmoid.", f".{own['name']}.")
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    return folder


def test_the_tables_of_the_folder_are_those_of_the_api(reported: Path, tmp_path: Path) -> None:
    results = load_results(reported)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("cells.csv", "claims.csv", "config.json"):
        (copy / name).write_bytes((reported / name).read_bytes())
    write_tables(copy)
    for name, own in (("comparison", results.comparison()), ("equivalence", results.equivalence())):
        written = pd.read_csv(copy / "tables" / f"{name}.csv")
        assert list(written.columns) == list(own.columns)
        np.testing.assert_array_equal(written["difference"], own["difference"])


def test_tables_are_read_as_they_were_computed(reported: Path) -> None:
    """Every digit and type; so the page, which reads them, shows what was computed."""
    results = load_results(reported)
    ranked = ranking_table(results.cells)
    computed = {
        "comparison": comparison_table(results.cells),
        "equivalence": equivalence_table(results, []),
        "ranking": ranked,
        "fid_by_weighting": fid_table(results, ranked),
    }
    for name, frame in computed.items():
        # The sizes of networks are whole numbers, but for those that no configuration says.
        assert len(frame) > 3, name
        sizes = {"width": float, "depth": float} if name == "fid_by_weighting" else {}
        pd.testing.assert_frame_equal(results.table(name), frame.astype(sizes), check_exact=True)


def test_tables_of_other_cells_are_refused(reported_copy: Path) -> None:
    """The table of one folder's cells says nothing of another's, and one that is broken is named."""
    assert len(load_results(reported_copy).comparison())
    table = reported_copy / "tables" / "comparison.csv"
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"tables/comparison.csv cannot be read"):
        load_results(reported_copy).comparison()
    lines = (reported_copy / "cells.csv").read_text().splitlines(keepends=True)
    (reported_copy / "cells.csv").write_text("".join(lines[:-1]))
    with pytest.raises(UsageError, match=r"was computed from another cells.csv; run: reproflow tables"):
        load_results(reported_copy).equivalence()
