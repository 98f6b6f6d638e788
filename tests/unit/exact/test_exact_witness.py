"""Witnesses against the bound property: closed forms, scipy, enumeration of a finite field, and integrated flows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from reproflow.exact import shares, witness
from reproflow.exact.ripple import Ripple
from reproflow.exact.witness import Witness

LAM = np.linspace(-18, 18, 20_001)
M = special.expit(-LAM)
D = float(stats.entropy([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]))
WEIGHTS = {
    "elbo": np.ones_like(LAM),
    "sigmoid": M,
    "fm": np.exp(-LAM / 2),
    "iddpm": 1 / np.cosh(LAM / 2),
    "edm": stats.norm.pdf(LAM, 2.4, 2.4) * (np.exp(-LAM) + 0.25),
    "dip": 1 - 0.5 * np.exp(-(((M - 0.08) / 0.02) ** 2)),
    "min_snr": np.minimum(1, 5 * np.exp(-LAM)) / np.cosh(LAM / 2),
}


def both(weight: str, **parameters: float) -> tuple[float, float]:
    found = Witness("by hand", parameters, 0, 0).verified(LAM, WEIGHTS[weight])
    return found.left, found.right


@pytest.mark.parametrize(
    ("weight", "parameters", "left", "right"),
    [
        ("elbo", {"K": 1, "L": 3}, 0.274887, 0.274887),
        ("sigmoid", {"K": 1, "L": 3}, 0.20617, 0.17410),
        ("iddpm", {"K": 1, "L": 1}, 0.21588, 0.21217),
        ("iddpm", {"K": 1, "L": 3}, 0.20240, 0.23830),
        ("iddpm", {"K": 1, "L": 64}, 0.05985, 0.07833),
        ("edm", {"K": 1, "L": 64}, 0.05929, 0.06817),
        ("edm", {"K": 1, "L": 512}, 0.02969, 0.03951),
        ("fm", {"K": 1, "L": 3}, 0.80961, 0.44463),
        ("dip", {"K": 376, "L": 400}, 0.21047, 0.23586),
        ("iddpm", {"a": 3}, 0.30054, 0.38934),
        ("min_snr", {"a": 1}, 0.4511, 0.4673),
        ("edm", {"a": 10}, 0.1095, 0.1308),
    ],
)
def test_known_examples(weight: str, parameters: dict[str, float], left: float, right: float) -> None:
    """Numbers of an independent computation, to the digits they are known to."""
    assert both(weight, **parameters) == pytest.approx((left, right), rel=3e-4)


def test_copied_tokens_against_scipy() -> None:
    """IDDPM on three copies: w = 2 sqrt(m(1-m)), rho = 1 - m³, both integrals by parts in closed terms of m."""

    def divergence(m: float) -> float:
        rho = 1 - m**3
        return float(stats.entropy([0.5, 0.3, 0.2], np.array([0.5, 0.3, 0.2]) + rho * np.array([-0.3, 0, 0.3])))

    def slope(m: float) -> float:
        """d KL/dm = -(rho') sum q (r - q)/p."""
        p = np.array([0.5, 0.2]) + (1 - m**3) * np.array([-0.3, 0.3])
        return float(3 * m**2 * (np.array([0.5, 0.2]) * np.array([-0.3, 0.3]) / p).sum())

    left = integrate.quad(lambda m: 2 * math.sqrt(m * (1 - m)) * 3 * m**2 * D, 0, 1)[0]
    right = -integrate.quad(lambda m: 2 * math.sqrt(m * (1 - m)) * slope(m), 0, 1)[0]
    assert slope(0.4) == pytest.approx((divergence(0.4 + 1e-6) - divergence(0.4 - 1e-6)) / 2e-6, rel=1e-6)
    assert both("iddpm", K=1, L=3) == pytest.approx((left, right), rel=1e-4)


@pytest.mark.parametrize(("k", "length"), [(1, 1), (1, 4), (2, 3), (2, 4), (3, 4), (3, 5), (4, 4)])
def test_the_rule_of_the_shares_is_what_a_finite_field_gives(k: int, length: int) -> None:
    rule, field = shares.by_rule(k, length), shares.enumerated(k, length, shares._prime(length + 1))
    np.testing.assert_allclose(field.divergences, rule.divergences, atol=1e-14)
    np.testing.assert_allclose(field.gaps, rule.gaps, atol=1e-14)
    for shown in range(length + 1):
        assert shares.kl(field.law, field.models[shown]) == pytest.approx(
            shares.kl(rule.law, rule.models[shown]), abs=1e-14
        )


def test_few_states_are_enumerated_and_many_are_not() -> None:
    assert len(shares.dealt(2, 4).law) == 3 * 5
    assert len(shares.dealt(46, 48).law) == 3


@pytest.mark.parametrize(("k", "length"), [(1, 3), (2, 3), (376, 400)])
def test_the_probability_of_telling_is_binomial(k: int, length: int) -> None:
    alpha = np.linspace(0, 1, 21)
    np.testing.assert_allclose(witness.told(k, length, alpha), stats.binom.sf(k - 1, length, alpha), atol=1e-12)


@pytest.mark.parametrize("b", [1e-4, 0.1, 1.0, 4.0, 30.0, 1e6])
def test_two_points_against_adaptive_quadrature(b: float) -> None:
    def mix(y: float, share: float) -> float:
        return share * stats.norm.pdf(y, b, 1) + (1 - share) * stats.norm.pdf(y, -b, 1)

    def told(y: float) -> float:
        return float(special.expit(math.log(4) + 2 * b * y) * (mix(y, 0.8) - mix(y, 0.3)) / 0.5)

    pkl, shift = (float(each[0]) for each in witness.two_points(np.array([b])))
    if b < 1e-3:
        # Two normal laws whose means differ by 2 b (q - r), and the first term of tanh.
        assert (pkl, shift) == pytest.approx((0.5 * b**2, 4 * b**2 * 0.8 * 0.2), rel=1e-3)
    elif b > 10:
        assert (pkl, shift) == pytest.approx((stats.entropy([0.8, 0.2], [0.3, 0.7]), 1), rel=1e-12)
    else:
        ends = [(-b - 9, 0), (0, b + 9)]
        exact = sum(
            integrate.quad(lambda y: mix(y, 0.8) * math.log(mix(y, 0.8) / mix(y, 0.3)), *each)[0] for each in ends
        )
        assert pkl == pytest.approx(exact, rel=1e-9)
        assert shift == pytest.approx(sum(integrate.quad(told, *each)[0] for each in ends), rel=1e-9)


def test_kl_keeps_its_digits_where_two_laws_hardly_differ() -> None:
    q, step = np.array([0.5, 0.3, 0.2, 0.0]), np.array([-1.0, 0.25, 0.75, 0.0])
    assert shares.kl(q, q + 0.1 * step) == pytest.approx(stats.entropy(q, q + 0.1 * step), rel=1e-12)
    # Beyond the second order is a part of 1e-9.
    assert shares.kl(q, q + 1e-9 * step) == pytest.approx(0.5e-18 * (step[:3] ** 2 / q[:3]).sum(), rel=1e-6)
    assert shares.kl(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == math.inf


@pytest.mark.parametrize("process", ["masked", "gaussian"])
class TestSearch:
    @pytest.mark.parametrize("weight", ["elbo", "sigmoid", "fm"])
    def test_monotone_weights_have_no_witness(self, process: str, weight: str) -> None:
        assert witness.search(LAM, WEIGHTS[weight], process) is None
        for each in witness.examples(LAM, WEIGHTS[weight], process):
            assert each.margin >= -1e-12
            assert each.right >= each.mixture * (1 - 1e-9) - 1e-12

    @pytest.mark.parametrize("seed", range(5))
    def test_random_weights_that_fall_have_none(self, process: str, seed: int) -> None:
        draw = np.random.default_rng(seed)
        steps = draw.exponential(size=len(LAM)) * (draw.random(len(LAM)) < 0.01)
        w = np.cumsum(steps[::-1])[::-1]
        assert witness.worst(LAM, w, process).margin >= -1e-12

    @pytest.mark.parametrize("weight", ["iddpm", "edm", "min_snr"])
    def test_what_rises_is_falsified_and_both_routes_agree(self, process: str, weight: str) -> None:
        found = witness.search(LAM, WEIGHTS[weight], process)
        assert found is not None
        assert found.falsifies
        assert found.right > found.left * 1.1
        on_grid = next(e for e in witness.examples(LAM, WEIGHTS[weight], process) if e.parameters == found.parameters)
        assert (on_grid.left, on_grid.right) == pytest.approx((found.left, found.right), rel=1e-3)

    def test_the_unit_of_the_weight_does_not_matter(self, process: str) -> None:
        one, thousand = (witness.worst(LAM, scale * WEIGHTS["iddpm"], process) for scale in (1, 1000))
        assert thousand.margin == pytest.approx(one.margin, rel=1e-9)
        assert thousand.left == pytest.approx(1000 * one.left, rel=1e-9)

    def test_a_step_up_in_closed_form(self, process: str) -> None:
        """w = 1 up to lam = 1, then 2: an atom of 2 at the data and one of -1 at lam = 1."""
        w = np.where(LAM <= 1, 1.0, 2.0)
        parameters = {"K": 1, "L": 2} if process == "masked" else {"a": 1.5}
        q, r = witness.FAMILIES[process]().laws
        if process == "masked":
            shift = 1 - special.expit(-1.0) ** 2
            pkl = shift * D
        else:
            pkl, shift = (float(each[0]) for each in witness.two_points(np.array([1.5 * math.exp(0.5)])))
        top = float(shares.kl(q, r))
        found = Witness("by hand", parameters, 0, 0).verified(LAM, w)
        wanted = 2 * top - pkl, 2 * top - float(shares.kl(q, q + shift * (r - q)))
        assert (found.left, found.right) == pytest.approx(wanted, rel=1e-3)
        assert found.falsifies

    def test_infinite_values_are_left_out(self, process: str) -> None:
        w = WEIGHTS["fm"].copy()
        w[0] = math.inf
        assert math.isfinite(witness.worst(LAM, w, process).left)


def test_a_dip_near_the_data_takes_shares() -> None:
    every = witness.examples(LAM, WEIGHTS["dip"], "masked")
    assert not any(each.falsifies for each in every if each.family == "copied tokens")
    found = witness.search(LAM, WEIGHTS["dip"], "masked")
    assert found is not None
    assert found.family == "shares"


def test_a_lost_sign_changes_only_what_rises() -> None:
    for weight, changed in (("sigmoid", False), ("iddpm", True)):
        lost = witness.absolute(LAM, WEIGHTS[weight], "masked")
        assert lost.falsifies == changed


def test_a_witness_says_what_it_is() -> None:
    found = Witness("shares", {"K": 376, "L": 400}, 0.21, 0.24)
    assert str(found) == "shares, K = 376, L = 400: 0.21 < 0.24"
    assert found.process == "masked"
    assert ">=" in str(dataclasses.replace(found, right=0.2))


class TestRipple:
    def test_the_flow_is_the_solution_of_its_equation(self) -> None:
        ripple = Ripple(3.0, 0.7, 0.8)
        start = np.linspace(-2.5, 2.5, 11)
        end = integrate.solve_ivp(lambda t, x: 0.7 * np.sin(3 * x), (0, 0.8), start, rtol=1e-10, atol=1e-12).y[:, -1]
        found, log_slope = ripple.inverse(end)
        np.testing.assert_allclose(found, start, atol=1e-8)
        ahead, behind = (ripple.inverse(end + h)[0] for h in (1e-6, -1e-6))
        np.testing.assert_allclose(np.exp(log_slope), (ahead - behind) / 2e-6, rtol=1e-6)

    def test_the_divergence_of_the_flow_tends_to_its_limit(self) -> None:
        ripple = Ripple(20.0)
        assert ripple.flow_kl() == pytest.approx(2 * math.log(math.cosh(ripple.stretch / 2)), rel=1e-3)

    def test_path_divergence_is_the_weighted_loss(self) -> None:
        """int 2 E|d|²/(sigma² lam') dt = (2/pi) A² E sin² int tan(pi t/2) dt, which many steps tend to."""
        area = -2 / math.pi * math.log(math.cos(0.45 * math.pi))
        assert Ripple(5.0).path_kl(10_000) == pytest.approx(2 / math.pi * 0.25 * 0.5 * area, rel=1e-3)

    def test_the_chain_without_error_is_the_datas(self) -> None:
        assert Ripple(5.0, 0.0).ancestral_kl(20) == pytest.approx(0, abs=1e-9)

    def test_a_step_of_the_chain_is_gaussian_conditioning(self) -> None:
        """z_s given z_t and x by conditioning their joint law; the error of x is 2 sigma/pi of the velocity's."""
        ratio, factor, variance = (float(each[2]) for each in Ripple(2.0).levels(5))
        early, late = (0.5 * math.pi * 0.9 * step / 5 for step in (2, 3))
        # z_s = alpha_s x + sigma_s e, z_t = (alpha_t/alpha_s) z_s + noise, x and z_s of variance 1.
        r = math.sin(early) / math.sin(late)
        joint = np.array([[1, math.sin(early)], [math.sin(early), 1]])
        with_s = np.array([r, math.sin(late)])
        on_x = np.linalg.solve(joint, with_s)[1]
        assert (ratio, variance) == pytest.approx((r, 1 - r**2), rel=1e-12)
        assert factor == pytest.approx(on_x * 2 * math.cos(early) / math.pi, rel=1e-9)
