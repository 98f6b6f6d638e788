"""Time laws by a density or by draws: against closed forms, and where they must stay open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from repository import schema
from scipy import stats

from reproflow import cli, judge
from reproflow.foundation import child_process
from reproflow.foundation.errors import UsageError
from reproflow.judge.laws import time_law

SCHEMA = schema("check-time")
U = np.linspace(0.001, 0.999, 333)

OWN = """
import math
import torch

def bump(t, k=2.0):
    return 7 * t**k * (1 - t)

def negative(t):
    return t - 0.2

def logit_normal(n, generator):
    return torch.sigmoid(torch.randn(n, generator=generator, dtype=torch.float64))

def flat(generator, n):
    return torch.rand(n, generator=generator)

def by_numpy(n, rng):
    return rng.beta(2.0, 1.0, n)

def square(n, generator):
    return torch.rand(n, generator=generator, dtype=torch.float64) ** 2

def hole(n, generator):
    return 0.2 + 0.8 * torch.rand(n, generator=generator, dtype=torch.float64)

def steps(n, generator):
    return torch.randint(0, 1000, (n,), generator=generator) / 1000

def outside(n, generator):
    return 1.01 * torch.rand(n, generator=generator)

def unseeded(n, generator):
    return torch.rand(n)

def short(n, generator):
    return torch.rand(n - 1, generator=generator)

calls = []

def counts(n, generator):
    calls.append(n)
    return torch.rand(n, generator=generator) / (1 + len(calls))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


class TestDensity:
    @pytest.mark.parametrize(
        ("text", "law"),
        [
            ("expr:t**2*(1 - t)", stats.beta(3, 2)),
            ("own.py:bump", stats.beta(3, 2)),
            ("own.py:bump:k=4", stats.beta(5, 2)),
            ("expr:t**-0.5", stats.beta(0.5, 1)),
            ("expr:(1 - t)**-0.5", stats.beta(1, 0.5)),
            ("expr:1e-9*exp(-0.5*(log(t/(1-t)))**2)/(t*(1-t))", None),
            ("expr:3", stats.uniform()),
        ],
    )
    @pytest.mark.default_cases(2)
    def test_closed_forms(self, text: str, law: stats.rv_continuous) -> None:
        """Quantile map, density and P(T <= t) are those of scipy, or of the registered law."""
        found = time_law(f"density:{text}")
        u = torch.from_numpy(U)
        expected = time_law("logit_normal").quantile(u).numpy() if law is None else law.ppf(U)
        assert found.quantile(u).numpy() == pytest.approx(expected, abs=2e-9)
        t = torch.from_numpy(expected)
        density = time_law("logit_normal").density(t).numpy() if law is None else law.pdf(expected)
        assert found.density(t).numpy() == pytest.approx(density, rel=1e-8)
        assert np.abs(found.cdf(t).numpy() - U).max() <= max(2 * found.entry.meta["accuracy"], 1e-12)
        assert found.entry.meta["accuracy"] < 1e-8

    def test_a_step_of_the_density_and_its_gap(self) -> None:
        found = judge.time("density:expr:where(t > 0.3, 2, 0)")
        assert found.dominates_lebesgue["gap"] == pytest.approx([0, 0.3], abs=1e-8)
        assert found.density_at["pi"][4] == pytest.approx(1 / 0.7, rel=1e-9)
        assert found.exit_code == 3

    def test_what_is_said_of_it(self) -> None:
        found = judge.time("density:own.py:bump")
        SCHEMA.validate(found.as_dict())
        assert (found.exit_code, found.source["form"]) == (0, "density")
        assert found.source["mass"] == pytest.approx(7 / 12, rel=1e-9)
        assert found.source["accuracy"] < 1e-8
        assert found.density_at["pi"] == pytest.approx(stats.beta(3, 2).pdf(np.arange(1, 10) / 10), rel=1e-8)

    @pytest.mark.parametrize(
        ("text", "words"),
        [("expr:1/t", "infinite"), ("own.py:negative", "negative at t = "), ("expr:0", "zero everywhere")],
    )
    def test_what_is_no_density(self, text: str, words: str) -> None:
        found = judge.time(f"density:{text}")
        SCHEMA.validate(found.as_dict())
        assert (found.valid["verdict"], found.exit_code) == ("refuted", 3)
        assert words in found.valid["reason"]
        with pytest.raises(UsageError, match=words):
            judge.weighting("uniform", time=f"density:{text}")

    def test_the_objective_is_that_of_the_registered_law(self) -> None:
        asked = judge.Against("uniform", time="u_squared")
        found = judge.weighting("uniform", time="density:expr:5/sqrt(t)", against=asked)
        assert (found.against["verdict"], found.exit_code) == ("same", 0)
        assert ("linear", "u_squared", "uniform") in [
            tuple(map(each.get, ("path", "time", "weighting"))) for each in found.equivalent
        ]

    def test_in_the_users_own_time(self) -> None:
        law = time_law("density:expr:t**-0.5", turned=True)
        t = torch.tensor([0.2, 0.9], dtype=torch.float64)
        assert law.cdf(t).numpy() == pytest.approx(stats.beta(1, 0.5).cdf([0.2, 0.9]), rel=1e-9)


