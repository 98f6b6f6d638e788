"""What draws of a time law tell: cells that none met, times of their own, the law through quantiles, and means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reproflow import judge
from reproflow.judge.drawn_laws import CELLS, DRAWS, UNSEEN, Draws, draws
from reproflow.judge.laws import time_law
from reproflow.judge.objectives import drawn_verdicts
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.weightings import get_weighting

OWN = """
import torch

def flat(n, generator): return torch.rand(n, generator=generator, dtype=torch.float64)
def square(n, generator): return flat(n, generator) ** 2
def hole(n, generator): return 0.2 + 0.8 * flat(n, generator)
def logit_normal(n, generator): return torch.sigmoid(torch.randn(n, generator=generator, dtype=torch.float64))
def half(n, generator):
    t = flat(n, generator)
    return torch.where(flat(n, generator) < 0.5, torch.full_like(t, 0.4), t)
def few_outside(n, generator): return 1.001 * flat(n, generator)
"""
AT = np.arange(1, 10) / 10


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


class TestCells:
    def test_the_confidence_is_that_of_all_cells_at_once(self) -> None:
        """The chance that some cell of that probability, of at most a thousand, meets no draw is 5 %, by the union."""
        assert 0.049 < CELLS * (1 - UNSEEN) ** DRAWS < 0.05

    def test_one_draw_is_enough(self) -> None:
        middle = (np.arange(CELLS) + 0.5) / CELLS
        assert Draws(middle).undrawn == []
        assert Draws(np.delete(middle, np.arange(100, 110))).undrawn == [(0.1, 0.11)]
        assert Draws(middle[5:-1]).undrawn == [(0.0, 0.005), (0.999, 1.0)]

    def test_the_length_that_no_draw_met(self) -> None:
        found = judge.time("sampler:own.py:hole").dominates_lebesgue
        assert (found["resolution"], found["below_resolution"]) == (1 / CELLS, pytest.approx(0.2))

    def test_few_draws_outside_are_too_many(self) -> None:
        assert judge.time("sampler:own.py:few_outside").valid["verdict"] == "refuted"


class TestAtoms:
    def test_a_law_with_an_atom_is_not_one_of_atoms_alone(self) -> None:
        """Half of the draws at 0.4: the others reach every time, and have the density 1/2."""
        found = judge.time("sampler:own.py:half")
        assert found.dominates_lebesgue["verdict"] == "supported"
        [atom] = found.atoms
        assert (atom["t"], atom["mass"]) == (0.4, pytest.approx(0.5, abs=0.01))
        pi = list(found.density_at["pi"])
        assert pi.pop(3) == "inf"
        assert pi == pytest.approx([0.5] * 8, abs=0.1)


class TestTheLawThroughQuantiles:
    @pytest.mark.parametrize(("name", "law"), [("logit_normal", "logit_normal"), ("square", "u_squared")])
    def test_against_the_law_that_was_drawn(self, name: str, law: str) -> None:
        found, exact = time_law(f"sampler:own.py:{name}"), time_law(law)
        t, u = (torch.from_numpy(AT) for _ in range(2))
        assert found.cdf(t).numpy() == pytest.approx(exact.cdf(t).numpy(), abs=0.005)
        assert found.quantile(u).numpy() == pytest.approx(exact.quantile(u).numpy(), abs=0.005)
        inner = (exact.cdf(t) > 1 / 64) & (
            exact.cdf(t) < 63 / 64
        )  # beyond the first and last knot it is no better known
        assert int(inner.sum()) >= 7
        assert found.density(t[inner]).numpy() == pytest.approx(exact.density(t[inner]).numpy(), rel=0.15)

    def test_of_the_other_direction_of_time(self) -> None:
        """u² with the data at 0: 1 - u² with the data at 1."""
        assert draws("sampler:own.py:hole", turned=True).undrawn == [(0.8, 1.0)]
        found = time_law("sampler:own.py:square", turned=True).cdf(torch.from_numpy(AT))
        assert found.numpy() == pytest.approx(1 - np.sqrt(1 - AT), abs=0.005)


def drawn(weighting: str, name: str) -> tuple[NumericObjective, Draws]:
    parts = get_path("linear"), time_law(f"sampler:own.py:{name}"), get_weighting(weighting)
    subject = NumericObjective(Objective(*parts))
    found = drawn_verdicts.draws_of(subject)
    assert found is not None
    return subject, found


class TestMeans:
    def test_their_errors_are_the_errors(self) -> None:
        """On the linear path the rate |lam'|/(2 c_eps) of weight 1 on the velocity is t/(1 - t); draws are uniform."""
        edges, mean, error = drawn_verdicts.means(*drawn("uniform", "flat"))
        low, high = edges[:-1], edges[1:]
        exact = (high - low) / (np.log1p(-low) - np.log1p(-high) - (high - low))
        off = (mean / exact - 1) / error
        assert len(off) == 48
        assert 0.6 < np.sqrt((off**2).mean()) < 1.5
        assert np.abs(off).max() < 5

    @pytest.mark.parametrize(
        ("name", "verdict"), [("flat", "supported"), ("hole", "inconclusive"), ("logit_normal", "inconclusive")]
    )
    @pytest.mark.default_cases(1)
    def test_what_no_draw_met_may_not_be_trained(self, name: str, verdict: str) -> None:
        found = judge.weighting("uniform", time=f"sampler:own.py:{name}")
        assert found.identified["verdict"] == verdict
        assert found.admissible["verdict"] == "inconclusive"

    def test_a_weight_that_is_zero_where_draws_are(self) -> None:
        found = judge.weighting("expr:where(t < 0.01, 0, 1)", time="sampler:own.py:flat")
        assert (found.admissible["verdict"], found.identified["verdict"]) == ("refuted", "refuted")
        assert found.exit_code == 3
