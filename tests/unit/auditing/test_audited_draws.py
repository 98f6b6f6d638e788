"""Values for draws by their kind, and the numbers that a network is given beside its state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from reproflow.auditing import arguments, draws
from reproflow.auditing.evaluation import Evaluator
from reproflow.auditing.reading import Subject
from reproflow.auditing.tape import Draw, Kind

U = np.array([0.1, 0.5, 0.9])


def drawn(kind: Kind, standard: torch.Tensor, **facts: object) -> Draw:
    return Draw("op", kind, standard, "f.py", 1, **facts)


def test_quantiles_are_those_of_the_standard_law() -> None:
    uniform, normal = (drawn(kind, torch.zeros(3, dtype=torch.float64)) for kind in (Kind.UNIFORM, Kind.NORMAL))
    assert draws.standard(uniform, U).numpy() == pytest.approx(U)
    assert draws.standard(normal, U).numpy() == pytest.approx(stats.norm.ppf(U))


def test_a_draw_is_filled_in_its_own_shape_and_the_last_value_repeated() -> None:
    draw = drawn(Kind.UNIFORM, torch.zeros(2, 2))
    assert draws.filled(draw, torch.tensor([1.0, 2.0, 3.0])).tolist() == [[1, 2], [3, 3]]
    assert draws.filled(draw, torch.arange(6.0)).tolist() == [[0, 1], [2, 3]]


def test_other_values_are_of_the_draws_own_kind() -> None:
    random = torch.Generator().manual_seed(0)
    integers = draws.fresh(drawn(Kind.INTEGER, torch.zeros(500, dtype=torch.long), low=3, high=6), random)
    assert set(integers.tolist()) == {3, 4, 5}
    order = draws.fresh(drawn(Kind.PERMUTATION, torch.arange(50)), random)
    assert sorted(order.tolist()) == list(range(50)) != order.tolist()
    weights = torch.tensor([1.0, 0.0, 3.0])
    chosen = draws.fresh(drawn(Kind.CHOICE, torch.zeros(500, dtype=torch.long), weights=weights, high=3), random)
    assert set(chosen.tolist()) == {0, 2}
    once = draws.fresh(drawn(Kind.CHOICE, torch.tensor([2, 0]), weights=weights, high=3), random)
    assert sorted(once.tolist()) == [0, 2]
    uniform, normal = (draws.fresh(drawn(kind, torch.zeros(500)), random) for kind in (Kind.UNIFORM, Kind.NORMAL))
    assert 0 <= float(uniform.min()) < 0.1 < 0.9 < float(uniform.max()) < 1
    assert float(normal.min()) < -1
    assert draws.fresh(drawn(Kind.OTHER, torch.arange(4)), random).tolist() == [3, 2, 1, 0]


def test_the_share_of_draws_counts_half_of_the_equal_ones() -> None:
    found = draws.share(np.array([-1.0, 0.0, 1.5, 3.0, 9.0]), np.array([3.0, 0.0, 1.0, 2.0]))
    assert found == pytest.approx([0.125, 0.125, 0.5, 0.875, 0.875])


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (2, [2.0, 2.0]),
        (True, None),
        (torch.tensor(3.0), [3.0, 3.0]),
        (torch.tensor([1.0, 2.0]), [1.0, 2.0]),
        (torch.tensor([1, 2]).reshape(2, 1, 1), [1.0, 2.0]),
        (torch.tensor([[1.0, 1.0], [2.0, 2.0]]), [1.0, 2.0]),
        (torch.tensor([[1.0, 1.0], [2.0, 3.0]]), None),
        (torch.tensor([1.0, 2.0, 3.0]), None),
        (torch.tensor([True, False]), None),
        ("words", None),
    ],
)
def test_what_is_one_number_a_sample(value: object, numbers: list[float] | None) -> None:
    found = arguments.numbers(value, 2)
    assert (None if found is None else found.tolist()) == numbers


def test_which_arguments_move_with_a_draw() -> None:
    def loss(model, x1):
        t, s = torch.rand(2), torch.rand(2)
        return model(x1 * t[:, None], t, level=float(t[0]), image=s[:, None].expand(2, 3) * x1, flag=True).sum()

    evaluator = Evaluator(Subject(loss, (3,), 2))
    base = evaluator.record(torch.ones(2, 3), 0)
    moved = [
        arguments.moved_arguments(base, evaluator.replay(base, replaced={index: torch.tensor([0.1, 0.2])}), 0)
        for index in (0, 1)
    ]
    assert moved == [{"arg1", "level"}, {"image"}]
    assert set(arguments.given(base, 0)) == {"arg1", "level", "image"}


def test_evaluations_are_alike_that_draw_and_call_alike() -> None:
    def loss(model, x1):
        more = torch.rand(()) < 0.5
        return model(x1).sum() + (torch.rand(()) if more else 0)

    evaluator = Evaluator(Subject(loss, (3,), 2))
    found = [evaluator.record(torch.ones(2, 3), seed) for seed in range(8)]
    counts = [len(each.draws) for each in found]
    assert set(counts) == {1, 2}
    assert [draws.alike(each, found[0]) for each in found] == [count == counts[0] for count in counts]
