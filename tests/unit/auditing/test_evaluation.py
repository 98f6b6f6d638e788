"""One evaluation of a loss: value and gradient, what was recorded of the network's calls, seeds, and what is left."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation, Evaluator, generators_kept
from reproflow.auditing.reading import Loss, Subject
from reproflow.auditing.tape import Diverged
from reproflow.foundation.errors import UsageError

SHAPE = (2, 3)
X1 = torch.linspace(-1, 1, 24).reshape(4, *SHAPE)
ANSWERS = {0: torch.full((4, *SHAPE), 0.5), 1: torch.full((4, *SHAPE), 2.0)}


def evaluator(loss: Loss, double: bool = False) -> Evaluator:
    return Evaluator(Subject(loss, SHAPE, len(X1), double))


def record(loss: Loss) -> Evaluation:
    return evaluator(loss).record(X1, 0, ANSWERS)


@pytest.mark.parametrize(
    "shaped",
    [
        lambda error: error,
        lambda error: error.flatten(1).sum(1),
        lambda error: error.sum(),
        lambda error: {"mse": 0 * error, "loss": error},
        lambda error: (error, 7.0 * error),
        lambda error: [error.sum(), 1.0],
    ],
    ids=["elements", "samples", "number", "dictionary", "tuple", "list"],
)
def test_value_and_gradient_are_those_of_the_sum(shaped) -> None:
    found = record(lambda model, x1: shaped((model(x1) - x1) ** 2))
    assert found.value == pytest.approx(float(((0.5 - X1) ** 2).sum()), rel=1e-6)
    assert torch.allclose(found.gradients[0], 2 * (0.5 - X1))


def test_gradients_of_a_backward_inside_are_read() -> None:
    found = record(lambda model, x1: ((model(x1) - x1) ** 2).sum().backward())
    assert np.isnan(found.value)
    assert torch.allclose(found.gradients[0], 2 * (0.5 - X1))


def test_each_call_has_its_own_answer() -> None:
    found = record(lambda model, x1: (3 * model(x1) * model(x1).detach()).sum())
    assert found.gradients[1] is None
    assert torch.equal(found.gradients[0], torch.full_like(X1, 6.0))
    assert found.graded == (0,)


def test_an_argument_is_recorded_as_it_was_given() -> None:
    def loss(model, x1):
        state = x1 + 1
        answer = model(state)
        state.mul_(0)
        return answer.sum()

    assert torch.equal(record(loss).calls[0].state, X1 + 1)


def test_the_state_is_the_first_channels_of_a_larger_argument() -> None:
    found = record(lambda model, x1: model(torch.cat([2 * x1, x1 * 0], 1))[:, :2].sum())
    assert torch.equal(found.calls[0].state, 2 * X1)


def test_the_state_is_seen_under_vmap() -> None:
    found = record(lambda model, x1: torch.vmap(model)(2 * x1).sum())
    assert torch.equal(found.calls[0].state, 2 * X1)
    assert torch.equal(found.gradients[0], torch.ones_like(X1))


def test_forward_derivatives_are_noted() -> None:
    def loss(model, x1):
        answer, slope = torch.func.jvp(model, (x1,), (torch.ones_like(x1),))
        return (answer + slope).sum()

    assert record(loss).differentiated == "jvp"
    assert record(lambda model, x1: model(x1).sum()).differentiated == ""


def test_a_batch_that_is_changed_in_place_is_noted_and_whole() -> None:
    before = X1.clone()
    assert record(lambda model, x1: model(x1.mul_(2)).sum()).changed
    assert torch.equal(before, X1)
    assert not record(lambda model, x1: model(2 * x1).sum()).changed


@pytest.mark.parametrize("draw", [lambda: np.random.rand(), random.random])  # noqa: NPY002
def test_draws_that_are_not_torchs_follow_the_seed(draw) -> None:
    at = evaluator(lambda model, x1: draw() * model(x1).sum())
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    first = at.record(X1, 0, ANSWERS)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert at.replay(first).value == first.value
    assert at.replay(first, seed=1).value != first.value


def test_torchs_own_draws_follow_the_tape() -> None:
    at = evaluator(lambda model, x1: torch.rand(1) * model(x1).sum())
    first = at.record(X1, 0, ANSWERS)
    assert at.replay(first, seed=1).value == first.value
    assert at.replay(first, replaced={0: torch.zeros(1)}).value == 0


def test_a_replay_calls_the_network_as_often() -> None:
    def loss(model, x1):
        more = torch.rand(()) < 0.5
        return model(x1).sum() + (model(x1).sum() if more else 0)

    at = evaluator(loss)
    for seed in range(6):
        base = at.record(X1, seed, ANSWERS)
        other = 0.8 if len(base.calls) == 2 else 0.2
        with pytest.raises(Diverged, match="calls of the network"):
            at.replay(base, replaced={0: torch.tensor(other)})


def test_the_global_generators_are_as_they_were() -> None:
    def drawn() -> tuple[float, float, float]:
        return float(torch.rand(1)), np.random.rand(), random.random()  # noqa: NPY002

    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    expected = drawn()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    with generators_kept():
        drawn()
    assert drawn() == expected


def test_the_users_own_tensors_have_the_audits_precision() -> None:
    seen: list[torch.dtype] = []

    def loss(model, x1):
        seen.append(torch.zeros(1).dtype)
        return model(x1).sum()

    evaluator(loss, double=True).record(X1.double(), 0)
    assert seen == [torch.float64]
    assert torch.get_default_dtype() is torch.float32


def helper() -> Tensor:
    raise ValueError("no labels")


def test_an_error_has_the_line_that_raised_it() -> None:
    with pytest.raises(UsageError, match=rf"test_evaluation.py:{helper.__code__.co_firstlineno + 1}\): no labels"):
        record(lambda model, x1: model(x1) + helper())


def test_a_type_error_inside_is_not_that_of_the_signature() -> None:
    with pytest.raises(UsageError, match="the loss raised TypeError"):
        record(lambda model, x1: model(x1) + "a")
