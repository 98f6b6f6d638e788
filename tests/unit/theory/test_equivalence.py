"""Proportional weights, and cells that are trained once because they share an objective."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from reproflow.cli import common
from reproflow.foundation import config, grid
from reproflow.learning.deduplication import dedupe
from reproflow.theory.equivalence import proportional, registered
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.objective import LAM
from reproflow.theory.paths import get_path

T = torch.linspace(0.1, 0.9, 50, dtype=torch.float64)


class TestProportional:
    def test_the_factor(self) -> None:
        assert proportional(3 * T, T) == pytest.approx(3, rel=1e-12)
        assert proportional(T, 3 * T) == pytest.approx(1 / 3, rel=1e-12)

    @pytest.mark.parametrize(
        "other",
        [
            T + 1e-6,
            T**1.00001,
            -T,
            torch.where(T > 0.5, T, 0.0),
            torch.where(T > 0.5, T, torch.inf),
            torch.zeros_like(T),
        ],
    )
    def test_what_is_not(self, other: torch.Tensor) -> None:
        assert proportional(other, T) is None
        assert proportional(T, other) is None

    def test_out_of_reach_is_not_compared(self) -> None:
        assert proportional(torch.where(T < 0.5, 2 * T, torch.nan), T) == pytest.approx(2)
        assert proportional(torch.where(T < 0.2, 2 * T, torch.nan), T) is None, "too few places in common"


def test_canonical_weightings_stand_once_for_every_path_and_law() -> None:
    rows = [each for each, _ in registered("gaussian")]
    assert len({(each.path, each.time, each.weighting) for each in rows}) == len(rows)
    elbo = [each for each in rows if each.weighting == "elbo"]
    assert [(each.path, each.time) for each in elbo] == [("any", "any")]
    # Uniform time on the cosine map's path of log-SNRs is the cosine path with uniform time.
    weights = {(each.path, each.time, each.weighting): w for each, w in registered("gaussian")}
    factor = proportional(weights["linear", "cosine_map", "snr"], weights["cosine", "uniform", "snr"])
    assert factor == pytest.approx(1, rel=1e-8)


def test_a_log_snr_that_a_path_does_not_reach_has_no_weight() -> None:
    weights = {(each.path, each.time, each.weighting): w for each, w in registered("gaussian")}
    reached = {path: invert_lam(get_path(path), LAM).isfinite() for path in ("linear", "ve")}
    assert reached["linear"].all()
    assert 0 < reached["ve"].sum() < len(LAM)
    for path, inside in reached.items():
        assert torch.equal(weights[path, "uniform", "uniform"].isfinite(), inside)


@pytest.fixture
def wanted(tiny_config: dict) -> dict:
    """Flow matching said in three ways on the linear path, and two other objectives; two targets and two seeds."""
    tiny_config["experiments"][0] |= {
        "weightings": [
            "uniform",
            "fm",
            "elbo",
            "inv_one_minus_t_squared",
            {"name": "t2", "spec": "expr:2*t**2"},
            "snr",
        ],
        "targets": ["velocity", "x1"],
        "seeds": [0, 1],
        "dedupe": True,
    }
    return tiny_config


class TestDedupe:
    def test_one_cell_of_each_objective_is_kept(self, wanted: dict) -> None:
        """uniform = fm = 1/(1-t)² on x1 on the linear path, and 2 t² on the velocity is SNR on x1 (LOSS-5)."""
        parsed = config.check(wanted)
        before = {cell.key: cell for cell in grid.expand(parsed)}
        after = dedupe(parsed)
        kept = {cell.key for cell in grid.expand(after)}
        merged = after.experiments[0].merged
        assert kept | set(merged) == set(before)
        assert not kept & set(merged)
        same = {"fm": "uniform", "inv_one_minus_t_squared": "uniform", "snr": "t2"}
        assert {key: (str(before[key].weighting), str(before[other].weighting)) for key, other in merged.items()} == {
            key: (str(cell.weighting), same[str(cell.weighting)])
            for key, cell in before.items()
            if str(cell.weighting) in same
        }
        for key, other in merged.items():
            a, b = before[key], before[other]
            assert (a.path, a.target, a.seed, a.coupling, a.divergence) == (
                b.path,
                b.target,
                b.seed,
                b.coupling,
                b.divergence,
            )

    def test_the_time_law_may_differ_and_the_path_may_not(self, wanted: dict) -> None:
        """fm is canonical: uniform and logit-normal draws differ in variance only; the cosine path is another cell."""
        wanted["experiments"][0] |= {
            "weightings": ["fm", "uniform", "elbo"], "paths": ["linear", "cosine"],
            "times": ["uniform", "logit_normal"], "targets": ["velocity"], "seeds": [0],
        }  # fmt: skip
        merged = dedupe(config.check(wanted)).experiments[0].merged
        shown = {tuple(key.split(".")[2:5]): tuple(other.split(".")[2:5]) for key, other in merged.items()}
        assert shown == {
            ("linear", "logit_normal", "fm"): ("linear", "uniform", "fm"),
            ("linear", "uniform", "uniform"): ("linear", "uniform", "fm"),
            ("cosine", "logit_normal", "fm"): ("cosine", "uniform", "fm"),
            ("cosine", "uniform", "uniform"): ("cosine", "uniform", "fm"),
            ("linear", "logit_normal", "elbo"): ("linear", "uniform", "elbo"),
            ("cosine", "logit_normal", "elbo"): ("cosine", "uniform", "elbo"),
        }

    def test_only_where_it_is_asked_for(self, wanted: dict) -> None:
        wanted["experiments"][0]["dedupe"] = False
        parsed = config.check(wanted)
        assert dedupe(parsed) == parsed

    def test_a_users_file_is_not_run(self, wanted: dict, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text("def f(t, lam):\n    raise SystemExit\n")
        mine = {"name": "mine", "spec": f"{tmp_path}/mine.py:f"}
        wanted["experiments"][0]["weightings"] = ["uniform", "fm", mine]
        merged = dedupe(config.check(wanted)).experiments[0].merged
        assert {key.split(".")[4] for key in merged} == {"fm"}

    def test_a_run_is_opened_with_it_and_keeps_it(self, wanted: dict, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text(json.dumps(wanted))
        opened = common.open_run(tmp_path / "config.yaml", tmp_path)
        assert opened.config.experiments[0].merged
        (tmp_path / "config.json").write_text(config.dump(opened.config))
        assert common.open_run(tmp_path / "config.json", None).config == opened.config
