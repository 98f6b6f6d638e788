"""A user's function that fails in a stage is its own cell's outcome: the shard's other cells have the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reproflow.evaluation import cells as evaluation
from reproflow.evaluation.collect import collect
from reproflow.foundation import config, grid
from reproflow.foundation.errors import InterruptedRun
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.networks import denoiser
from reproflow.learning.sampling import samples
from reproflow.learning.training import shard
from reproflow.learning.training.batches import Batches
from reproflow.theory.processes import gaussian

CPU = torch.device("cpu")
# Each works until the file of its name lies there, so that a test can say when it fails.
FILE = """
import sys
from pathlib import Path
import torch

def broken(name):
    return (Path(__file__).parent / name).exists()

def weight(t, lam):
    if broken("weight"):
        raise ValueError("no weight today")
    return 1 / t

def other(t, lam):
    return torch.exp(-lam / 2)

def leaves(t, lam):
    if broken("leaves"):
        sys.exit(0)
    return 1 - t

def law(u):
    return u * torch.nan if broken("law") else u

def path(t):
    if broken("path"):
        raise KeyError("alpha")
    return t**2, 1 - t

def own(a, b, t, x):
    if (x[:, 0] > LIMIT).any():
        raise OverflowError("x is too large")
    return ((a - b) ** 2).sum(-1)
"""


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(FILE)


def weighting(function: str) -> dict[str, str]:
    return {"name": function, "spec": f"my.py:{function}", "on": "x1"}


def opened(raw: dict, folder: str, **changes) -> Run:
    experiment = raw["experiments"][0] | {"weightings": ["uniform", "elbo"]} | changes
    experiment["training"] = experiment["training"] | {"steps": 100, "save_every": 50}
    return Run(config.check(raw | {"experiments": [experiment]}), Path(folder))


def train(run: Run, should_stop=lambda: False) -> None:
    work = [(cell, run.slot("train", cell)) for cell in grid.expand(run.config)]
    shard.train(run.config.experiments[0], work, data.get_dataset("eight_gaussians"), CPU, should_stop)


def breaks_at(name: str, step: int):
    """A stop request that never asks to stop, and breaks a function when a step was taken."""
    calls = iter(range(1, 10**6))
    return lambda: next(calls) == step and Path(name).touch() is not None


def weights(run: Run, key: str) -> bytes:
    """Tensors without the description."""
    cell = next(cell for cell in grid.expand(run.config) if cell.key == key)
    tensors = data.tensor_files.read_tensors(run.slot("train", cell).folder / shard.FINAL)[0]
    return b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))


def cell_of(run: Run, word: str) -> grid.Cell:
    return next(cell for cell in grid.expand(run.config) if f".{word}." in cell.key)


# A time is asked for 64 steps at a time: broken at step 10, a function fails at 64.
@pytest.mark.parametrize(("step", "failed_at"), [(0, 0), (10, 64)])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weight", "'weight' raised ValueError in my.py, line 11: no weight today"),
        ("leaves", "'leaves' raised SystemExit in my.py, line 19: 0"),
    ],
)
@pytest.mark.default_cases(2)
def test_the_others_train_on_to_the_same_bits(
    tiny_config: dict, step: int, failed_at: int, name: str, words: str
) -> None:
    """Two users' functions in one shard, one of which fails, at its first call or midway."""
    undisturbed = opened(tiny_config, "undisturbed", weightings=["uniform", weighting("other"), "elbo"])
    train(undisturbed)
    run = opened(tiny_config, "run", weightings=["uniform", weighting(name), weighting("other"), "elbo"])
    if not step:
        Path(name).touch()
    train(run, breaks_at(name, step))
    record = run.slot("train", cell_of(run, name)).record()
    assert (record["status"], record["step"]) == ("failed", failed_at)
    assert words in record["reason"]
    for cell in grid.expand(undisturbed.config):
        assert run.slot("train", cell).record()["status"] == "ok"
        assert weights(run, cell.key) == weights(undisturbed, cell.key)


@pytest.mark.parametrize(("kind", "axis"), [("law", "times"), ("path", "paths")])
def test_time_laws_and_paths_are_outcomes_too(tiny_config: dict, kind: str, axis: str) -> None:
    usual = {"times": "uniform", "paths": "linear"}[axis]
    run = opened(
        tiny_config, "run", weightings=["uniform"], **{axis: [usual, {"name": "own", "spec": f"my.py:{kind}"}]}
    )
    undisturbed = opened(tiny_config, "undisturbed", weightings=["uniform"])
    train(undisturbed)
    train(run, breaks_at(kind, 10))
    record = run.slot("train", cell_of(run, "own")).record()
    assert (record["status"], record["step"]) == ("failed", 64)
    assert {"law": "NaN at u =", "path": "raised KeyError in my.py"}[kind] in record["reason"]
    [key] = [cell.key for cell in grid.expand(undisturbed.config)]
    assert weights(run, key) == weights(undisturbed, key)


