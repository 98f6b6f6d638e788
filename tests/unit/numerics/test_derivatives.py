"""Derivatives: both modes against each other and closed forms, where they part, and what they import."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from repository import ROOT
from torch import Tensor

from reproflow.foundation import registry
from reproflow.numerics.derivatives import Mode, is_differentiated, mode_of, with_slope, with_slopes
from reproflow.theory.paths import forward_path, get_path
from reproflow.theory.times import get_time_law

T = torch.linspace(0.05, 0.95, 181, dtype=torch.float64)
PATHS = [(entry.process, entry.name) for entry in registry.entries("path")]
# scipy's inverse, which no mode can differentiate; the law's density is closed.
LAWS = [entry.name for entry in registry.entries("time") if entry.process == "gaussian" and entry.name != "beta"]


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mode", Mode)
def test_closed_forms(mode: Mode) -> None:
    values, slopes = with_slopes(lambda t: (t**3, t.sin(), torch.ones_like(t)), T, mode)
    close(slopes[0], 3 * T**2)
    close(slopes[1], T.cos())
    assert not slopes[2].any()
    close(torch.stack(values), torch.stack([T**3, T.sin(), torch.ones_like(T)]))
    with pytest.raises(AssertionError):
        close(slopes[0], 3.0001 * T**2)


@pytest.mark.parametrize("mode", Mode)
def test_shapes_types_and_constants(mode: Mode) -> None:
    for t in (torch.tensor(0.25), T.float(), T[:6].view(2, 3), torch.tensor(0.5).expand(3)):
        value, slope = with_slope(lambda t: t * t, t, mode)
        assert value.shape == slope.shape == t.shape
        assert value.dtype == slope.dtype == t.dtype
        assert torch.equal(slope, 2 * t)
        assert not with_slope(torch.zeros_like, t, mode)[1].any()


@pytest.mark.parametrize(("process", "name"), PATHS)
def test_modes_agree_on_every_registered_path(process: str, name: str) -> None:
    function = get_path(name, process).function
    for one, other in zip(*(with_slopes(function, T, mode)[1] for mode in Mode), strict=True):
        close(one, other)


@pytest.mark.parametrize("name", LAWS)
def test_modes_agree_on_every_registered_law(name: str) -> None:
    function = get_time_law(name).function
    close(*(with_slope(function, T, mode)[1] for mode in Mode))


def test_forward_mode_follows_the_branch_taken() -> None:
    """The reason for a choice: the slope of sqrt is NaN where its branch is not taken."""

    def hides(t: Tensor) -> Tensor:
        return torch.where(t > 0.5, (t - 0.5).sqrt(), 2 * t)

    forward, reverse = (with_slope(hides, T, mode)[1] for mode in (Mode.FORWARD, Mode.REVERSE))
    taken = torch.where(T > 0.5, 0.5 * (T - 0.5).rsqrt(), 2.0)
    close(forward[T != 0.5], taken[T != 0.5])
    assert reverse[T < 0.5].isnan().all()


def test_the_door() -> None:
    assert mode_of(True, T) is Mode.REVERSE
    assert mode_of(False, T) is Mode.FORWARD
    leaf = T.clone().requires_grad_()
    assert mode_of(True, leaf) is Mode.FORWARD
    with torch.no_grad():
        assert mode_of(True, leaf) is Mode.REVERSE
    inside = []
    torch.func.jvp(lambda t: (inside.append(is_differentiated(t)), t)[1], (T,), (T,))
    torch.func.vmap(lambda t: (inside.append(is_differentiated(t)), t)[1])(T)
    assert inside == [True, True]


def test_a_derivative_that_is_differentiated_again_keeps_its_slope() -> None:
    """In reverse mode alone it would be a constant."""
    path, law = get_path("vp"), get_time_law("mode", fine=True)
    for function in (lambda t: path.at(t).dalpha, law.density):
        value, slope = with_slope(function, T, Mode.FORWARD)
        h = 1e-5
        close(value, function(T))
        torch.testing.assert_close(slope, (function(T + h) - function(T - h)) / (2 * h), rtol=1e-5, atol=1e-6)
        assert slope.any()


def test_what_chooses_reverse_mode() -> None:
    """A registered path is differentiated backwards, unless somebody asks for the other mode; an expression never."""
    exact = with_slopes(get_path("edm").function, T, Mode.REVERSE)[1]
    assert torch.equal(get_path("edm").at(T).dsigma, exact[1])
    assert not torch.equal(forward_path("edm").at(T).dsigma, exact[1])
    hidden = get_path("expr:where(t<0.5,2*t**2,(2*t-1)**0.5),1-t")
    assert hidden.at(T[T < 0.5]).dalpha.isfinite().all()
    assert with_slopes(hidden.function, T[T < 0.5], Mode.REVERSE)[1][0].isnan().any()


def test_within_inference_mode() -> None:
    with torch.inference_mode():
        found = get_path("cosine").at(T.clone()).dalpha
    close(found, get_path("cosine").at(T).dalpha)


IMPORTED = "print(sorted({'torch._dynamo', 'torch._inductor'} & {*sys.modules}))"
STAGES = f"""
import sys
from reproflow import judge
judge.weighting("elbo", path="vp", time="mode")
judge.path("edm")
judge.time("mode")
{IMPORTED}
from reproflow.foundation import config, grid
from reproflow.learning import preflight
preflight.admit_config(config.load("configs/ci.yaml"))
{IMPORTED}
import torch
from reproflow.theory.paths import forward_path
forward_path("vp").at(torch.tensor(0.5))
{IMPORTED}
"""


def test_registered_functions_do_not_import_the_compiler() -> None:
    """Five seconds that neither a judgement nor a plan may take; forward mode, last, is the control."""
    run = subprocess.run([sys.executable, "-c", STAGES], capture_output=True, text=True, check=True, cwd=ROOT)
    judged, planned, control = run.stdout.splitlines()[-3:]
    assert judged == planned == "[]"
    assert control != "[]"
