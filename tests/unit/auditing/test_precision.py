"""The coarsest format between the answers and the loss, and no other."""

from __future__ import annotations

import pytest
import torch

from reproflow.auditing.precision import coarsest

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cast_of_the_answer_counts(dtype: torch.dtype) -> None:
    """Also where it is cast back; formats finer than the answer's add nothing."""
    answer = torch.ones(3, dtype=torch.float32, requires_grad=True)
    loss = (answer.to(dtype) * 2).to(torch.float64).sum()
    assert coarsest(loss, torch.float32) == max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_the_answer_does_not_go_through_does_not(dtype: torch.dtype) -> None:
    answer = torch.ones(3, dtype=torch.float64, requires_grad=True)
    target = torch.ones(3, dtype=dtype) * 2
    assert coarsest((answer - target.double()).sum(), torch.float64) == torch.finfo(torch.float64).eps


@pytest.mark.parametrize("loss", [None, torch.tensor(1.0)])
def test_without_a_graph_it_is_the_answers_own(loss: torch.Tensor | None) -> None:
    assert coarsest(loss, torch.float32) == torch.finfo(torch.float32).eps
