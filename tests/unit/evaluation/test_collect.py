"""What is collected: windows of the training curve, numbers to the last digit, and what a row says of its cell."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch

from reproflow.evaluation import cells as evaluation
from reproflow.evaluation import collect as collecting
from reproflow.evaluation.measures import Outcome, compute
from reproflow.foundation import config, fingerprint, grid
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.sampling import samples
from reproflow.learning.training import shard
from reproflow.learning.training.schedule import learning_rate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two cells on the plane through all stages; of the second the likelihood is refused."""
    experiment = {
        "name": "toy",
        "process": "gaussian",
        "dataset": "eight_gaussians",
        "paths": ["linear"],
        "weightings": ["elbo", "uniform"],
        "seeds": [0],
        "model": {"width": 16, "depth": 1},
        "training": {"steps": 11, "batch": 16, "warmup": 3, "log_every": 4},
        "sampling": {"solver": "sde", "eta": 0.5, "steps": 2, "n": 64},
        "likelihood": {"points": 16, "steps": 4},
    }
    made = Run(config.check({"name": "tiny", "experiments": [experiment]}), tmp_path_factory.mktemp("collect"))
    settings, plane = made.config.experiments[0], data.get_dataset("eight_gaussians")
    work = [(cell, *(made.slot(stage, cell) for stage in fingerprint.STAGES)) for cell in grid.expand(made.config)]
    shard.train(settings, [each[:2] for each in work], plane, CPU)
    samples.sample(settings, [each[:3] for each in work], plane, CPU)
    evaluation.evaluate(settings, work[:1], plane, CPU)
    with pytest.MonkeyPatch.context() as patch:
        refused = Outcome({}, {}, "failed", "made to fail")
        # Points have no measures of samples: where none is asked for, nothing is refused.
        patch.setattr(evaluation, "compute", lambda of, asked: refused if asked else compute(of, asked))
        evaluation.evaluate(settings, work[1:], plane, CPU)
    collecting.collect(made)
    return made


def rows(run: Run, name: str) -> list[dict[str, str]]:
    with open(run.folder / name) as stream:
        return list(csv.DictReader(stream))


def test_curves_are_means_over_windows_with_the_rate_at_their_end(run: Run) -> None:
    """Eleven steps in windows of four: two whole ones."""
    found = rows(run, "curves.csv")
    assert [row["step"] for row in found] == ["4", "8"] * 2
    training = run.config.experiments[0].training
    for cell in grid.expand(run.config):
        stored = data.tensor_files.read_tensors(run.slot("train", cell).folder / shard.FINAL)[0]["history"].double()
        for row, stop in zip([row for row in found if row["cell"] == cell.key], (4, 8), strict=True):
            loss, norm = np.mean(stored[stop - 4 : stop].numpy(), 0).tolist()
            assert float(row["loss"]) == pytest.approx(loss, rel=1e-14)
            assert float(row["grad_norm"]) == pytest.approx(norm, rel=1e-14)
            assert float(row["lr"]) == learning_rate(training, stop - 1)


def test_a_row_says_how_its_cell_was_sampled_and_ended(run: Run) -> None:
    first, second = rows(run, "cells.csv")
    assert {row["solver"] for row in (first, second)} == {"sde:eta=0.5"}
    assert (first["status"], second["status"]) == ("ok", "failed")
    assert second["reason"] == "made to fail"
    record = run.slot("evaluate", grid.expand(run.config)[0]).record()
    assert float(first["nll_nats"]) == record["measures"]["nll_nats"], "to the last bit"
    assert first["split"] == "test"


def test_numbers_have_every_digit_and_what_is_missing_is_empty() -> None:
    assert [collecting._text(each) for each in (None, math.nan, 7, "word")] == ["", "", "7", "word"]
    assert float(collecting._text(1 / 3)) == 1 / 3


def test_only_a_solver_with_noise_says_its_share(run: Run) -> None:
    settings = run.config.experiments[0]
    heun = settings.model_copy(update={"sampling": settings.sampling.model_copy(update={"solver": "heun"})})
    assert collecting._solver(heun) == "heun"
