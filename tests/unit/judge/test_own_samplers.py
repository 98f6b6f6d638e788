"""Functions that draw times, as users write them: sound ones are judged as far as draws tell, broken ones refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import schema

from reproflow import judge
from reproflow.foundation.errors import UsageError, UserFunctionError

SCHEMA = schema("check-time")
FILE = """
import random
import numpy as np
import torch

OWN, CHANCE, CALLS = np.random.default_rng(0), float(np.random.default_rng().random()), [0]
def u(n, generator, dtype=torch.float64): return torch.rand(n, generator=generator, dtype=dtype)

def plain(n, generator): return u(n, generator)
def single(n, generator): return u(n, generator, torch.float32)
def listed(n, generator): return u(n, generator).tolist()
def column(n, generator): return u(n, generator)[:, None]
def stratified(n, generator): return (torch.arange(n) + u(n, generator)) / n
def low_discrepancy(n, generator): return (u(1, generator) + torch.arange(n) / n) % 1
def antithetic(n, generator): return torch.cat([u(n // 2, generator), 1 - u(n - n // 2, generator)])
def in_order(g, n): return u(n, g).sort().values
def numpys(rng, n, power=1.0): return rng.random(n) ** power
def nearly_all(n, generator): return 0.9995 * u(n, generator)

def never_ends(n, generator): return 0.8 * u(n, generator)
def gap(n, generator): return torch.where((t := 0.95 * u(n, generator)) > 0.4, t + 0.05, t)
def few_near_noise(n, rng): return rng.beta(4, 1, n)
def fine_steps(n, generator): return (torch.randint(0, 100_000, (n,), generator=generator) + 0.5) / 100_000
def half(n, generator): return u(n, generator).half()

def constant(n, generator): return torch.full((n,), 0.5)
def two(n, generator): return 0.25 + 0.5 * (u(n, generator) > 0.5)
def levels(n, generator): return (torch.randint(0, 1000, (n,), generator=generator) + 0.5) / 1000
def bfloat(n, generator): return u(n, generator).bfloat16()

def below(n, generator): return u(n, generator) - 1e-3
def integers(n, generator): return torch.randint(0, 1000, (n,), generator=generator)
def infinite(n, generator): return 1 / (u(n, generator) > 0.1)

def clamped(n, generator): return (1.1 * u(n, generator)).clamp(max=1)
def atom_inside(n, generator): return torch.where((t := u(n, generator)) < 0.1, 0.1, t)

def nan(n, generator): return torch.where((t := u(n, generator)) < 0.5, torch.nan, t)
def complex_(n, generator): return u(n, generator) + 0j
def nothing(n, generator): return None
def number(n, generator): return 0.3
def two_columns(n, generator): return u(2 * n, generator).view(n, 2)
def raises(n, generator): raise ValueError("no such law")
def grid(n, generator): return torch.linspace(0.001, 0.999, n)
def own_seed(n, generator): return u(n, torch.Generator().manual_seed(0))
def own_generator(n, generator): return OWN.random(n)
def pythons(n, generator): return [random.random() for _ in range(n)]
def by_chance(n, generator): return u(n, generator) ** (1 + CHANCE)
def largest(n, generator): return (t := u(n, generator)) / t.max()
def one_for_all(n, generator): return u(1, generator).expand(n)
def common_scale(n, generator): return u(n, generator) * u(1, generator)
def by_number(n, generator): return u(n, generator) ** (1 if n < 1000 else 2)
def later(n, generator):
    CALLS[0] += 1
    return u(n, generator) ** (1 if CALLS[0] < 3 else 2)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)


def judged(name: str) -> judge.TimeJudgement:
    found = judge.time(f"sampler:own.py:{name}")
    SCHEMA.validate(found.as_dict())
    return found


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "single",
        "listed",
        "column",
        "stratified",
        "low_discrepancy",
        "antithetic",
        "in_order",
        "numpys",
        "numpys:power=2",
        "nearly_all",
    ],
)
@pytest.mark.default_cases(3)
def test_sound_ones(name: str) -> None:
    """However they are drawn; that the last 1/2000 is never drawn lies below the resolution, which is stated."""
    found = judged(name)
    assert (found.valid["verdict"], found.dominates_lebesgue["verdict"], found.exit_code) == ("supported",) * 2 + (0,)
    assert found.dominates_lebesgue["resolution"] == 1e-3
    assert found.atoms == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("never_ends", r"no draw in \(0.8, 1\)"),
        ("gap", r"no draw in \(0.4, 0.45\)"),
        ("few_near_noise", r"no draw in \(0, "),
        ("fine_steps", "repeat each other: a fine grid"),
        ("half", "or times in few digits; draw in float64"),
    ],
)
def test_what_draws_cannot_tell(name: str, words: str) -> None:
    found = judged(name)
    assert (found.valid["verdict"], found.dominates_lebesgue["verdict"]) == ("supported", "inconclusive")
    assert found.exit_code == 5
    assert found.dominates_lebesgue["gaps"] == []
    assert re.search(words, found.dominates_lebesgue["reason"])


