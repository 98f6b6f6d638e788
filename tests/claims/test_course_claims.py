"""Claims on optimal transport, the posterior's course and weights at the noise end: oracles, and broken formulas."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate
from torch import Tensor

from reproflow.claims import ledger
from reproflow.claims.bounds import limits
from reproflow.claims.paths import optimal_transport
from reproflow.claims.policy import STATEMENT, Context, decide
from reproflow.claims.tutorials import posterior_course
from reproflow.exact import gaussian_chain
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path

CONTEXT = Context()


def verdict(id: str, case: str) -> str:
    """The verdict on the statement alone."""
    (entry,) = ledger.find([id])
    claim = entry.meta["claim"]
    return decide(claim.kind, claim.function(case, STATEMENT, CONTEXT), claim.tolerance(case))[0]


# PATH-10


def test_coordinates_of_the_product_law_are_independent() -> None:
    law = optimal_transport.PRODUCT_LAW
    sides = [torch.linspace(-2, 2, 9, dtype=torch.float64)] * 2
    one = forward_path("linear").at(torch.ones((), dtype=torch.float64))
    log = law.log_density(torch.cartesian_prod(*sides), one).view(9, 9)
    mixed = log - log[:, :1] - log[:1] + log[0, 0]
    assert float(mixed.abs().max()) < 1e-12


def test_the_flow_of_one_normal_law_is_its_transport() -> None:
    """N(m, s² I) of noise: T(x) = m + s x."""
    law = optimal_transport.Mixture(torch.ones(1), torch.tensor([[0.5, -1.0]]), torch.tensor([0.5]))
    x = torch.tensor([[0.3, -0.7], [1.0, 2.0]], dtype=torch.float64)
    expected = torch.tensor([0.5, -1.0], dtype=torch.float64) + 0.5 * x
    torch.testing.assert_close(optimal_transport.end_map(law, x), expected, rtol=1e-6, atol=1e-6)
    assert optimal_transport.end_map_asymmetry(law) < 1e-9


def test_the_asymmetry_of_the_plane_is_no_error_of_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = optimal_transport.end_map_asymmetry(optimal_transport.LAW)
    monkeypatch.setitem(optimal_transport.STEPS, 2, 100)
    fine = optimal_transport.end_map_asymmetry(optimal_transport.LAW)
    assert coarse == pytest.approx(fine, rel=1e-4)
    assert fine > 0.03


def test_path_10_sees_a_slower_path_and_a_turned_end_map(monkeypatch: pytest.MonkeyPatch) -> None:
    right = optimal_transport.end_map
    turn = torch.tensor([[1.0, 1e-4], [0.0, 1.0]], dtype=torch.float64)
    moved = lambda law, x: right(law, x) @ (turn if x.shape[1] == 2 else 1.001 * torch.eye(1).double())  # noqa: E731
    monkeypatch.setattr(optimal_transport, "end_map", moved)
    assert optimal_transport.end_map_asymmetry(optimal_transport.PRODUCT_LAW) > 1e-5
    assert optimal_transport.optimal_transport(optimal_transport.LINE, STATEMENT, CONTEXT).statistic > 1e-4
    monkeypatch.setattr(optimal_transport, "forward_path", lambda name: forward_path("polynomial:n=1.01"))
    assert optimal_transport.optimal_transport(optimal_transport.GIVEN_Z, STATEMENT, CONTEXT).statistic > 1e-5


# TUT-14


@pytest.mark.parametrize("t", [0.5, 0.9])
def test_the_course_of_two_points_agrees_with_adaptive_quadrature(t: float) -> None:
    gap = t * posterior_course.NEARER / (1 - t)

    def integrand(eps: float) -> float:
        return math.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi) / (1 + math.exp(-gap * (gap / 2 + eps)))

    expected = integrate.quad(integrand, -9, 9, epsabs=1e-12, limit=200)[0]
    assert posterior_course.two_points(t, posterior_course.NEARER) == pytest.approx(expected, abs=1e-10)


def test_the_fall_along_the_flow_is_no_error_of_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    path = forward_path("linear")
    coarse = posterior_course._along_the_flow(path)
    monkeypatch.setattr(posterior_course, "SUBSTEPS", 4 * posterior_course.SUBSTEPS)
    assert posterior_course._along_the_flow(path) == pytest.approx(coarse, rel=1e-3)


def test_tut_14_sees_a_posterior_of_the_wrong_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the posterior is computed as if the noise were another one, it need not sharpen."""
    right = gaussian_chain.log_posterior

    def misread(z: Tensor, c: Coefficients) -> Tensor:
        return right(z, Coefficients(c.t, c.alpha, c.sigma * (1 + 4 * c.t), c.dalpha, c.dsigma, c.process))

    monkeypatch.setattr(gaussian_chain, "log_posterior", lambda z, c: misread(z, c).flip(-1))
    assert posterior_course.posterior_course("linear", STATEMENT, CONTEXT).statistic > 1e-3


# ST-16


def test_st_16_sees_another_exponent(monkeypatch: pytest.MonkeyPatch) -> None:
    right = limits.exponent
    monkeypatch.setattr(limits, "exponent", lambda name, schedule: right(name, schedule) + 0.01)
    assert {verdict("ST-16", case) for case in ("fm", "simple", "elbo", "sigmoid")} == {"refuted"}


@pytest.mark.parametrize(("name", "expected"), [("fm", 8 / math.pi**2), ("simple", 4 / math.pi**2)])
def test_the_growth_next_to_the_noise_is_that_of_the_expansion(name: str, expected: float) -> None:
    """FM sqrt(1/alpha) with alpha = pi²/8 d²; simple 1/|alpha'| with pi²/4 d."""
    w = limits.get_objective("cosine", "uniform", name, "masked").weight(torch.tensor([1e-5], dtype=torch.float64))
    assert float(w) * 1e-5 == pytest.approx(math.sqrt(expected) if name == "fm" else expected, rel=1e-6)
