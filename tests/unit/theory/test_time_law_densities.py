"""A stated density or cdf is held to the quantile map: right ones with jumps, poles, atoms and gaps; wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from reproflow import judge
from reproflow.foundation import config, registry
from reproflow.foundation.errors import UsageError
from reproflow.learning import preflight
from reproflow.theory import pointwise, time_law_densities
from reproflow.theory.times import get_time_law

FILE = """
import math
import torch
from reproflow.theory.times import time_law

def law(name, quantile, density=None, cdf=None):
    stated = {key: value for key, value in (("density", density), ("cdf", cdf)) if value}
    return time_law(name, cite="-", **stated)(quantile)

def ones(t): return torch.ones_like(t)
def within(t, low, high): return (t > low) & (t < high)

root_pole = law("root_pole", lambda u: u**2, lambda t: 0.5 * t.rsqrt(), lambda t: t.sqrt())
float32 = law("float32", lambda u: u.float() ** 2, lambda t: 0.5 * t.rsqrt(), lambda t: t.sqrt())
gap = law("gap", lambda u: torch.where(u < 0.5, 0.6 * u, 0.4 + 0.6 * u),
    lambda t: torch.where(within(t, 0.3, 0.7), 0.0, 1 / 0.6))
atom_at_its_end = law("atom_at_its_end", lambda u: u.clamp(min=0.2),
    lambda t: (t > 0.2).to(t),
    lambda t: torch.where(t >= 0.2, t, 0.0))
jump = law("jump", lambda u: torch.where(u < 0.5, 0.6 * u, 0.3 + 1.4 * (u - 0.5)),
    lambda t: torch.where(t < 0.3, 1 / 0.6, 1 / 1.4))
pole_inside = law("pole_inside", lambda u: 0.5 + 0.5 * (2 * u - 1) ** 3, lambda t: (2 * t - 1).abs() ** (-2 / 3) / 3)
strong_pole = law("strong_pole", lambda u: u**20, lambda t: t**-0.95 / 20)
pole_at_1 = law("pole_at_1", lambda u: 1 - (1 - u) ** 20, lambda t: (1 - t) ** -0.95 / 20)
flat_end = law("flat_end", lambda u: 1 / (1 - u.log()), lambda t: torch.exp(1 - 1 / t) / t**2)
atom = law("atom", lambda u: torch.where(u < 0.35, u / 0.7, torch.where(u < 0.65, 0.5, (u - 0.3) / 0.7)),
    lambda t: 0.7 * ones(t))
STEPS = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ENDS = torch.cat([torch.zeros(1, dtype=torch.float64), STEPS.cumsum(0) / STEPS.sum()])
def looked_up(u):
    i = (u * 1000).long().clamp(0, 999)
    return ENDS[i] + (u * 1000 - i) * (ENDS[i + 1] - ENDS[i])
def of_table(t):
    i = torch.searchsorted(ENDS, t, right=True).clamp(1, 1000)
    return 1e-3 / (ENDS[i] - ENDS[i - 1])
table = law("table", looked_up, of_table)
# Eight atoms of 5e-5 within one cell, and the rest of the mass spread evenly.
PLACES = 0.29985 + 4e-5 * torch.arange(8, dtype=torch.float64)
STARTS = (1 - 4e-4) * PLACES + 5e-5 * torch.arange(8, dtype=torch.float64)
def with_atoms(u):
    i = torch.searchsorted(STARTS, u, right=True)
    last = (i - 1).clamp(min=0)
    spread = (u - 5e-5 * i) / (1 - 4e-4)
    return torch.where((i > 0) & (u < STARTS[last] + 5e-5), PLACES[last], spread)
atoms_in_a_cell = law("atoms_in_a_cell", with_atoms, lambda t: (1 - 4e-4) * ones(t))

twice = law("twice", lambda u: u**2, lambda t: t.rsqrt())
another = law("another", lambda u: u**2, ones)
nearly = law("nearly", lambda u: u.clone(), lambda t: 1.001 * ones(t))
window = law("window", lambda u: u.clone(), lambda t: torch.where(within(t, 0.3, 0.301), 2.0, 1.0))
narrow = law("narrow", lambda u: u.clone(), lambda t: torch.where(within(t, 0.3, 0.30005), 0.0, 1.0))
swapped = law("swapped", lambda u: u.clone(),
    lambda t: torch.where(within(t, 0.3, 0.301), 2.0,
    torch.where(within(t, 0.301, 0.302), 0.0, 1.0)))
