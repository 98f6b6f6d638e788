"""A user's own network: a broken one is refused by what it does, a sound one because it cannot be trained yet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from user_components import checked, own

from reproflow.cli import run as command_line
from reproflow.foundation import config, fingerprint, grid
from reproflow.foundation.errors import ConfigError, UsageError
from reproflow.learning import data, preflight
from reproflow.learning.networks.builders import get_network
from reproflow.learning.networks.heads import head_for
from reproflow.learning.networks.user_network import admit_network

FILE = """
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, classes, out=None):
        super().__init__()
        size = torch.Size(shape).numel()
        self.inner = nn.Linear(size + 1 + classes, 32)
        self.drop = nn.Dropout(0.1)
        self.outer = nn.Linear(32, out or size)
        self.classes = classes
    def parts(self, x, t, y):
        if y is not None:
            yield nn.functional.one_hot(y, self.classes).float()
        yield from (x.flatten(1), t[:, None])
    def forward(self, x, t, y):
        h = torch.cat(list(self.parts(x, t, y)), 1)
        return self.outer(self.drop(torch.tanh(self.inner(h)))).view(len(x), *x.shape[1:])

def sound(shape, classes, width=8): return Net(shape, classes)
def normed(shape, classes): return nn.ModuleDict(), Net(shape, classes)

class Changed(Net):
    def __init__(self, change, shape, classes):
        super().__init__(shape, classes)
        self.change = change
    def forward(self, x, t, y): return self.change(super().forward(x, t, y), t)

class Batched(Net):
    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.drop = nn.BatchNorm1d(32)
def batched(shape, classes): return Batched(shape, classes)

def wide(shape, classes): return Changed(lambda v, t: torch.cat([v, v], 1), shape, classes)
def double(shape, classes): return Changed(lambda v, t: v.double(), shape, classes)
def weights(shape, classes): return Net(shape, classes).double()
def pair(shape, classes): return Changed(lambda v, t: (v, t), shape, classes)
def infinite(shape, classes): return Changed(lambda v, t: v / (t[:, None] > 0.5), shape, classes)
def steep(shape, classes): return Changed(lambda v, t: (v - v).sqrt() + v, shape, classes)
class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.square = nn.Parameter(torch.tensor([0.0, 1.0]))
    def forward(self, x, t, y): return x * self.square.sqrt()
def steep_in_part(shape, classes): return Root()
def mixing(shape, classes): return Changed(lambda v, t: v - v.mean(0), shape, classes)
def detached(shape, classes): return Changed(lambda v, t: v.detach(), shape, classes)
def noisy(shape, classes): return Changed(lambda v, t: v + np.random.randn(), shape, classes)
def two(shape, classes): return Net((3,), classes)
def frozen(shape, classes): return Net(shape, classes).requires_grad_(False)
def function(shape, classes): return lambda x, t, y: x
def raises(shape, classes): raise ValueError("no network today")
def forever(shape, classes):
    while True:
        pass
