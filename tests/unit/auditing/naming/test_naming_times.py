"""Paths that are told by their time too, paths with ends read off the levels, and comparisons that are spared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from measured_tables import of_specs, quantiles, table

from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.naming import carriers, density, inverses, paths
from reproflow.auditing.naming.comparison import compare, may_be_same
from reproflow.auditing.naming.inverses import times_on
from reproflow.auditing.naming.levels import levels_of
from reproflow.auditing.naming.paths import PathName, Relation
from reproflow.theory.log_snr import log_snr
from reproflow.theory.paths import get_path

LAM = np.linspace(-5, 5, 40)


def sub_vp(rate: float = 9.95, root: bool = False, power: float = 2.0, **rest: object) -> MeasuredLoss:
    """A = exp(-s/20 - rate s^power/4) at times s from the noise at 1; B = 1 - A², or its root, which is VP's."""
    s = quantiles()[::-1]
    A = np.exp(-0.05 * s - 0.5 * rate * s**power / 2)
    B = np.sqrt(1 - A**2) if root else 1 - A**2
    return table(A, B, 0.0, 1.0, 1.0, quantiles(), s, **rest)


def test_sub_vp_is_named() -> None:
    found = paths.name_path(levels_of(sub_vp()))
    assert (found.relation, found.name) == (Relation.SUB_VP, "sub-VP")


@pytest.mark.parametrize("measured", [sub_vp(root=True), sub_vp(power=3.0)])
def test_what_is_near_sub_vp_is_not(measured: MeasuredLoss) -> None:
    """With the root it is VP; with log A cubic in the time the root was forgotten, and the path has no name."""
    assert paths.name_path(levels_of(measured)).relation != Relation.SUB_VP


def test_sub_vp_needs_a_continuous_time() -> None:
    """Steps, a time that is not given, and one that is constant say nothing of log A."""
    levels = levels_of(sub_vp())
    assert len(paths._sub_vp(levels)) == 1
    assert paths._sub_vp(levels_of(sub_vp(times=Times.STEPS, steps=np.arange(160)))) == []
    for given in (np.nan, 0.5):
        assert paths._sub_vp(replace(levels, given=np.full(len(levels), given))) == []


def test_sub_vps_error_is_the_larger_one() -> None:
    """Of B = 1 - A² and of log A quadratic."""
    straight = paths._sub_vp(levels_of(sub_vp(root=True)))[0]
    curved = paths._sub_vp(levels_of(sub_vp(power=3.0)))[0]
    assert straight.error > 0.1
    assert curved.error > 1e-2


def test_sub_vp_has_a_carrier() -> None:
    found = list(carriers.fitted(PathName(Relation.SUB_VP, "sub-VP", 0.0), LAM, LAM))
    assert [(each.name, each.own) for each in found] == [("sub-VP", True)]
    alpha, sigma = found[0].path(torch.linspace(0.01, 0.99, 9, dtype=torch.float64))
    assert sigma.numpy() == pytest.approx(1 - alpha.numpy() ** 2, rel=1e-12)


@pytest.mark.parametrize("name", ["ve", "edm"])
@pytest.mark.parametrize("relation", [Relation.VE, Relation.SCALED])
def test_the_ends_of_exploding_paths_are_read_off(name: str, relation: Relation) -> None:
    """Uniform times on either path: its own carrier has its ends, and the times are the mass."""
    u = quantiles()
    path = get_path(f"{name}:low=0.02,high=50")
    lam = log_snr(path, torch.from_numpy(u)).numpy()
    found = {each.name: each for each in carriers.fitted(PathName(relation, "VE", 0.0), lam, u)}
    assert found[name].spec == f"{name}:low=0.02,high=50"
    assert found[name].own == (relation is Relation.VE)
    assert found[name].time(lam) == pytest.approx(u, abs=1e-9)


@pytest.mark.parametrize("relation", [Relation.LINEAR, Relation.SIGMA_MIN, Relation.VP, Relation.NONE])
def test_other_paths_have_no_ends_to_read_off(relation: Relation) -> None:
    assert list(carriers.fitted(PathName(relation, None, 0.0), LAM, np.linspace(0.1, 0.9, 40))) == []


def test_levels_that_end_below_zero_have_no_edm_path() -> None:
    """sigma^(1/7) linear in the mass would be negative at the data's end."""
    u = np.linspace(0.01, 0.99, 40)
    lam = -2 * np.log(np.exp(3 - 25 * u))
    assert [each.name for each in carriers.fitted(PathName(Relation.VE, "VE", 0.0), lam, u)] == ["ve"]


def test_times_on_a_path_are_kept() -> None:
    t = times_on("cosine", LAM)
    assert log_snr(get_path("cosine"), torch.from_numpy(t.copy())).numpy() == pytest.approx(LAM, abs=1e-9)
    asked = inverses._times.cache_info().misses
    again = times_on("cosine", LAM.copy())
    assert np.array_equal(again, t)
    assert inverses._times.cache_info().misses == asked
    kept = t.copy()
    again[:] = 0
    assert np.array_equal(times_on("cosine", LAM), kept)
    assert np.abs(times_on("linear", LAM) - t).max() > 1e-2
    assert np.abs(times_on("cosine", LAM + 1e-6) - t).max() > 1e-9


def test_times_out_of_reach_are_nan() -> None:
    assert np.isnan(times_on("ve:low=0.1,high=10", np.array([-20.0, 20.0]))).all()


def test_a_comparison_is_spared_only_where_the_bulk_differs() -> None:
    """All that `compare` finds the same pass, also with 5 % of the levels off, of either sign; the others do not."""
    weight = density.weight(levels_of(of_specs("linear")))
    rng, others = np.random.default_rng(0), []
    for size in np.geomspace(1e-4, 1, 60) * weight.same:
        wrong = rng.random(len(weight.w)) < rng.uniform(0, 0.08)
        factor = rng.lognormal(0, 2) * np.exp(rng.uniform(-1, 1, len(weight.w)) * 1.5 * size)
        others.append(weight.w * factor * np.where(wrong, rng.choice([0.1, 10]), 1))
    others = np.array([*others, weight.w * np.exp(weight.lam), weight.w * (weight.lam > 0), np.nan * weight.w])
    found = [compare(weight, each) for each in others]
    same = np.array([each is not None and each.error_bulk <= weight.same for each in found])
    passed = may_be_same(weight, others)
    assert 20 < same[:60].sum() < 60
    assert passed[same].all()
    assert not passed[60]
    assert passed[61:].all()
