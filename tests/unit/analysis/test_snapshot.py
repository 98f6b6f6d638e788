"""What is read of a results folder to be compared with a baseline, and what the comparison's rows and codes say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from snapshots import BASELINE, FRESH, METRIC, group, pair, snapshot

from reproflow.analysis import regression_check, shifts
from reproflow.analysis import snapshot as snapshots
from reproflow.analysis.margins import margin
from reproflow.foundation import measures
from reproflow.foundation.errors import ReproflowError
from reproflow.numerics.simultaneous import WORSE

HEAD = "process,dataset,path,time,weighting,target,seed,steps,cell,status,reason,nll_nats,device,fingerprint\n"


def line(seed: int, status: str = "ok", value: object = 1.5, device: str = "cpu") -> str:
    return f"gaussian,two_moons,linear,uniform,elbo,velocity,{seed},100,c{seed},{status},,{value},{device},f\n"


def read(folder: Path, *lines: str) -> snapshots.Snapshot:
    (folder / "cells.csv").write_text(HEAD + "".join(lines))
    return snapshots.read_results(folder)


def test_only_cells_that_ended_well_have_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, line(0), line(1, "diverged", 9.0), line(2, "failed", 9.0), line(3, value=""))
    (series,) = found.series.values()
    assert (series.values, series.missing) == ({0: 1.5}, (3,))
    assert [(each.seed, each.status) for each in found.broken] == [(1, "diverged"), (2, "failed")]


def test_a_seed_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReproflowError, match=r"two cells of two_moons .* have one seed"):
        read(tmp_path, line(0), line(0))


@pytest.mark.parametrize("end", ["", "gaussian,two_moons"])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, end: str) -> None:
    """Within the last number, so that every row looks whole; and within a row."""
    whole = line(0) + (end or line(1).rstrip("\n"))
    with pytest.raises(ReproflowError, match="is cut off or has broken rows"):
        read(tmp_path, whole)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("cpu", "cpu"),
        ("cuda:NVIDIA H200", "cuda:h200"),
        ("cuda:NVIDIA H200 141GB", "cuda:h200"),
        ("cuda:NVIDIA A100-SXM4-80GB", "cuda:a100"),
        ("cuda:NVIDIA GeForce RTX 4090", "cuda:rtx-4090"),
        ("cuda", "cuda:unnamed"),
    ],
)
def test_a_card_is_known_by_its_family(device: str, name: str, tmp_path: Path) -> None:
    assert snapshots.device_class(device) == name
    (series,) = read(tmp_path, line(0, device=device)).series.values()
    assert series.setting[0] == name


def test_cells_of_two_cards_are_no_card(tmp_path: Path) -> None:
    (series,) = read(tmp_path, line(0, device="cuda:NVIDIA H200"), line(1, device="cuda:NVIDIA A100")).series.values()
    assert series.setting[0] == "cuda:a100+cuda:h200"


def test_margins_are_stated_or_the_metrics_own() -> None:
    shares = [metric for metric in measures.held() if measures.facts(metric).relative]
    absolute = [metric for metric in measures.held() if not measures.facts(metric).relative]
    assert shares
    assert absolute
    for metric in (*shares, *absolute):
        own = measures.facts(metric).margin
        assert own > 0
        assert margin(metric, -3.0) == (3 * own if metric in shares else own)
        assert margin(metric, -3.0, {metric: 0.25}) == 0.25
        assert margin(metric, -3.0, {"another": 0.25}) == margin(metric, -3.0)


def test_differences_are_after_less_before_and_lie_in_their_interval() -> None:
    before, after = pair(40, 2)
    for shift in (-0.05, 0.05):
        found = regression_check.compare(snapshot(before, BASELINE), snapshot(after + shift, FRESH))
        for row in found.rows:
            assert row.difference == pytest.approx(row.after - row.before)
            assert row.difference * shift > 0
            assert row.low <= row.difference <= row.high


def test_the_margin_of_a_mean_is_the_mean_of_the_margins() -> None:
    before, after = pair(41, 3)
    old = snapshot(before, BASELINE)
    wide = {(group(f"w{i}"), METRIC): replace(old.series[group(f"w{i}"), METRIC], margin=i / 10) for i in range(3)}
    found = regression_check.compare(replace(old, series=wide), snapshot(after, FRESH))
    (mean,) = [row for row in found.rows if row.cells == 3]
    assert mean.margin == pytest.approx(0.1)


def test_a_row_of_another_setting_is_left_out_and_leaves_the_run_undecided() -> None:
    before, after = pair(42, 3)
    new, key = snapshot(after, FRESH), (group("w1"), METRIC)
    moved = replace(new.series[key], setting=("cuda:h200", "float32", "demo"))
    found = regression_check.compare(snapshot(before, BASELINE), replace(new, series=new.series | {key: moved}))
    assert "another setting (cuda:h200, float32, demo against cpu, float32, demo)" in found.incomparable[0]
    assert not [row for row in found.rows if "w1" in row.what]
    assert found.exit_code == 5


def test_a_lost_number_is_worse_in_the_table() -> None:
    row = shifts.lost("a", "failed", 0.0, 0.25, 4)
    assert (row.verdict, row.difference, row.margin) == (WORSE, 0.25, 0.0)


def test_exit_codes_of_a_comparison() -> None:
    before, after = pair(43, 2)
    found = regression_check.compare(snapshot(before, BASELINE), snapshot(after, FRESH))
    assert found.exit_code == 0
    assert replace(found, rows=()).exit_code == 5, "where nothing is compared nothing is shown"
    assert replace(found, incomparable=("x",)).exit_code == 5
    assert replace(found, broken=("a cell",)).exit_code == 4
    assert replace(found, rows=(), broken=("a cell",), incomparable=("x",)).exit_code == 4
    assert replace(found, rows=(shifts.lost("a", "failed", 0.0, 0.25, 4),)).exit_code == 4