def test_a_divergence_fails_for_the_cells_that_it_fails_for(tiny_config: dict) -> None:
    """The rows of all cells come in one call: who is to blame is found, and the rest go on."""
    spec = {"name": "own", "spec": "my.py:own"}
    nouns = {"weightings": ["uniform"], "seeds": [0, 1, 2], "divergence": spec}
    Path("my.py").write_text(FILE.replace("LIMIT", "1e9"))
    free = opened(tiny_config, "free", **nouns)
    largest = most_at_every_step(free)
    loudest = max(range(3), key=lambda seed: max(largest[seed]))
    limit = max(max(largest[seed]) for seed in range(3) if seed != loudest)
    at = next(step for step, value in enumerate(largest[loudest]) if value > limit)
    train(free)
    # The same source in another place: the limit is not part of the function.
    Path("other").mkdir()
    Path("other/my.py").write_text(FILE.replace("LIMIT", repr(limit)))
    run = opened(tiny_config, "run", **nouns | {"divergence": spec | {"spec": "other/my.py:own"}})
    train(run)
    for cell in grid.expand(run.config):
        record = run.slot("train", cell).record()
        if cell.seed == loudest:
            assert (record["status"], record["step"]) == ("failed", at)
            assert "raised OverflowError in other/my.py" in record["reason"]
        else:
            assert record["status"] == "ok"
            assert weights(run, cell.key) == weights(free, cell.key)


def most_at_every_step(run: Run) -> list[list[float]]:
    """The largest first coordinate of x_t that each seed's cell shows its divergence, step by step."""
    experiment, cells = run.config.experiments[0], grid.expand(run.config)
    draws = Batches(cells, experiment, data.get_dataset("eight_gaussians"), CPU)
    found = []
    for step in range(experiment.training.steps):
        batch = draws.batch(step)
        x = gaussian.blend(batch["alpha"], batch["x1"], batch["sigma"], batch["eps"])
        found.append(x[..., 0].double().max(1).values.tolist())
    return [list(each) for each in zip(*found, strict=True)]


def test_what_failed_stands_until_the_function_is_mended(tiny_config: dict) -> None:
    run = opened(tiny_config, "run", weightings=["uniform", weighting("weight")])
    Path("weight").touch()
    train(run)
    train(run)
    assert run.slot("train", cell_of(run, "weight")).record()["status"] == "failed"
    # In another place, as this process has read the first.
    Path("mended").mkdir()
    Path("mended/my.py").write_text(FILE.replace('raise ValueError("no weight today")', "pass"))
    mended = opened(tiny_config, "run", weightings=["uniform", weighting("weight") | {"spec": "mended/my.py:weight"}])
    assert mended.slot("train", cell_of(mended, "weight")).record() is None, "its source is part of the fingerprint"
    assert mended.slot("train", cell_of(mended, "uniform")).record()["status"] == "ok"


def test_a_stop_between_is_no_failure(tiny_config: dict) -> None:
    run, calls = opened(tiny_config, "run", weightings=["uniform", weighting("weight")]), iter(range(10**6))
    with pytest.raises(InterruptedRun):
        train(run, lambda: next(calls) >= 20)
    assert all(run.slot("train", cell).record() is None for cell in grid.expand(run.config))


@pytest.mark.parametrize("stage", ["sample", "evaluate"])
def test_sampling_and_measuring_go_on_with_the_other_cells(tiny_config: dict, stage: str) -> None:
    own = {"name": "own", "spec": "my.py:path"}
    run = opened(tiny_config, "run", weightings=["uniform"], paths=[own, "linear"])
    experiment, points, cells = run.config.experiments[0], data.get_dataset("eight_gaussians"), grid.expand(run.config)
    slots = [[run.slot(each, cell) for each in ("train", "sample", "evaluate")] for cell in cells]
    train(run)
    if stage == "sample":
        Path("path").touch()
    samples.sample(experiment, [(cell, *s[:2]) for cell, s in zip(cells, slots, strict=True)], points, CPU)
    Path("path").touch()
    denoiser.coefficients_at.cache_clear()
    fit = [(cell, *s) for cell, s in zip(cells, slots, strict=True) if s[1].record()["status"] == "ok"]
    evaluation.evaluate(experiment, fit, points, CPU)
    collect(run)
    status, reason, records = run.outcome(cell_of(run, "own"))
    assert (status, stage in records) == ("failed", True)
    assert "path 'own' raised KeyError in my.py, line 27: 'alpha'" in reason
    assert run.outcome(cell_of(run, "linear"))[0] == "ok"
    assert [run.unfinished(cell) for cell in cells] == [None, None]
