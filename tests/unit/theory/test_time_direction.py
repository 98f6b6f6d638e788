"""Functions with the data at t = 0 against the same ones written in this package's time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as File

import pytest
import torch

from reproflow import judge
from reproflow.foundation.errors import UsageError
from reproflow.theory import time_direction
from reproflow.theory.objective import Objective, get_objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law

T = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)

OWN = """
import torch
from reproflow import time_law

def path(t, p=1.0):
    return 1 - t**p, t**p

def weight(t, lam, k=2.0):
    return (1 - t)**k

def of_lam(t, lam):
    return t * torch.exp(-lam)

def law(u):
    return u**2

@time_law("mine", cite="test", density=lambda t: 0.5 / t.sqrt(), cdf=lambda t: t.sqrt())
def closed(u):
    return u**2
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


def turned(path: str, time: str, weighting: str, process: str = "gaussian", on: str = "") -> Objective:
    return time_direction.turned(get_objective(path, time, weighting, process, on))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (("own.py:path", "uniform", "uniform"), ("linear", "uniform", "uniform")),
        (("own.py:path", "uniform", "own.py:weight"), ("linear", "uniform", "t_squared")),
        (("linear", "uniform", "own.py:of_lam"), ("linear", "uniform", "expr:(1 - t)*exp(-lam)")),
        (("own.py:path:p=2", "uniform", "uniform"), ("expr:1 - (1-t)**2, (1-t)**2", "uniform", "uniform")),
        (("linear", "own.py:law", "uniform"), ("linear", "one_minus_u_squared", "uniform")),
        (("linear", "own.py:closed", "uniform"), ("linear", "one_minus_u_squared", "uniform")),
        (("linear", "expr:u**3", "uniform"), ("linear", "expr:1 - (1-u)**3", "uniform")),
        (("expr:cos(pi*t/2), sin(pi*t/2)", "uniform", "uniform"), ("cosine", "uniform", "uniform")),
        (("linear", "uniform", "expr:t"), ("linear", "uniform", "expr:1 - t")),
        (("linear", "uniform", "expr:-dlam*exp(-lam)"), ("linear", "uniform", "expr:dlam*exp(-lam)")),
        (("linear", "uniform", "expr:alpha + 2*sigma + snr"), ("linear", "uniform", "expr:alpha + 2*sigma + snr")),
        (("linear", "u_squared", "t_squared"), ("linear", "u_squared", "t_squared")),
    ],
)
def test_the_weight_is_that_of_the_objective_in_our_time(theirs: tuple[str, ...], ours: tuple[str, ...]) -> None:
    expected = get_objective(*ours).weight(T)
    torch.testing.assert_close(turned(*theirs).weight(T), expected, rtol=1e-9, atol=0)


def test_a_masked_schedule() -> None:
    """The expression of a masked path is alpha alone."""
    objective = turned("expr:1 - t**2", "uniform", "simple", "masked")
    alpha = get_path("polynomial:n=2", "masked")(T)[0]
    torch.testing.assert_close(objective.path(T)[0], alpha, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["own.py:law", "own.py:closed", "expr:u**2"])
def test_a_law_is_that_of_the_other_end(name: str) -> None:
    """P(1 - T <= t) = 1 - P(T <= 1 - t), and the density is the mirrored one."""
    law, plain = time_direction.turned_law(get_time_law(name)), get_time_law(name)
    torch.testing.assert_close(law.cdf(T), 1 - plain.cdf(1 - T), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(law.density(T), plain.density(1 - T), rtol=1e-8, atol=0)
    torch.testing.assert_close(law.quantile(T), 1 - plain.quantile(1 - T), rtol=1e-12, atol=0)
    assert bool((law.quantile(T).diff() > 0).all())


@pytest.mark.parametrize(
    ("spec", "reverse"), [("own.py:path", True), ("expr:t, 1 - t", False), ("expr:sin(9*t) + 2, 1 - t/2", False)]
)
def test_what_is_plainly_reversed(spec: str, reverse: bool) -> None:
    assert time_direction.is_reversed(get_path(spec)) is reverse


def test_warnings_and_nothing_but_warnings() -> None:
    """The verdicts with a path that runs the other way are as ever; turned, they are those of the linear path."""
    plain = judge.weighting("uniform", path="own.py:path")
    [warning] = plain.warnings
    assert "--time-runs data-to-noise" in warning
    assert (plain.bound["verdict"], plain.exit_code) == ("not_representable", 3)
    good = judge.weighting("uniform", path="own.py:path", time_runs="data-to-noise")
    assert (good.warnings, good.exit_code, good.time_runs) == ([], 0, "data-to-noise")
    assert good.canonical["w"] == pytest.approx(judge.weighting("uniform").canonical["w"], rel=1e-9)
    [already] = judge.weighting("elbo", path="expr:t, 1 - t", time_runs="data-to-noise").warnings
    assert "leave the option out" in already
    assert judge.path("linear").warnings == judge.path("linear", time_runs="data-to-noise").warnings == []


def test_a_range_is_in_the_users_time() -> None:
    found = judge.weighting("own.py:weight", time_runs="data-to-noise", t_range=(0.1, 0.4))
    assert found.range == pytest.approx((0.6, 0.9))


@pytest.mark.parametrize("asked", [judge.path, judge.time])
def test_the_verbs_of_one_component(asked: Callable[..., object]) -> None:
    spec = "own.py:path" if asked is judge.path else "own.py:law"
    found = asked(spec, time_runs="data-to-noise")
    assert found.exit_code == 0  # type: ignore[attr-defined]


def test_a_direction_that_is_none() -> None:
    with pytest.raises(UsageError, match="did you mean 'data-to-noise'"):
        judge.path("linear", time_runs="data_to_noise")
