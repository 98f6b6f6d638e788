"""Sizes known from configuration and data set are refused when the configuration is read, not after training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from repository import ROOT
from typer.testing import CliRunner

from reproflow.evaluation.features.digits_network import DIMENSION
from reproflow.foundation import config, grid, names
from reproflow.foundation.errors import ConfigError, UsageError
from reproflow.learning.data import ImageData, coupled_pairs, get_dataset

IMAGES: dict[str, Any] = {
    "name": "digits",
    "process": "gaussian",
    "dataset": "digits8",
    "paths": ["cosine"],
    "weightings": ["elbo"],
    "targets": ["x1"],
    "seeds": [0, 1],
}


@pytest.fixture
def raw(tiny_config: dict) -> dict:
    """A run on points and on digits."""
    tiny_config["experiments"].append(copy.deepcopy(IMAGES))
    return tiny_config


def changed(raw: dict, place: str, value: Any) -> dict:
    """The configuration with one value changed; `place` is as `digits.sampling.n`, or a key of the whole."""
    parts = place.split(".")
    named = {each["name"]: each for each in raw["experiments"]}
    inner = named[parts.pop(0)] if parts[0] in named else raw
    for part in parts[:-1]:
        inner = inner.setdefault(part, {})
    inner[parts[-1]] = value
    return raw


@pytest.mark.parametrize("known", [each for each in names.known() if each.kind == "dataset"], ids=lambda n: n.name)
def test_the_listed_sizes_are_those_of_the_data(known: names.Name) -> None:
    data = get_dataset(known.name, known.process)
    sizes = {"held_out": len(data.test), "dim": data.dim, "classes": data.classes}
    sizes |= {"train": len(data.train), "features": DIMENSION} if isinstance(data, ImageData) else {}
    assert known.sizes == sizes


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("digits.sampling.n", 100, "needs at least 128 samples"),
        ("digits.sampling.n", 127, "needs at least 128 samples"),
        ("digits.likelihood.points", 451, "digits8 holds out 450 points"),
        ("digits.likelihood.ode_points", 451, "digits8 holds out 450 points"),
        ("toy.likelihood.points", 5000, "eight_gaussians holds out 4096 points"),
        ("toy.likelihood.points", 1, "at least 2 points"),
        ("digits.likelihood.ode_points", 1, "at least 2 points"),
        ("toy.training.log_every", 41, "is more than training.steps 40"),
        ("cascade.seeds", 3, "have 2 at most"),
        ("claims.ids", ["LOSS-1", "LOS-5"], "did you mean 'LOSS-5'"),
        ("claims", {"tier": "mc", "ids": ["LOSS-5"]}, "none of LOSS-5 has that tier"),
    ],
)
def test_what_would_be_refused_late_is_refused_at_once(raw: dict, place: str, value: Any, said: str) -> None:
    config.check(raw)
    with pytest.raises(ConfigError, match=said):
        config.check(changed(raw, place, value), "mine.yaml")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("digits.sampling.n", 128),
        ("toy.sampling.n", 8),
        ("digits.likelihood.points", 450),
        ("digits.likelihood.ode_points", 0),
        ("cascade.seeds", 2),
        ("claims", {"tier": "mc", "ids": ["loss-1"]}),
        ("claims", {"tier": "exact", "ids": ["loss-1"]}),
    ],
)
def test_the_largest_that_is_possible_is_taken(raw: dict, place: str, value: Any) -> None:
    assert config.check(changed(raw, place, value))


def test_points_left_out_are_the_usual_number_or_all_there_are(raw: dict) -> None:
    del raw["experiments"][0]["likelihood"]
    toy, digits = config.check(raw).experiments
    assert (toy.likelihood.points, digits.likelihood.points) == (1000, 450)
    assert config.check(changed(raw, "digits.likelihood.repeats", 2)).experiments[1].likelihood.points == 450


def test_a_cascade_without_images_is_refused(tiny_config: dict) -> None:
    with pytest.raises(ConfigError, match="no experiment is on images"):
        config.check(tiny_config | {"cascade": {}})


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("digits8.gaussian.cosine.uniform.elbo.x1.s7", "did you mean 'digits8.gaussian.cosine.uniform.elbo.x1.s"),
        ("eight_gaussians.gaussian.linear.uniform.uniform.velocity.s0", "on images with target x1"),
    ],
)
def test_a_network_that_claims_cannot_be_tried_on(raw: dict, network: str, said: str) -> None:
    grid.check(config.check(changed(raw, "claims.network", "digits8.gaussian.cosine.uniform.elbo.x1.s1")))
    with pytest.raises(ConfigError, match=said):
        grid.check(config.check(changed(raw, "claims.network", network)))


def test_more_shards_than_their_names_can_tell(raw: dict) -> None:
    raw["experiments"][0] |= {"seeds": list(range(334)), "shard_size": 1}
    with pytest.raises(ConfigError, match="'toy' has 1002 shards, 1000 at most; raise shard_size"):
        grid.check(config.check(raw))


@pytest.mark.parametrize(
    ("shape", "said"), [((8, 2), ""), ((8, 3), r"shape \(N, 2\)"), ((8,), r"shape \(N, 2\)"), ((0, 2), "N > 0")]
)
def test_pairs_of_another_shape(tiny_config: dict, tmp_path: Path, shape: tuple[int, ...], said: str) -> None:
    file = tmp_path / "pairs.safetensors"
    coupled_pairs.write_tensors(file, {"x0": torch.zeros(shape), "x1": torch.zeros(shape)}, {"kind": "pairs"})
    wanted = changed(tiny_config, "toy.coupling", str(file))
    if not said:
        assert config.check(wanted)
        return
    with pytest.raises(ConfigError, match=said):
        config.check(wanted)


def test_pairs_that_are_none(tiny_config: dict, tmp_path: Path) -> None:
    file = tmp_path / "pairs.safetensors"
    coupled_pairs.write_tensors(file, {"x0": torch.zeros(8, 2)}, {"kind": "samples"})
    with pytest.raises(UsageError, match="holds samples data, not pairs"):
        config.check(changed(tiny_config, "toy.coupling", str(file)))
    file.write_text("no such file")
    with pytest.raises(UsageError, match="not a readable reproflow file"):
        config.check(changed(tiny_config, "toy.coupling", str(file)))


def test_resolve_names_file_key_and_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reproflow.cli import app

    monkeypatch.chdir(tmp_path)
    text = (ROOT / "configs" / "ci.yaml").read_text()
    Path("mine.yaml").write_text(
        text.replace("solver: ancestral, steps: 4, n: 200", "solver: ancestral, steps: 4, n: 100")
    )
    answer = CliRunner().invoke(app, ["resolve", "--config", "mine.yaml"])
    said = str(answer.exception)
    assert isinstance(answer.exception, ConfigError)
    assert said.startswith("mine.yaml: experiments[1]: sampling.n 100: FID on the 64 features of digits8 needs")
    assert not Path("results").exists()
