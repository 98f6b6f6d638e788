"""BIL-10, BIL-11, BIL-13: what each control breaks and what it leaves alone."""

from __future__ import annotations

import itertools

import pytest
import torch

from reproflow.claims.generator_matching import edit_flows, manifolds, masked_weights
from reproflow.claims.policy import STATEMENT, Context
from reproflow.exact.manifold import get_manifold, posterior

SMALL = 1e-12


def parts(detail: str) -> dict[str, float]:
    """The named numbers of a detail line."""
    return {name: float(value) for name, value in (each.rsplit(" ", 1) for each in detail.split(", "))}


@pytest.mark.parametrize(
    ("variant", "broken"),
    [
        (STATEMENT, set()),
        (edit_flows.WEIGHT, {"gradient", "value", "constant"}),
        (edit_flows.MERGED, {"gradient", "value", "constant"}),
        (edit_flows.POSITIONS, {"gradient", "constant"}),
    ],
)
def test_bil_11_controls_break_the_losses_they_touch(variant: str, broken: set[str]) -> None:
    found = parts(edit_flows.edit_flow_loss("linear", variant, Context()).detail)
    assert {name for name, value in found.items() if value > 1e-3} == broken
    assert all(value < SMALL for name, value in found.items() if name not in broken)


@pytest.mark.parametrize("case", ["sphere", "torus"])
@pytest.mark.parametrize(
    ("variant", "broken"),
    [
        (manifolds.L1, {"gradient"}),
        (manifolds.PRIOR, {"gradient", "transport"}),
        (manifolds.CHORDAL, {"minimiser"}),
        (manifolds.POWER, {"log-map"}),
    ],
)
def test_bil_13_controls_break_one_thing(case: str, variant: str, broken: set[str]) -> None:
    found = parts(manifolds.tangent_matching(case, variant, Context()).detail)
    assert {name for name, value in found.items() if value > 1e-3} == broken
    assert all(value < 1e-9 for name, value in found.items() if name not in broken)


@pytest.mark.parametrize("case", ["sphere", "torus"])
def test_the_geodesic_length_is_least_at_the_tangent_mean_and_not_at_the_chordal_one(case: str) -> None:
    m = get_manifold(case)
    x = m.exp(m.data[0], 0.3 * m.log(m.data[0], m.data[2]))[None]
    given = posterior(m, x, 0.3)[0]
    mean = torch.einsum("bz,bzc->bc", given, m.log(x[:, None], m.data))

    def cost(v: torch.Tensor) -> float:
        return float((given * (m.log(x[:, None], m.data) - v[:, None]).square().sum(2)).sum())

    assert cost(m.log(x, m.exp(x, mean))) < cost(m.log(x, m.chordal_mean(given))) - 1e-6


def test_bil_10_weights_in_the_data_move_all_times_alike_and_own_schedules_each_its_own_way() -> None:
    spread = {}
    for variant in (STATEMENT, masked_weights.DATA, masked_weights.SCHEDULE):
        rows = masked_weights._rows("fm", variant)
        hidden = (masked_weights._states() == masked_weights.VOCABULARY)[..., None]
        single = hidden * masked_weights._minimiser(rows)
        spread[variant] = float((single - single[:, :1]).abs().max())
        assert (masked_weights.denoiser_gaps(rows)["minimiser"] > 0.1) == (variant != STATEMENT)
    assert spread[STATEMENT] < SMALL
    assert spread[masked_weights.DATA] < SMALL
    assert spread[masked_weights.SCHEDULE] > 0.1


def test_bil_10_finds_the_posterior_by_counting() -> None:
    rows = masked_weights._rows("elbo", STATEMENT)
    found = masked_weights._minimiser(rows)[0, 0]
    table, v = masked_weights.table(), masked_weights.VOCABULARY
    for state, z in enumerate(masked_weights._states().tolist()):
        agreeing = [
            x for x in itertools.product(range(v), repeat=3) if all(b in (v, a) for a, b in zip(x, z, strict=True))
        ]
        for n in (n for n in range(3) if z[n] == v):
            mass = [sum(float(table[x]) for x in agreeing if x[n] == value) for value in range(v)]
            assert found[state, n].tolist() == pytest.approx([m / sum(mass) for m in mass], abs=1e-13)


def test_bil_10_ignores_times_that_a_weight_leaves_out() -> None:
    rows = masked_weights._rows("simple", STATEMENT)
    rows.weight[:, 1:3] = 0
    assert max(masked_weights.denoiser_gaps(rows).values()) < SMALL
