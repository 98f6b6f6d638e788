"""The tape of random draws: what torch's laws say, played back bit for bit, set to quantiles, and never another one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from reproflow.auditing.tape import Diverged, Draw, Kind, Tape

U = torch.tensor([0.1, 0.35, 0.6, 0.9], dtype=torch.float64)
Z = torch.tensor([-1.5, -0.2, 0.4, 2.0], dtype=torch.float64)
ONES = torch.ones(4, dtype=torch.float64)


def empty() -> Tensor:
    return torch.empty(4, dtype=torch.float64)


def filled_out() -> Tensor:
    target = torch.empty(0, dtype=torch.float64)
    torch.normal(U, 3 * ONES, out=target)
    return target


def filled_in_place() -> Tensor:
    target = torch.zeros(4, dtype=torch.float64)
    target.normal_()
    return target


AT_QUANTILES: dict[str, tuple[Callable[[], Tensor], Tensor, object]] = {
    "uniform": (lambda: empty().uniform_(2.0, 5.0), U, 2 + 3 * U),
    "exponential": (lambda: empty().exponential_(2.0), U, stats.expon(scale=0.5).ppf(U)),
    "cauchy": (lambda: empty().cauchy_(1.0, 2.0), U, stats.cauchy(1.0, 2.0).ppf(U)),
    "geometric": (lambda: empty().geometric_(0.3), U, stats.geom(0.3).ppf(U)),
    "one coin": (lambda: empty().bernoulli_(0.5), U, [1, 1, 0, 0]),
    "coins": (lambda: torch.bernoulli(torch.tensor([0.2, 0.2, 0.7, 0.7], dtype=torch.float64)), U, [1, 0, 1, 0]),
    "dropout": (lambda: torch.native_dropout(ONES, 0.25, True)[0], U, np.array([0, 1, 1, 1]) / 0.75),
    "normal": (lambda: empty().normal_(1.0, 3.0), Z, 1 + 3 * Z),
    "normal by tables": (lambda: torch.normal(U, 3 * ONES), Z, U + 3 * Z),
    "log-normal": (lambda: empty().log_normal_(0.5, 2.0), Z, torch.exp(0.5 + 2 * Z)),
    "in place": (filled_in_place, Z, Z),
    "out": (filled_out, Z, U + 3 * Z),
}


def recorded(draw: Callable[[], object], seed: int = 0) -> tuple[object, tuple[Draw, ...]]:
    torch.manual_seed(seed)
    tape = Tape()
    with tape:
        made = draw()
    return made, tape.finish()


def played(draw: Callable[[], object], draws: tuple[Draw, ...], replaced: dict[int, Tensor] | None = None) -> object:
    torch.manual_seed(99)
    tape = Tape(draws, replaced)
    with tape:
        made = draw()
    tape.finish()
    return made


@pytest.mark.parametrize("name", AT_QUANTILES)
def test_a_draw_set_to_a_quantile_is_the_laws_own(name: str) -> None:
    draw, standard, expected = AT_QUANTILES[name]
    _, draws = recorded(draw)
    assert len(draws) == 1
    found = played(draw, draws, {0: standard})
    assert found.numpy() == pytest.approx(np.asarray(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (lambda: torch.empty(4000).exponential_(2.0), stats.uniform()),
        (lambda: torch.empty(4000).normal_(1.0, 3.0), stats.norm()),
    ],
)
def test_what_is_kept_has_the_standard_law(draw: Callable[[], Tensor], law: object) -> None:
    """Of 4000 numbers chance leaves less than 0.02 in 19 of 20."""
    (kept,) = recorded(draw)[1]
    assert stats.ks_1samp(kept.standard.numpy(), law.cdf).statistic < 0.025


OTHERS: dict[str, Callable[[], object]] = {
    "rand": lambda: torch.rand(3, 2),
    "randn like": lambda: torch.randn_like(U),
    "randint": lambda: torch.randint(5, 9, (20,)),
    "random": lambda: torch.zeros(20, dtype=torch.long).random_(3, 7),
    "randperm": lambda: torch.randperm(9),
    "multinomial": lambda: torch.multinomial(torch.tensor([1.0, 0.0, 3.0]), 20, replacement=True),
    "gamma": lambda: torch.distributions.Gamma(2.0, 1.0).sample((5,)),
    "beta": lambda: torch.distributions.Beta(2.0, 1.0).sample((5,)),
    "poisson": lambda: torch.poisson(3 * ONES),
    "rrelu": lambda: torch.rrelu(-ONES, training=True),
    "several": lambda: torch.ops.aten.rrelu_with_noise_functional(-ONES, 0 * ONES, training=True)[1],
    "two": lambda: torch.rand(3) + torch.randn(3),
}


@pytest.mark.parametrize("name", [*AT_QUANTILES, *OTHERS])
def test_a_replay_is_bit_for_bit(name: str) -> None:
    draw = OTHERS.get(name) or AT_QUANTILES[name][0]
    first, draws = recorded(draw)
    assert draws
    assert torch.equal(first, played(draw, draws))
    assert all(each.file == __file__ for each in draws if name not in ("gamma", "beta"))


def test_what_bounds_a_draw_is_kept() -> None:
    (integers,) = recorded(OTHERS["randint"])[1]
    assert (integers.kind, integers.low, integers.high) == (Kind.INTEGER, 5, 9)
    (choice,) = recorded(OTHERS["multinomial"])[1]
    assert (choice.kind, choice.high, choice.weights.tolist()) == (Kind.CHOICE, 3, [1.0, 0.0, 3.0])


@pytest.mark.parametrize(
    "other",
    [
        lambda: torch.randint(5, 9, (21,)),
        lambda: torch.randint(5, 8, (20,)),
        lambda: torch.rand(20),
        lambda: (torch.randint(5, 9, (20,)), torch.rand(1)),
        lambda: None,
    ],
    ids=["shape", "bound", "law", "more", "fewer"],
)
def test_another_sequence_of_draws_is_none_of_the_tapes(other: Callable[[], object]) -> None:
    _, draws = recorded(OTHERS["randint"])
    with pytest.raises(Diverged):
        played(other, draws)


def test_a_replay_that_ends_early_is_none() -> None:
    _, draws = recorded(OTHERS["two"])
    with pytest.raises(Diverged, match="1 draws instead of 2"):
        played(lambda: torch.rand(3), draws)


def test_a_generator_of_the_users_own_is_used() -> None:
    for make in (
        lambda own: empty().normal_(generator=own),
        lambda own: empty().uniform_(generator=own),
        lambda own: torch.randn(4, generator=own),
    ):
        first, second = (recorded(lambda: make(torch.Generator().manual_seed(3)), seed)[0] for seed in (0, 1))  # noqa: B023
        assert torch.equal(first, second)


def test_attention_draws_nothing() -> None:
    """It bears the tag of operators that draw, for its dropout."""
    heads = torch.ones(1, 1, 4, 8)
    assert recorded(lambda: torch.nn.functional.scaled_dot_product_attention(heads, heads, heads))[1] == ()
