"""Gauss rules: exactness, against scipy, and the bits that data and claims were computed with."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special

from reproflow.numerics import gauss_rules
from reproflow.numerics.gauss_rules import GAUSS_WEIGHTS, KRONROD_NODES, KRONROD_WEIGHTS


def moment(degree: int) -> float:
    """The integral of x^degree over [-1, 1]."""
    return 2 / (degree + 1) if degree % 2 == 0 else 0.0


@pytest.mark.parametrize("n", [1, 2, 6, 20, 64])
def test_legendre_is_exact_to_its_degree_and_no_further(n: int) -> None:
    nodes, weights = gauss_rules.legendre(n)
    for degree in (0, 1, n, 2 * n - 2, 2 * n - 1):
        assert weights @ nodes**degree == pytest.approx(moment(degree), abs=1e-13)
    if n <= 6:
        assert abs(weights @ nodes ** (2 * n) - moment(2 * n)) > 1e-5


@pytest.mark.parametrize("n", [1, 3, 8, 48])
def test_hermite_is_the_expectation_over_the_normal(n: int) -> None:
    nodes, weights = gauss_rules.hermite(n)
    assert weights.sum() == pytest.approx(1, abs=1e-15)
    for degree in range(0, min(2 * n, 20), 2):
        assert weights @ nodes**degree == pytest.approx(special.factorial2(degree - 1) if degree else 1, rel=1e-11)
    if n <= 3:
        assert weights @ nodes ** (2 * n) != pytest.approx(special.factorial2(2 * n - 1), rel=1e-3)


def test_scipy_has_the_same_rules() -> None:
    for ours, theirs in (
        (gauss_rules.legendre(40), special.roots_legendre(40)),
        (gauss_rules.hermite(40), special.roots_hermitenorm(40)),
    ):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(ours[1], theirs[1] / (1 if ours[0][-1] < 1 else math.sqrt(2 * math.pi)), rtol=1e-9)


def test_kronrod_and_the_gauss_rule_inside() -> None:
    for weights, degree in ((KRONROD_WEIGHTS, 22), (GAUSS_WEIGHTS, 13)):
        for power in range(degree + 1):
            assert weights @ KRONROD_NODES**power == pytest.approx(moment(power), abs=2e-15)
        even = degree + 1 + (degree + 1) % 2
        assert abs(weights @ KRONROD_NODES**even - moment(even)) > 1e-9
    np.testing.assert_allclose(KRONROD_NODES[1::2], gauss_rules.legendre(7)[0], atol=1e-15)
    np.testing.assert_allclose(GAUSS_WEIGHTS[1::2], gauss_rules.legendre(7)[1], atol=1e-15)
    assert not GAUSS_WEIGHTS[::2].any()


def test_on_an_interval() -> None:
    t, weights = gauss_rules.legendre_on(0.25, 3.0, 12)
    assert t.dtype == weights.dtype == torch.float64
    assert float(weights @ t.exp()) == pytest.approx(math.exp(3) - math.exp(0.25), rel=1e-14)
    assert float(weights @ t.exp()) != pytest.approx(math.exp(3) - math.exp(0.26), rel=1e-4)


def test_the_bits_of_earlier_releases() -> None:
    """The two moons' entropy scaled nodes in another order of products, all of them powers of two."""
    nodes, weights = (torch.from_numpy(column) for column in np.polynomial.legendre.leggauss(160))
    t, steps = gauss_rules.legendre_on(0, math.pi, 160)
    assert torch.equal(t, 0 + (math.pi - 0) * (nodes + 1) / 2)
    assert torch.equal(steps, weights * (math.pi - 0) / 2)
    roots, masses = np.polynomial.hermite_e.hermegauss(30)
    z, p = gauss_rules.tensors(gauss_rules.hermite(30))
    assert torch.equal(z, torch.from_numpy(roots))
    assert torch.equal(p, torch.from_numpy(masses / masses.sum()))


def test_a_rule_cannot_be_spoiled() -> None:
    rule = gauss_rules.legendre(5)
    assert gauss_rules.legendre(5) is rule
    for table in (*rule, *gauss_rules.hermite(5), KRONROD_NODES, KRONROD_WEIGHTS, GAUSS_WEIGHTS):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 0.0
    gauss_rules.tensors(rule)[0].zero_()
    gauss_rules.legendre_on(-1, 1, 5)[0].zero_()
    assert rule[0].any()
