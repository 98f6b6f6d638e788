"""Guests: a user's functions keep their promises, or are refused by name, line and time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reproflow.foundation import config
from reproflow.foundation.errors import UsageError
from reproflow.learning import preflight
from reproflow.theory.objective import canonical
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

T = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
FILE = """
import random
import numpy as np
import torch
from reproflow import weighting

def good(t, lam, k=1.0): return torch.exp(-k * lam / 2)
def constant(t, lam): return 3
def scalar(t, lam): return torch.tensor(2.0)
def float32(t, lam): return t.float()
@weighting("decorated", on="x1", cite="-")
def decorated(t, lam): return torch.exp(lam)
def nan(t, lam): return torch.sqrt(t - 0.5)
def negative(t, lam): return t - 0.5
def infinite(t, lam): return 1 / (t * 0)
def nothing(t, lam): return t * 0
def wrong_shape(t, lam): return torch.ones(3)
def column(t, lam): return t[:, None]
def none(t, lam): pass
def text(t, lam): return "a"
def complex_(t, lam): return torch.complex(t, t)
def torch_rng(t, lam): return t + torch.rand(())
def numpy_rng(t, lam): return t + float(np.random.rand())
def python_rng(t, lam): return t + random.random()
def in_place(t, lam):
    t -= 1
    lam.zero_()
    return t**2
def asks(t, lam):
    assert t.min() > 0
    return t
class Mute(Exception):
    def __str__(self):
        raise RuntimeError
def mute(t, lam): raise Mute
def stops(t, lam): raise KeyboardInterrupt
def raises(t, lam):
    raise KeyError("deep")
def path(t): return t**2, 1 - t
def one(t): return t
def late(t): return torch.sin(torch.pi * t) * t + t, 1 - t
def misses(t): return t, 1 - 0.9 * t
def law(u): return u**3
def backwards(u): return 1 - u
def outside(u): return 2 * u
def cubic(a, b, t, x): return ((a - b).abs() ** 3).sum(1)
def rooted(a, b, t, x): return (a - b).log().sum(1)
def gap(u): return torch.where(u < 0.5, 0.6 * u, 0.4 + 0.6 * u)
"""


@pytest.fixture(autouse=True)
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.py").write_text(FILE)


def at(function: str) -> torch.Tensor:
    return get_weighting(f"g.py:{function}").at(get_path("linear").at(T))


def test_a_good_one_is_the_function_itself() -> None:
    torch.testing.assert_close(at("good"), (1 - T) / T, rtol=1e-12, atol=0)
    torch.testing.assert_close(at("good:k=2"), ((1 - T) / T) ** 2, rtol=1e-12, atol=0)
    assert (at("constant") == 3).all()
    assert (at("scalar") == 2).all()
    assert at("float32").dtype == torch.float64


def test_it_may_change_its_arguments_and_is_never_asked_for_nothing() -> None:
    c = get_path("linear").at(T)
    before = T.clone()
    torch.testing.assert_close(get_weighting("g.py:in_place").at(c), (1 - T) ** 2, rtol=1e-12, atol=0)
    assert torch.equal(T, before)
    assert get_weighting("g.py:asks").at(get_path("linear").at(T[:0])).shape == (0,)
    alpha, sigma = get_path("g.py:path")(T[:0])
    assert alpha.shape == sigma.shape == (0,)


def test_an_interrupt_of_its_own_is_its_fault_in_a_child_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child hears no key of the user's; elsewhere Control-C may come while the function runs."""
    with pytest.raises(KeyboardInterrupt):
        at("stops")
    monkeypatch.setenv("REPROFLOW_CHILD_PIPE", "1")
    with pytest.raises(UsageError, match="raised KeyboardInterrupt"):
        at("stops")


