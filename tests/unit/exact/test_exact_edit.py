"""The small Edit Flow against dictionaries, a library's ODE solver and finite differences."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from reproflow.exact import edit
from reproflow.theory.paths import get_path

PATHS = ["linear", "cosine", "polynomial", "geometric"]


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def by_dictionary(kappa: float) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """p(x) and the sum over alignments of probability times edits, by strings alone; the hazard is 1."""
    p: dict[str, float] = defaultdict(float)
    flux: dict[tuple[str, str], float] = defaultdict(float)
    for q, z0, z1 in edit.PAIRS:
        for z in set(itertools.product(*zip(z0, z1, strict=True))):
            chance = q
            for at, a, b in zip(z, z0, z1, strict=True):
                chance *= 1 if a == b else kappa if at == b else 1 - kappa
            x = "".join(z).replace("-", "")
            p[x] += chance
            for i in range(3):
                if z[i] != z1[i]:
                    after = "".join((*z[:i], z1[i], *z[i + 1 :])).replace("-", "")
                    flux[x, after] += chance
    return p, flux


def test_law_and_rates_equal_a_count_over_strings() -> None:
    p, flux = by_dictionary(0.37)
    c = get_path("linear", "masked").at(torch.tensor([0.37], dtype=torch.float64))
    law, rates = edit.law(c.alpha, c.sigma)[0], edit.marginal_rates(c)[0]
    assert float(law.sum()) == pytest.approx(1, abs=1e-14)
    for i, x in enumerate(edit.STATES):
        assert float(law[i]) == pytest.approx(p.get(x, 0.0), abs=1e-15)
        for j, y in enumerate(edit.STATES):
            expected = flux[x, y] / p[x] / (1 - 0.37) if (x, y) in flux else 0.0
            assert float(rates[i, j]) == pytest.approx(expected, rel=1e-13, abs=1e-15)


def test_the_data_law_is_reached_and_every_kind_of_edit_occurs() -> None:
    data = dict(zip(edit.STATES, edit.law(scalar(1.0), scalar(0.0)).tolist(), strict=True))
    expected = {"": 0.1, "aa": 0.12, "aab": 0.25, "ab": 0.2, "b": 0.18, "bb": 0.15}
    assert data == pytest.approx({x: expected.get(x, 0.0) for x in edit.STATES}, abs=1e-15)
    rates = edit.marginal_rates(get_path("linear", "masked").at(torch.tensor([0.5], dtype=torch.float64)))[0]
    used = {len(edit.STATES[j]) - len(edit.STATES[i]) for i, j in rates.nonzero().tolist()}
    assert used == {-1, 0, 1}
    assert int((edit.alignments().edits > 1).sum()) > 0


def test_one_edit_is_what_insertion_deletion_and_substitution_make() -> None:
    for i, x in enumerate(edit.STATES):
        made = {x[:k] + x[k + 1 :] for k in range(len(x))}
        made |= {x[:k] + letter + x[k:] for k in range(len(x) + 1) for letter in "ab"}
        made |= {x[:k] + letter + x[k + 1 :] for k in range(len(x)) for letter in "ab"} - {x}
        assert {edit.STATES[j] for j in edit.one_edit()[i].nonzero().flatten().tolist()} == made & set(edit.STATES)


@pytest.mark.parametrize("name", PATHS)
def test_transport_equals_a_library_solver(name: str) -> None:
    path = get_path(name, "masked")

    def slope(t: float, p):
        rates = edit.marginal_rates(path.at(torch.tensor([t], dtype=torch.float64)))[0]
        return edit.drift(torch.from_numpy(p.copy()), rates).numpy()

    p0 = edit.law(*path(scalar(0.3))).numpy()
    solved = solve_ivp(slope, (0.3, 0.8), p0, method="DOP853", rtol=1e-9, atol=1e-11).y[:, -1]
    assert float((edit.transport(path, 0.3, 0.8) - torch.from_numpy(solved)).abs().max()) < 1e-8


def test_transport_with_wrong_rates_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    right, path = edit.marginal_rates, get_path("linear", "masked")
    monkeypatch.setattr(edit, "marginal_rates", lambda c: 1.1 * right(c))
    error = edit.transport(path, 0.05, 0.9) - edit.law(*path(scalar(0.9)))
    assert float(error.abs().max()) > 1e-3


@pytest.mark.parametrize("name", PATHS)
def test_the_two_time_law_has_the_marginals_and_the_rates(name: str) -> None:
    path, t, s, h = get_path(name, "masked"), scalar(0.4), scalar(0.7), 1e-6
    both = edit.two_time_law(path(t)[0], path(s))
    torch.testing.assert_close(both.sum(1), edit.law(*path(t)), rtol=0, atol=1e-14)
    torch.testing.assert_close(both.sum(0), edit.law(*path(s)), rtol=0, atol=1e-14)
    slope = (edit.two_time_law(path(t)[0], path(t + h)) - edit.law(*path(t)).diag()) / h
    flux = edit.law(*path(t))[:, None] * edit.marginal_rates(path.at(t[None]))[0]
    off = ~torch.eye(len(edit.STATES), dtype=torch.bool)
    torch.testing.assert_close(slope[off], flux[off], rtol=1e-4, atol=1e-6)


def test_the_problem_has_the_marginal_rates_as_its_marginal_target() -> None:
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    problem = edit.problem("cosine", t, torch.tensor([0.25, 0.75], dtype=torch.float64), background=0.3)
    assert float(problem.joint.sum()) == pytest.approx(1, abs=1e-14)
    assert float(problem.target.min()) == 0.3
    rates = edit.marginal_rates(get_path("cosine", "masked").at(t))
    expected = rates[(problem.t > 0.5).long(), problem.x.argmax(1)] + 0.3
    torch.testing.assert_close(problem.marginal, expected, rtol=1e-13, atol=0)