@pytest.mark.parametrize(("name", "atoms"), [("constant", 1), ("two", 2), ("levels", 1000), ("bfloat", None)])
@pytest.mark.default_cases(2)
def test_atoms_alone(name: str, atoms: int | None) -> None:
    found = judged(name)
    assert (found.dominates_lebesgue["verdict"], found.exit_code) == ("refuted", 3)
    assert "atoms alone" in found.dominates_lebesgue["reason"]
    assert atoms is None or len(found.atoms) == atoms
    with pytest.raises(UsageError, match="belongs to a chain"):
        judge.weighting("uniform", time=f"sampler:own.py:{name}")


@pytest.mark.parametrize("name", ["below", "integers", "infinite"])
def test_times_outside(name: str) -> None:
    found = judged(name)
    assert (found.valid["verdict"], found.dominates_lebesgue["verdict"], found.exit_code) == ("refuted", None, 3)
    assert "outside [0, 1]" in found.valid["reason"]


@pytest.mark.parametrize(
    ("name", "place", "mass", "verdict"),
    [("clamped", 1.0, 1 / 11, "supported"), ("atom_inside", 0.1, 0.1, "inconclusive")],
)
def test_an_atom_beside_the_rest(name: str, place: float, mass: float, verdict: str) -> None:
    """It does no harm to `dominates_lebesgue`; an objective needs the quantile map, and says so."""
    found = judged(name)
    [atom] = found.atoms
    assert atom["t"] == place
    assert atom["mass"] == pytest.approx(mass, abs=0.004)
    assert found.dominates_lebesgue["verdict"] == verdict
    with pytest.raises(UsageError, match=r"t = .* with probability .* give the quantile map"):
        judge.weighting("uniform", time=f"sampler:own.py:{name}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nan", r"draws NaN \(\d+ of 64 times\)"),
        ("complex_", "no array of real numbers"),
        ("nothing", "no array of real numbers"),
        ("number", "no array of real numbers"),
        ("two_columns", r"gave the shape \(64, 2\)"),
        ("raises", "no such law"),
        ("grid", "the same times from every generator"),
        ("own_seed", "the same times from every generator"),
        ("own_generator", "other times from the same generator; draw from it alone"),
        ("pythons", "global random generator"),
        ("by_chance", "when its file is run anew"),
        ("later", "other times from the same generator"),
        ("largest", "draws another law 8 at a time"),
        ("by_number", "draws another law 8 at a time"),
        ("one_for_all", "draws another law from another generator"),
        ("common_scale", "draws another law from another generator"),
    ],
)
@pytest.mark.default_cases(4)
def test_what_is_no_law_of_its_generator_alone(name: str, words: str) -> None:
    with pytest.raises(UserFunctionError, match=words):
        judge.time(f"sampler:own.py:{name}")


@pytest.mark.parametrize(
    ("density", "apart"), [pytest.param("density:expr:t", False, marks=pytest.mark.slow), ("density:expr:1 - t", True)]
)
@pytest.mark.slow
def test_against_the_density_that_it_is_said_to_have(density: str, apart: bool) -> None:
    """Draws are never the same to 1e-8; their histogram lies within its error of the right density, and of no other."""
    drawn, stated = judged("numpys:power=0.5"), judge.time(density)
    pairs = zip(drawn.density_at["pi"], stated.density_at["pi"], strict=True)
    off = max(abs(one - other) / (other / 0.01 / 2**18) ** 0.5 for one, other in pairs)
    assert (off > 6) == apart
    asked = judge.Against("uniform", time=density)
    found = judge.weighting("uniform", time="sampler:own.py:numpys:power=0.5", against=asked)
    assert (found.against["verdict"], found.exit_code) == ("inconclusive", 5)