def test_what_it_multiplies() -> None:
    assert get_weighting("g.py:good").on == "velocity"
    assert get_weighting("g.py:good", "masked").on == "ce"
    assert get_weighting("g.py:decorated").on == "x1"
    assert get_weighting("g.py:decorated", on="eps").on == "eps"
    with pytest.raises(UsageError, match="'ce' is not a gaussian prediction"):
        get_weighting("g.py:good", on="ce")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nan", r"'g\.py:nan' is NaN at t = 0\.05"),
        ("wrong_shape", r"shape \(19,\).*it gave torch\.float32 of shape \(3,\)"),
        ("column", r"of shape \(19, 1\)"),
        ("none", "it gave NoneType"),
        ("text", "it gave str"),
        ("complex_", "real tensor"),
        ("torch_rng", "global random generator"),
        ("numpy_rng", "global random generator"),
        ("python_rng", "global random generator"),
        ("mute", r"raised Mute in g\.py, line \d+: Mute, whose own message cannot be read"),
        ("raises", r"raised KeyError in g\.py, line \d+: 'deep'"),
    ],
)
def test_refusals(function: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        at(function)


def test_a_file_that_cannot_be_run(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = 1\n\nraise RuntimeError('no')\ndef f(t, lam): return t\n")
    with pytest.raises(UsageError, match=r"bad\.py, line 3 cannot be run: RuntimeError: no"):
        get_weighting("bad.py:f")
    (tmp_path / "exit.py").write_text("import sys\nsys.exit(0)\ndef f(t, lam): return t\n")
    with pytest.raises(UsageError, match="SystemExit"):
        get_weighting("exit.py:f")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weightings": ["negative"]}, r"coefficient -\d+ at t = 0\.00"),
        ({"weightings": ["infinite"]}, r"coefficient inf at t"),
        ({"weightings": ["nothing"]}, "zero everywhere"),
        ({"weightings": ["nan"]}, "is NaN at t"),
        ({"paths": ["late"]}, r"alpha falls at t = 0\.\d+|SNR does not rise"),
        ({"paths": ["misses"]}, r"sigma\(1\) = 0\.1, not 0"),
        ({"paths": ["one"]}, r"must give \(alpha, sigma\)"),
        ({"times": ["backwards"]}, "does not fall"),
        ({"times": ["outside"]}, r"must lie in \[0, 1\]"),
    ],
)
def test_a_configuration_refuses_what_cannot_be_trained(tiny_config: dict, values: dict, message: str) -> None:
    experiment = tiny_config["experiments"][0]
    experiment["weightings"] = ["elbo"]
    for axis, functions in values.items():
        experiment[axis] = [{"name": f"mine_{f.lower()}", "spec": f"g.py:{f}"} for f in functions]
    with pytest.raises(UsageError, match=message):
        preflight.admit_config(config.check(tiny_config))


@pytest.mark.parametrize(("function", "message"), [("rooted", "NaN|not finite"), ("one", "cannot be called as one")])
def test_a_users_divergence_is_tried_too(tiny_config: dict, function: str, message: str) -> None:
    experiment = tiny_config["experiments"][0]
    experiment |= {"weightings": ["uniform"], "divergence": {"name": "mine", "spec": f"g.py:{function}"}}
    with pytest.raises(UsageError, match=message):
        preflight.admit_config(config.check(tiny_config))
    experiment["divergence"]["spec"] = "g.py:cubic"
    preflight.admit_config(config.check(tiny_config))


def test_good_ones_are_admitted(tiny_config: dict) -> None:
    experiment = tiny_config["experiments"][0]
    experiment["weightings"] = [{"name": "mine", "spec": "g.py:good:k=1.5", "on": "x1"}]
    experiment["paths"] = [{"name": "mypath", "spec": "g.py:path"}]
    experiment["times"] = [{"name": "mylaw", "spec": "g.py:law"}, {"name": "mygap", "spec": "g.py:gap"}]
    preflight.admit_config(config.check(tiny_config))


def test_a_users_law_has_a_density_and_its_gap() -> None:
    torch.testing.assert_close(get_time_law("g.py:law").density(T), T ** (-2 / 3) / 3, rtol=1e-9, atol=0)
    density = get_time_law("g.py:gap").density(torch.tensor([0.1, 0.35, 0.5, 0.65, 0.9], dtype=torch.float64))
    torch.testing.assert_close(density, torch.tensor([1, 0, 0, 0, 1], dtype=torch.float64) / 0.6, rtol=1e-9, atol=0)


def test_the_canonical_form_of_guests_is_differentiable() -> None:
    def w(t: torch.Tensor) -> torch.Tensor:
        return canonical(get_path("g.py:path"), get_time_law("g.py:law"), get_weighting("g.py:good"), t)

    slope = torch.func.jvp(w, (T,), (torch.ones_like(T),))[1]
    h = 1e-6
    torch.testing.assert_close(slope, (w(T + h) - w(T - h)) / (2 * h), rtol=1e-5, atol=1e-7)
