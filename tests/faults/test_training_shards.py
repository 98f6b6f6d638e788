"""Training does not depend on shards, and a cell that diverges harms no other (faults 10-15)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_runs import open_run, same, train, weights, wide

from reproflow.foundation import config, grid


def test_results_do_not_depend_on_sharding(tiny_config: dict, tmp_path: Path) -> None:
    """150 steps of 16 cells: shards of 1, 3, 5 and 16 give the same bits."""
    raw = wide(tiny_config, 150)
    assert len(grid.expand(config.check(raw))) == 16
    found = {}
    for size in (16, 1, 3, 5):
        results = open_run(raw, tmp_path / str(size))
        train(results, size)
        found[size] = weights(results)
    assert all(same(found[16], found[size]) for size in (1, 3, 5))


@pytest.mark.parametrize(("process", "target"), [("masked", "ce"), ("gaussian", "x1"), ("gaussian", "velocity")])
@pytest.mark.default_cases(1)
def test_image_cells_do_not_depend_on_sharding(process: str, target: str, tmp_path: Path) -> None:
    experiment = {
        "name": "digits",
        "process": process,
        "dataset": "digits8",
        "paths": ["cosine"],
        "weightings": ["elbo", "fm", "iddpm"],
        "seeds": [0],
        "model": {"width": 64, "depth": 2},
        "training": {"steps": 30, "batch": 32, "warmup": 5, "save_every": 10},
        "sampling": {"solver": "ancestral" if process == "masked" else "heun", "steps": 4},
    } | ({} if process == "masked" else {"targets": [target]})
    raw = {"name": "digits", "experiments": [experiment]}
    one, three = open_run(raw, tmp_path / "one"), open_run(raw, tmp_path / "three")
    train(one, 1)
    train(three, 3)
    assert same(weights(one), weights(three))


def test_seeds_and_weightings_differ(undisturbed: dict, tiny_config: dict, tmp_path: Path) -> None:
    """The control of every equality here: what should differ does."""
    tiny_config["experiments"][0]["seeds"] = [1]
    other = open_run(tiny_config, tmp_path / "other")
    train(other)
    first, *rest = [*undisturbed.values(), *weights(other).values()]
    assert all(not torch.equal(first["ema.weights.0"], each["ema.weights.0"]) for each in rest)


def test_a_diverging_cell_leaves_the_others_unharmed(
    undisturbed: dict, tiny_config: dict, tmp_path: Path, monkeypatch
) -> None:
    """From step 12 on, the second cell's loss is NaN."""
    from reproflow.learning.training import stacked

    honest = stacked.batch_loss

    def poisoned(head, network, batch, *rest):
        losses = honest(head, network, batch, *rest)
        return losses * torch.tensor([1.0, torch.nan, 1.0]) if len(losses) == 3 and poisoned.step >= 12 else losses

    poisoned.step = 0
    advance = stacked.StackedTrainer.advance

    def counted(self, batch):
        poisoned.step = self.step
        return advance(self, batch)

    monkeypatch.setattr(stacked, "batch_loss", poisoned)
    monkeypatch.setattr(stacked.StackedTrainer, "advance", counted)
    results = open_run(tiny_config, tmp_path / "diverged")
    train(results)
    first, second, third = grid.expand(results.config)
    record = results.slot("train", second).record()
    assert (record["status"], record["step"]) == ("diverged", 12)
    kept = weights(results)
    assert all(kept[second.key][name].isfinite().all() for name in kept[second.key] if name != "history")
    for cell in (first, third):
        assert results.slot("train", cell).record()["status"] == "ok"
        assert same({cell.key: kept[cell.key]}, {cell.key: undisturbed[cell.key]})