class TestDraws:
    @pytest.mark.parametrize(
        ("name", "verdict", "code"),
        [
            ("flat", "supported", 0),
            ("by_numpy", "inconclusive", 5),
            ("square", "supported", 0),
            ("hole", "inconclusive", 5),
            ("logit_normal", "inconclusive", 5),
            ("steps", "refuted", 3),
        ],
    )
    @pytest.mark.default_cases(2)
    def test_what_draws_can_tell(self, name: str, verdict: str, code: int) -> None:
        found = judge.time(f"sampler:own.py:{name}")
        SCHEMA.validate(found.as_dict())
        assert (found.valid["verdict"], found.dominates_lebesgue["verdict"]) == ("supported", verdict)
        assert found.exit_code == code
        assert found.source["draws"] == 2**18

    def test_a_hole_is_named_and_not_believed(self) -> None:
        said = judge.time("sampler:own.py:hole").dominates_lebesgue
        assert said["undrawn"] == [[0.0, 0.2]]
        assert said["gaps"] == []

    def test_steps_are_atoms(self) -> None:
        found = judge.time("sampler:own.py:steps")
        assert len(found.atoms) == 1000
        assert sum(each["mass"] for each in found.atoms) == pytest.approx(1)

    def test_the_density_is_that_of_the_law_within_its_error(self) -> None:
        found = judge.time("sampler:own.py:logit_normal")
        t = np.arange(1, 10) / 10
        density = time_law("logit_normal").density(torch.from_numpy(t)).numpy()
        error = np.sqrt(density / 0.01 / 2**18)
        assert (np.abs(np.array(found.density_at["pi"]) - density) < 5 * error + 0.002).all()

    def test_outside(self) -> None:
        found = judge.time("sampler:own.py:outside")
        assert (found.valid["verdict"], found.exit_code) == ("refuted", 3)
        with pytest.raises(UsageError, match=r"outside \[0, 1\]"):
            judge.weighting("uniform", time="sampler:own.py:outside")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("unseeded", "global random generator"),
            ("short", "was asked for 64 times, it gave 63"),
            ("counts", "other times from the same generator"),
            ("bump", "cannot be called as bump"),
            ("missing", "has no function 'missing'"),
        ],
    )
    def test_what_is_no_sampler(self, name: str, words: str) -> None:
        with pytest.raises(UsageError, match=words):
            judge.time(f"sampler:own.py:{name}")


class TestObjectivesOfDraws:
    @pytest.mark.slow
    def test_a_rise_beyond_the_error_of_the_draws_is_one(self) -> None:
        """Logit-normal time: w = pi (1 - t)/t on the linear path rises by half from t = 0.05 to 0.2."""
        t = torch.tensor([0.05, 0.2], dtype=torch.float64)
        w = time_law("logit_normal").density(t) * (1 - t) / t
        assert w[1] > 1.5 * w[0]
        found = judge.weighting("uniform", time="sampler:own.py:logit_normal")
        assert found.bound["verdict"] == "not_representable"
        assert "six standard errors" in found.bound["reason"]
        schema("check-weighting").validate(found.as_dict())

    def test_no_rise_is_open(self) -> None:
        found = judge.weighting("uniform", time="sampler:own.py:square")
        assert judge.weighting("uniform", time="u_squared").exit_code == 0
        verdicts = (found.admissible["verdict"], found.identified["verdict"], found.bound["verdict"])
        assert verdicts == ("inconclusive", "supported", "inconclusive")
        assert found.exit_code == 5
        assert found.admissible["mass"] == pytest.approx(1)

    def test_a_negative_weight_is_refuted_all_the_same(self) -> None:
        found = judge.weighting("expr:t - 0.5", time="sampler:own.py:flat")
        assert (found.admissible["verdict"], found.bound["verdict"]) == ("refuted", "not_representable")

    def test_comparisons_stay_open_and_steps_belong_to_a_chain(self) -> None:
        asked = judge.Against("uniform", time="uniform")
        assert judge.weighting("uniform", time="sampler:own.py:flat", against=asked).exit_code == 5
        with pytest.raises(UsageError, match="--levels N"):
            judge.weighting("uniform", time="sampler:own.py:steps")


def test_the_command_line(capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(child_process.PIPE, "-1")
    assert cli.run(["check", "time", "density:own.py:bump", "--json", "-", "--html", "page.html"]) == 0
    SCHEMA.validate(json.loads(capfd.readouterr().out))
    assert "<svg" in Path("page.html").read_text()
    assert cli.run(["check", "time", "sampler:own.py:steps", "--html", "page.html"]) == 3
    assert "atoms alone" in " ".join(capfd.readouterr().out.split())
    assert cli.run(["check", "time", "density:uniform"]) == 2
    assert cli.run(["check", "time", "sampler:expr:u"]) == 2
