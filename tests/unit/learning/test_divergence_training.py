"""Training with another divergence than the squared error: the loss itself, shards, users' functions, refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special

from reproflow.foundation import config, grid, registry
from reproflow.foundation.errors import ConfigError, UsageError
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.training import shard
from reproflow.learning.training.batches import Batches
from reproflow.theory.divergences import get_divergence
from reproflow.theory.processes import gaussian

CPU = torch.device("cpu")


def stacked(seed: int = 0, dim: int = 5) -> dict[str, torch.Tensor]:
    """What the loss of three cells on a batch of four needs."""
    generator = torch.Generator().manual_seed(seed)
    y, prediction, x = torch.randn(3, 3, 4, dim, generator=generator)
    coefficient, t = torch.rand(2, 3, 4, generator=generator)
    return {"coefficient": coefficient, "y": y, "prediction": prediction, "t": t, "x": x}


def test_the_loss_of_the_squared_error_is_the_usual_one() -> None:
    given = stacked()
    usual = gaussian.loss(given["coefficient"], given["y"], given["prediction"])
    torch.testing.assert_close(gaussian.divergence_loss(**given, divergence=get_divergence("squared")), usual)


@pytest.mark.parametrize(
    ("spec", "scalar"),
    [
        ("l1", lambda a, b: abs(a - b)),
        ("huber:delta=0.7", lambda a, b: special.huber(0.7, a - b)),
        ("exponential", lambda a, b: math.exp(a) - math.exp(b) - math.exp(b) * (a - b)),
    ],
)
def test_the_loss_is_the_weighted_mean_per_dimension(spec: str, scalar) -> None:
    """Against a loop over cells, rows and coordinates."""
    given = stacked()
    found = gaussian.divergence_loss(**given, divergence=get_divergence(spec))
    y, prediction, c = (given[name].double().numpy() for name in ("y", "prediction", "coefficient"))
    for k in range(3):
        rows = [
            c[k, i] * np.mean([scalar(y[k, i, d], prediction[k, i, d]) for d in range(y.shape[-1])])
            for i in range(y.shape[1])
        ]
        assert float(found[k]) == pytest.approx(np.mean(rows), rel=1e-5)


def test_time_and_state_reach_the_divergence_row_by_row() -> None:
    given, divergence = stacked(), get_divergence("mahalanobis:scale=2")
    found = gaussian.divergence_loss(**given, divergence=divergence)
    for k in range(3):
        member = {name: tensor[k : k + 1] for name, tensor in given.items()}
        torch.testing.assert_close(gaussian.divergence_loss(**member, divergence=divergence), found[k : k + 1])
    moved = gaussian.divergence_loss(**given | {"x": given["x"].flip(1)}, divergence=divergence)
    later = gaussian.divergence_loss(**given | {"t": given["t"].flip(1)}, divergence=divergence)
    assert not torch.allclose(found, moved, rtol=1e-3)
    assert not torch.allclose(found, later, rtol=1e-3)


def test_a_prediction_that_is_not_finite_harms_its_own_cell_only() -> None:
    given = stacked()
    given["prediction"][1, 2, 0] = torch.inf
    given["prediction"].requires_grad_()
    found = gaussian.divergence_loss(**given, divergence=get_divergence("huber"))
    assert found.isfinite().tolist() == [True, False, True]
    found[[0, 2]].sum().backward()
    assert given["prediction"].grad.isfinite().all()


def experiment(raw: dict, **changes) -> dict:
    return raw | {"experiments": [raw["experiments"][0] | {"weightings": ["uniform"]} | changes]}


def train(raw: dict, folder: Path, shard_size: int = 64) -> tuple[dict, dict]:
    """Tensors and statuses of the trained cells, by key."""
    results = Run(config.check(raw), folder)
    settings, cells = results.config.experiments[0], grid.expand(results.config)
    points = data.get_dataset(settings.dataset, settings.process)
    for start in range(0, len(cells), shard_size):
        work = [(cell, results.slot("train", cell)) for cell in cells[start : start + shard_size]]
        shard.train(settings, work, points, CPU)
    slots = {cell.key: results.slot("train", cell) for cell in cells}
    tensors = {key: data.tensor_files.read_tensors(slot.folder / shard.FINAL)[0] for key, slot in slots.items()}
    return tensors, {key: slot.record()["status"] for key, slot in slots.items()}


def draws(raw: dict) -> Batches:
    checked = config.check(raw)
    settings = checked.experiments[0]
    points = data.get_dataset(settings.dataset, settings.process)
    return Batches(grid.expand(checked), settings, points, CPU)


def losses_of_nothing(raw: dict) -> torch.Tensor:
    """What a network that always answers 0 would lose at the last fifty steps, (K, 50)."""
    source, losses = draws(raw), []
    steps = raw["experiments"][0]["training"]["steps"]
    for step in range(steps - 50, steps):
        batch = source.batch(step)
        x, y = (gaussian.blend(batch[p], batch["x1"], batch[q], batch["eps"]) for p, q in (("alpha", "sigma"), "ab"))
        nothing = torch.zeros_like(y)
        losses.append(
            gaussian.divergence_loss(batch["coefficient"], y, nothing, batch["t"], x, divergence=source.divergence)
        )
    return torch.stack(losses, 1)


REAL = [entry.name for entry in registry.entries("divergence") if get_divergence(entry.name).domain == "real"]


@pytest.mark.parametrize("spec", [name for name in REAL if name != "squared"])
@pytest.mark.default_cases(2)
def test_cells_learn_and_do_not_depend_on_sharding(spec: str, tiny_config: dict, tmp_path: Path) -> None:
    raw = experiment(tiny_config, divergence=spec, seeds=[0, 1, 2], paths=["linear"])
    raw["experiments"][0]["training"] = raw["experiments"][0]["training"] | {"steps": 100, "lr": 5e-3}
    together, statuses = train(raw, tmp_path / "together")
    apart, _ = train(raw, tmp_path / "apart", 2)
    assert set(statuses.values()) == {"ok"}
    for key, tensors in together.items():
        assert f".{spec}." in key
        assert all(torch.equal(tensor, apart[key][name]) for name, tensor in tensors.items())
    gains = losses_of_nothing(raw) - torch.stack([tensors["history"][-50:, 0] for tensors in together.values()])
    assert float(gains.mean()) > 5 * float(gains.std()) / gains.numel() ** 0.5


def test_images_with_velocity(tiny_config: dict, tmp_path: Path) -> None:
    sampling = {"solver": "euler", "steps": 4, "n": 128}
    raw = experiment(tiny_config, divergence="huber", dataset="digits8", targets=["velocity"], sampling=sampling)
    assert set(train(raw, tmp_path)[1].values()) == {"ok"}


SOURCE = """
import torch