def none(shape): return Net(shape, 0)
"""
BROKEN = {
    "wide": r"network 'mine' must map x \(6, 2\), t \(6,\) and y None to torch.float32 of shape \(6, 2\); it gave "
    r"torch.float32 of shape \(6, 4\)",
    "double": r"it gave torch.float64 of shape \(6, 2\)",
    "weights": "inner.weight is torch.float64; parameters must be float32",
    "pair": "it gave tuple",
    "normed": "must give a torch.nn.Module; it gave tuple",
    "function": "must give a torch.nn.Module; it gave function",
    "infinite": r"is not finite at t = 0\.001",
    "steep": "the gradient of inner.weight is not finite",
    "steep_in_part": "the gradient of square is not finite",
    "mixing": "predicts a row otherwise without the other rows of its batch",
    "detached": "does not depend on any of its parameters",
    "frozen": "has no parameters to train",
    "noisy": "draws from the global random generator",
    "two": r"network 'mine' raised RuntimeError in my.py, line 20: .*4x32",
    "raises": r"network 'mine' raised ValueError in my.py, line \d+: no network today",
    "none": r"none\(shape\) cannot be called as none\(shape, classes\)",
}
NOT_YET = "network 'mine' is one of your own: your own networks cannot be trained yet; leave model.network out"
MODEL = {"width": 16, "depth": 2}


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(FILE)


def with_network(raw: dict, network: object, **changes: object) -> config.Config:
    return checked(raw, model={**MODEL, "network": network}, **changes)


@pytest.mark.parametrize(("function", "message"), BROKEN.items())
def test_a_broken_network_is_refused_for_what_it_does(tiny_config: dict, function: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preflight.admit_config(with_network(tiny_config, own(function)))


@pytest.mark.parametrize("spec", ["my.py:sound", "my.py:sound:width=16"])
def test_a_sound_network_is_refused_for_not_being_trained_yet(tiny_config: dict, spec: str) -> None:
    opened = with_network(tiny_config, {"name": "mine", "spec": spec})
    with pytest.raises(UsageError, match=NOT_YET):
        preflight.admit_config(opened)
    experiment = opened.experiments[0]
    with pytest.raises(UsageError, match=NOT_YET):
        head_for(data.get_dataset("eight_gaussians"), "gaussian", "velocity", experiment.model)


def test_networks_of_images_are_called_with_their_shape_and_classes(tiny_config: dict) -> None:
    network = with_network(tiny_config, own("sound")).experiments[0].model.network_spec
    before = torch.get_rng_state()
    admit_network(network, data.get_dataset("digits8"), (0.001, 0.999))
    assert torch.equal(torch.get_rng_state(), before)


def test_in_evaluation_a_normalised_batch_is_none(tiny_config: dict) -> None:
    """A layer that norms by its batch in training has fixed numbers in evaluation, where rows are tried alone."""
    network = with_network(tiny_config, own("batched")).experiments[0].model.network_spec
    admit_network(network, data.get_dataset("eight_gaussians"), (0.001, 0.999))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("stacked_mpl", "unknown gaussian network 'stacked_mpl'; did you mean 'stacked_mlp'"),
        ("stacked_mlp:width=3", "network 'stacked_mlp' has no parameter 'width'"),
        ("my.py:sound", "give it a name"),
        ({"name": "mine", "spec": "expr:t"}, "no expression can be a network"),
        ({"name": "stacked_mlp", "spec": "my.py:sound"}, "'stacked_mlp' is a registered network"),
        (own("nowhere"), "has no function 'nowhere'"),
        ({"name": "mine", "spec": "my.py:sound:depth=3"}, "has no parameter 'depth'"),
        ({"name": "mine", "sepc": "my.py:sound"}, "unknown key 'experiments.0..model.network.sepc'"),
    ],
)
def test_what_a_configuration_refuses_without_running_anything(
    tiny_config: dict, network: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        with_network(tiny_config, network)


def test_a_masked_process_takes_no_network_of_a_users(tiny_config: dict) -> None:
    changes = {"process": "masked", "dataset": "digits8", "paths": ["linear"], "weightings": ["elbo"]}
    settings = {"sampling": {"solver": "ancestral", "steps": 4, "n": 128}, "targets": None}
    with_network(tiny_config, "stacked_mlp", **changes, **settings)
    with pytest.raises(ConfigError, match="logits over tokens, and your own networks cannot be trained yet"):
        with_network(tiny_config, own("sound"), **changes, **settings)


@pytest.mark.parametrize(("function", "message"), [("sound", "cannot be trained yet"), ("wide", "must map x")])
@pytest.mark.default_cases(1)
def test_resolve_refuses_with_exit_2(
    tiny_config: dict, function: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("config.json").write_text(config.dump(with_network(tiny_config, own(function))))
    assert command_line(["resolve", "--config", "config.json", "--results", "results"]) == 2
    assert message in capfd.readouterr().err
    assert not Path("results/config.json").exists()


@pytest.mark.slow
def test_a_network_without_an_end_is_stopped(
    tiny_config: dict, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPROFLOW_TIME_LIMIT", "1")
    Path("config.json").write_text(config.dump(with_network(tiny_config, own("forever"))))
    assert command_line(["resolve", "--config", "config.json", "--results", "results"]) == 2
    assert "my.py:forever" in capfd.readouterr().err


def test_the_default_is_the_registered_network(tiny_config: dict) -> None:
    """Written out or left out, it is one configuration with the same cells and fingerprints."""
    plain, written = checked(tiny_config, model=MODEL), with_network(tiny_config, "stacked_mlp")
    assert plain == written
    assert plain.user_functions == []
    cells = grid.expand(plain)
    assert cells == grid.expand(written)
    parts = fingerprint.stage(plain, cells[0], "train").parts
    assert parts["network stacked_mlp"]
    assert "model.network" not in parts
    assert get_network("stacked_mlp", "masked") is get_network("stacked_mlp")


def test_a_users_network_counts_by_its_source(tiny_config: dict) -> None:
    opened = with_network(tiny_config, own("sound"))
    cell = grid.expand(opened)[0]
    before = fingerprint.stage(opened, cell, "train").parts
    Path("my.py").write_text(FILE.replace("nn.Dropout(0.1)", "nn.Dropout(0.2)"))
    fingerprint.forget()
    after = fingerprint.stage(opened, cell, "train").parts
    assert {name for name in before if before[name] != after[name]} == {"network mine"}
