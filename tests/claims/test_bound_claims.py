"""The claims on bounds: what each control breaks, closed forms beside the computed ones, and new nouns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate, optimize

from reproflow.claims.bounds import masked_matching, property, scope, simple, table
from reproflow.claims.policy import Context
from reproflow.exact import witness
from reproflow.exact.ripple import Ripple
from reproflow.foundation import registry
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting, weighting

CONTEXT = Context()


# ST-8


@pytest.mark.parametrize("name", list(table.ROWS))
def test_the_ends_of_the_rises_are_the_maxima_of_the_formulas(name: str) -> None:
    row = table.ROWS[name]
    lam = torch.linspace(-15, 15, 300_001, dtype=torch.float64)
    w = row.form(lam)
    if row.end is None:
        assert (w.diff() <= 1e-15 * w[1:]).all()
    else:
        assert row.end() == pytest.approx(float(lam[w.argmax()]), abs=2e-4)


def test_the_peak_of_edm_is_a_root_of_its_derivative() -> None:
    root = optimize.brentq(lambda lam: -(lam - 2.4) / 2.4**2 - 1 / (1 + 0.25 * math.exp(lam)), -10, 2)
    assert table._edm_peak() == pytest.approx(root, abs=1e-7)
    assert root == pytest.approx(-3.30778, abs=5e-6)


def test_a_wrong_derivative_of_lam_is_seen_in_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    row = table.ROWS["iddpm"]
    assert table.form_gap(row) < 1e-12
    weight = Objective.weight
    monkeypatch.setattr(Objective, "weight", lambda self, t: weight(self, t) * (1 + 1e-9 * t))
    assert table.form_gap(row) > 1e-10


# ST-9


def test_a_law_that_does_not_cancel_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    coefficient, uniform = Objective.coefficient, get_time_law("uniform")
    monkeypatch.setattr(Objective, "coefficient", lambda self, t: coefficient(replace(self, time=uniform), t))
    assert masked_matching.masked_matching("sigmoid", "statement", CONTEXT).statistic > 0.1


@pytest.mark.parametrize("name", list(masked_matching.ORIGINS))
def test_every_match_is_held_to_a_gaussian_loss_and_not_to_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    coefficient = Objective.coefficient

    def bent(self: Objective, t: torch.Tensor) -> torch.Tensor:
        return coefficient(self, t) * (1 + 1e-6 * t if self.process == "masked" else 1)

    monkeypatch.setattr(Objective, "coefficient", bent)
    assert masked_matching.masked_matching(name, "statement", CONTEXT).statistic > 1e-8


def test_edm_made_monotone_is_constant_towards_the_noise_and_edm_elsewhere() -> None:
    odds = torch.logspace(-3, 8, 200, dtype=torch.float64)
    plain, monotone = masked_matching._edm(odds), masked_matching._edm_monotone(odds)
    assert (monotone.diff() >= -1e-15).all()
    peak = plain.argmax()
    torch.testing.assert_close(monotone[:peak], plain[:peak])
    assert float(monotone[-1]) == pytest.approx(float(plain.max()), rel=1e-3)


# ST-10


def test_the_bad_schedule_in_closed_form() -> None:
    """w = m/m' = (s + 4 s^8)/(1 + 32 s^7), which falls where 128 s^14 - 160 s^7 + 1 < 0."""
    s = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    path = simple.schedule(simple.BAD)
    w = Objective(path, get_time_law("uniform"), get_weighting("simple", "masked")).weight(1 - s)
    torch.testing.assert_close(w, (s + 4 * s**8) / (1 + 32 * s**7), rtol=1e-12, atol=0)
    assert [round(value, 4) for value in w.tolist()] == [0.1, 0.4125, 0.1608]
    root = ((160 - math.sqrt(160**2 - 4 * 128)) / 256) ** (1 / 7)
    hull = simple.analysed(simple.BAD, "statement").hull
    assert hull is not None
    assert 1 - hull.t[1] == pytest.approx(root, abs=1e-6)


def test_the_differences_of_the_log_in_closed_form() -> None:
    """On the linear schedule m = s."""
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    first, second = simple.log_derivatives(get_path("linear", "masked"), t)
    torch.testing.assert_close(first, 1 / (1 - t), rtol=1e-7, atol=0)
    torch.testing.assert_close(second, -1 / (1 - t) ** 2, rtol=1e-6, atol=0)


# ST-11


def test_the_dip_takes_shares_and_copied_tokens_miss_it() -> None:
    lam, w = property.curve(property.DIP)
    copied = [e for e in witness.examples(lam, w, "masked") if e.parameters["K"] == 1]
    assert not any(each.falsifies for each in copied)
    assert "falsified by shares" in property.bound_property(property.DIP, "statement", CONTEXT).detail


@pytest.mark.parametrize("case", ["masked iddpm", "gaussian min_snr"])
def test_a_weight_that_rises_without_a_witness_is_refuted(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert property.bound_property(case, "statement", CONTEXT).statistic <= 0
    monkeypatch.setattr(property.witness, "search", lambda lam, w, process: None)
    assert property.bound_property(case, "statement", CONTEXT).statistic == 1


def test_the_minorant_is_the_greatest_that_does_not_rise() -> None:
    w = np.array([2.0, 3.0, 1.0, 4.0, 0.5])
    np.testing.assert_array_equal(property.minorant(w), [2.0, 2.0, 1.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda t, lam: 2 - torch.tanh(lam), "certified"),
        (lambda t, lam: 1 + 0.9 * torch.sin(lam), "falsified by"),
        (lambda t, lam: 1 + 0.05 * torch.exp(-(((lam - 1) / 0.02) ** 2)), "not representable"),
    ],
)
@pytest.mark.parametrize("process", ["gaussian", "masked"])
def test_a_new_weighting_is_judged_and_tried(process, function, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILT_IN", registry.BUILT_IN.copy())
    property._analysed.cache_clear()

    @weighting("mine", on="canonical", cite="here")
    def mine(t, lam):
        return function(t, lam)

    case = f"{process} mine"
    assert case in property._cases()
    found = property.bound_property(case, "statement", CONTEXT)
    assert found.statistic <= 1e-6
    assert said in found.detail
    for control in property._controls(case):
        assert property.bound_property(case, control, CONTEXT).statistic > 1e-4
    property._analysed.cache_clear()


# ST-12


def test_the_excess_of_an_exact_denoiser_integrates_to_the_divergence_of_the_laws() -> None:
    q, r = (denoiser.table for denoiser in scope.laws())
    divergence = float((q * (q / r).log()).sum())
    found = integrate.quad(lambda m: float(scope.excess(torch.tensor(m, dtype=torch.float64))), 0, 1)[0]
    assert found == pytest.approx(divergence, rel=1e-12)
    assert scope.expected_elbo() == pytest.approx(float((q * r.log()).sum()), rel=1e-12)


def test_no_weight_of_the_comparison_without_power_is_monotone() -> None:
    m = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for name, form in scope.OWN.items():
        assert (form(m).diff() < 0).any(), name
        assert float(form(m).max()) <= 1
        assert float(form(m[-1])) == pytest.approx(1)


# ST-14


def test_the_flows_divergence_grows_at_a_fixed_loss() -> None:
    models = [Ripple(k) for k in scope.FREQUENCIES]
    assert max(each.fm_excess for each in models) - min(each.fm_excess for each in models) < 1e-12
    divergences = [each.flow_kl() for each in models]
    assert divergences == sorted(divergences)
    assert divergences[-1] > 50 * models[-1].fm_excess