def mine(a, b, t, x, scale=1.0):
    assert a.dtype == torch.float64 and t.shape == a.shape[:1]
    return scale * ((a - b) ** 2).sum(1)

def logs(a, b, t, x):
    return (a.log() - b.log()).square().sum(1)
"""


def test_a_users_divergence_trains_as_its_twin(tiny_config: dict, tmp_path: Path, monkeypatch) -> None:
    """The squared error written by a user, as a function and as an expression, ends where ours does."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(SOURCE)
    ours, _ = train(experiment(tiny_config), tmp_path / "ours")
    wanted = next(iter(ours.values()))["history"]
    for spec in ("own.py:mine", "expr:(a - b)**2"):
        raw = experiment(tiny_config, divergence={"name": "twin", "spec": spec})
        found, _ = train(raw, tmp_path / spec[:3])
        key, tensors = next(iter(found.items()))
        assert ".twin." in key
        torch.testing.assert_close(tensors["history"], wanted, rtol=1e-3, atol=1e-5)
        assert not torch.equal(tensors["history"], wanted), "it is another code path"


def test_a_users_divergence_must_be_finite(tiny_config: dict, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(SOURCE)
    with pytest.raises(UsageError, match="'mine' is NaN"):
        draws(experiment(tiny_config, divergence={"name": "mine", "spec": "own.py:logs"}))
    with pytest.raises(UsageError, match="'mine' is not finite"):
        draws(experiment(tiny_config, divergence={"name": "mine", "spec": "expr:1/where(b > 0, 1, 0)"}))


def test_a_users_weighting_tells_what_it_weighs_when_it_is_loaded(tiny_config: dict, tmp_path: Path, monkeypatch):
    """Its decorator's `on` is not known before the file runs; then the same rule holds."""
    monkeypatch.chdir(tmp_path)
    Path("w.py").write_text(
        "import reproflow\n@reproflow.weighting('theirs', on='eps', cite='-')\ndef theirs(t, lam):\n    return t\n"
    )
    own = [{"name": "own", "spec": "w.py:theirs"}]
    with pytest.raises(UsageError, match="weighting 'own' on eps and target velocity"):
        draws(experiment(tiny_config, divergence="huber", weightings=own))
    assert (
        draws(experiment(tiny_config, divergence="huber", weightings=own, targets=["eps"])).divergence.name == "huber"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"divergence": "kl_rates"}, "positive rates"),
        ({"divergence": "huber:delta=-1"}, "outside its range"),
        ({"divergence": "hubr"}, "did you mean 'huber'"),
        ({"divergence": "huber", "weightings": ["uniform", "elbo"]}, "'elbo' on canonical and target velocity"),
        ({"divergence": "huber", "targets": ["velocity", "x1"]}, "one target"),
        ({"divergence": "huber", "targets": ["x1"], "weightings": ["min_snr"], "dataset": "digits8"}, "grey levels"),
        (
            {"divergence": "huber", "process": "masked", "dataset": "digits8", "weightings": ["simple"]},
            "the cross-entropy",
        ),
    ],
)
def test_the_configuration_refuses(tiny_config: dict, change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        config.check(experiment(tiny_config, **change))
    assert len(str(caught.value).splitlines()) <= 3


def test_what_the_configuration_allows(tiny_config: dict) -> None:
    for change in (
        {"divergence": "squared", "weightings": ["uniform", "elbo"], "targets": ["velocity", "x1"]},
        {"divergence": "huber:delta=0.1", "targets": ["x1"], "weightings": ["min_snr"]},
    ):
        assert grid.expand(config.check(experiment(tiny_config, **change)))