near_0 = law("near_0", lambda u: u.clone(), lambda t: torch.where(t < 1e-5, 1000.0, 1.0))
near_1 = law("near_1", lambda u: u.clone(), lambda t: torch.where(t > 1 - 1e-4, 0.0, 1.0))
renormalised = law("renormalised", lambda u: u.clamp(min=0.2), lambda t: torch.where(t > 0.2, 1.25, 0.0))
over_a_gap = law("over_a_gap", lambda u: torch.where(u < 0.5, 0.6 * u, 0.4 + 0.6 * u), ones)
of_a_grid = law("of_a_grid", lambda u: (u * 1000).floor() / 1000 + 5e-4, ones)
no_jacobian = law("no_jacobian", lambda u: torch.sigmoid(torch.special.ndtri(u)),
    lambda t: torch.exp(-0.5 * torch.logit(t) ** 2) / math.sqrt(2 * math.pi))
reversed_time = law("reversed_time", lambda u: u**2, lambda t: 0.5 * (1 - t).rsqrt())
negative = law("negative", lambda u: u.clone(), lambda t: torch.where(t < 0.5, -1.0, 3.0))
wrong_cdf = law("wrong_cdf", lambda u: u.clone(), None, lambda t: t**1.001)
cdf_in_a_window = law("cdf_in_a_window", lambda u: u.clone(), None,
    lambda t: torch.where(within(t, 0.5, 0.501), 0.5, t))
cdf_above = law("cdf_above", lambda u: u.clone(), None, lambda t: t**0.999)
late_by_float32 = law("late_by_float32", lambda u: u.float(), lambda t: torch.where(t > 0.5, 1.0005, 1.0))
nearly_by_float32 = law("nearly_by_float32", lambda u: u.float(), lambda t: 1.001 * ones(t))
crowd = law("crowd", lambda u: u.clone(), lambda t: t / t.max())
cdf_of_a_crowd = law("cdf_of_a_crowd", lambda u: u.clone(), None, lambda t: t / t.max())
raises = law("raises", lambda u: u.clone(), lambda t: t.no_such_thing)
shape = law("shape", lambda u: u.clone(), lambda t: 1.0)
"""
RIGHT = [
    "root_pole",
    "float32",
    "gap",
    "atom_at_its_end",
    "jump",
    "pole_inside",
    "strong_pole",
    "pole_at_1",
    "flat_end",
    "atom",
    "table",
    "atoms_in_a_cell",
]
WRONG = [
    "twice",
    "another",
    "nearly",
    "window",
    "narrow",
    "swapped",
    "near_0",
    "near_1",
    "renormalised",
    "over_a_gap",
    "of_a_grid",
    "no_jacobian",
    "reversed_time",
    "negative",
    "wrong_cdf",
    "cdf_in_a_window",
    "cdf_above",
    "nearly_by_float32",
    "late_by_float32",
]


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "laws.py").write_text(FILE)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.default_cases(3)
def test_right_ones(name: str) -> None:
    assert time_law_densities.contradiction(get_time_law(f"laws.py:{name}", fine=True)) == ""


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.default_cases(5)
def test_wrong_ones(name: str) -> None:
    found = time_law_densities.contradiction(get_time_law(f"laws.py:{name}", fine=True))
    assert found.startswith("the stated cdf" if "cdf" in name else "the stated density")


def test_a_negative_density_is_called_so() -> None:
    """Whatever its integrals are: here they are wrong as well, and that is not what is said."""
    found = time_law_densities.contradiction(get_time_law("laws.py:negative", fine=True))
    assert found.startswith("the stated density is -1 at t = ")


@pytest.mark.parametrize("name", [entry.name for entry in registry.entries("time", "gaussian")])
def test_the_package_states_those_of_its_own_maps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointwise, "vetted", lambda law: False)
    assert time_law_densities.contradiction(get_time_law(name, fine=True)) == ""


def test_check_refutes_and_every_verdict_says_why() -> None:
    found = judge.time("laws.py:window")
    assert (found.valid["verdict"], found.dominates_lebesgue["verdict"], found.exit_code) == ("refuted", None, 3)
    assert "the stated density has the mass" in found.valid["reason"]
    assert "the quantile map has" in judge.weighting("elbo", time="laws.py:another").admissible["reason"]
    assert [atom["t"] for atom in judge.time("laws.py:atom").atoms] == [0.5]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("crowd", "function of each u alone"),
        ("cdf_of_a_crowd", "function of each u alone"),
        ("raises", "its density raised"),
        ("shape", "t's shape"),
    ],
)
def test_a_density_that_cannot_be_asked(name: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        judge.time(f"laws.py:{name}")


@pytest.mark.parametrize(("name", "refused"), [("root_pole", False), ("twice", True), ("wrong_cdf", True)])
@pytest.mark.default_cases(1)
def test_what_training_accepts(tiny_config: dict, name: str, refused: bool) -> None:
    experiment = tiny_config["experiments"][0]
    experiment |= {"weightings": ["elbo"], "times": [{"name": "mine", "spec": f"laws.py:{name}"}]}
    if not refused:
        preflight.admit_config(config.check(tiny_config))
        return
    with pytest.raises(UsageError, match=r"time law 'mine': the stated (density|cdf)"):
        preflight.admit_config(config.check(tiny_config))
