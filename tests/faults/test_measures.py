"""A measure that cannot be had is an empty column with its reason; the other measures and cells have their numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from reproflow.evaluation import cells as evaluation
from reproflow.evaluation.collect import collect
from reproflow.evaluation.features.digits_network import DigitsNetwork
from reproflow.evaluation.likelihood import likelihood_measures
from reproflow.foundation import config, grid
from reproflow.foundation.errors import InterruptedRun
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.data.tensor_files import write_tensors
from reproflow.learning.sampling import samples as sampling
from reproflow.learning.training import shard

CPU = torch.device("cpu")
DIGITS: dict[str, Any] = {
    "name": "tiny",
    "experiments": [
        {
            "name": "digits",
            "process": "masked",
            "dataset": "digits8",
            "paths": ["cosine"],
            "weightings": ["elbo", "simple"],
            "seeds": [0],
            "model": {"width": 16, "depth": 1},
            "training": {"steps": 4, "batch": 16, "warmup": 0, "log_every": 2},
            "sampling": {"solver": "ancestral", "steps": 2, "n": 128},
            "likelihood": {"points": 8, "repeats": 1},
        }
    ],
}


class Trained:
    """Two cells, trained and sampled, and the slots of their evaluation."""

    def __init__(self, folder: Path, samples: int) -> None:
        self.run = Run(config.check(DIGITS), folder)
        whole = self.run.config.experiments[0]
        # Fewer than a configuration may ask for: what nobody foresaw.
        few = whole.model_copy(update={"sampling": whole.sampling.model_copy(update={"n": samples})})
        self.experiment, self.images = whole, data.get_dataset("digits8", "masked")
        assert isinstance(self.images, data.ImageData)
        stages = ("train", "sample", "evaluate")
        self.work = [(cell, *(self.run.slot(s, cell) for s in stages)) for cell in grid.expand(self.run.config)]
        shard.train(whole, [work[:2] for work in self.work], self.images, CPU)
        sampling.sample(few, [work[:3] for work in self.work], self.images, CPU)
        self.features = self.run.features_file("digits8")
        about = {"kind": "features", "name": "untrained", "data": "digits8", "data_sha256": self.images.sha256}
        write_tensors(self.features, DigitsNetwork().state_dict(), about)

    def rows(self) -> list[dict[str, str]]:
        evaluation.evaluate(self.experiment, self.work, self.images, CPU, self.features)
        collect(self.run)
        with open(self.run.folder / "cells.csv") as stream:
            return list(csv.DictReader(stream))


def test_too_few_samples_for_fid_leave_the_bound(tmp_path: Path) -> None:
    rows = Trained(tmp_path, 100).rows()
    assert [row["status"] for row in rows] == ["ok", "ok"]
    for row in rows:
        assert row["reason"] == "FID and KID cannot be had: FID on 64 features needs at least 128 images, got 100."
        assert row["fid_train"] == row["fid_test"] == row["kid"] == ""
        assert float(row["bound_bits_per_dim"]) > 1


def test_what_raises_in_one_cell_leaves_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, usual = Trained(tmp_path, 128), likelihood_measures.masked_bound

    def once(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(likelihood_measures, "masked_bound", usual)
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(likelihood_measures, "masked_bound", once)
    first, second = trained.rows()
    assert first["reason"] == "bound_bits_per_dim cannot be had: ZeroDivisionError: division by zero"
    assert (first["bound_bits_per_dim"], second["reason"]) == ("", "")
    assert float(first["fid_train"]) > 0 < float(second["fid_train"])
    assert float(second["bound_bits_per_dim"]) > 1


@pytest.mark.parametrize("fault", [InterruptedRun("stopped"), OSError(28, "No space left on device"), MemoryError()])
def test_a_stop_or_a_full_disk_is_no_cells_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    trained = Trained(tmp_path, 128)

    def broken(*_: Any, **__: Any) -> Any:
        raise fault

    monkeypatch.setattr(evaluation, "floor", broken)
    with pytest.raises(type(fault)):
        evaluation.evaluate(trained.experiment, trained.work, trained.images, CPU, trained.features)
    assert [slot.record() for *_, slot in trained.work] == [None, None]
