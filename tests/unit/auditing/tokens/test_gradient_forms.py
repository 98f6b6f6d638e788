"""Forms of a loss on logits, from gradients that are written down by their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from reproflow.auditing.tokens import gradients

N, V, X = 6, 5, 4
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = [torch.randn(N, V, generator=GENERATOR, dtype=torch.float64) for _ in range(3)]
Y = torch.arange(N) % (V - 1)
E = one_hot(Y, V).double()
C = torch.linspace(0.5, 3, N, dtype=torch.float64)
RATIO = torch.linspace(0.2, 2, N, dtype=torch.float64)
STAYING = torch.linspace(1, 0.1, N, dtype=torch.float64)


def fit(gradient) -> gradients.Fit:
    return gradients.fit(LOGITS, [gradient(each) for each in LOGITS], Y, torch.full((N,), X))


def without_mask(s: Tensor) -> Tensor:
    """The softmax over all but the mask's logit, which gets no gradient."""
    return s.masked_fill(torch.arange(V) == X, -torch.inf).softmax(-1)


@pytest.mark.parametrize("softmax", [lambda s: s.softmax(-1), without_mask])
@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_cross_entropy(softmax, smooth: float) -> None:
    active = softmax(LOGITS[0])[0] > 0
    labels = (1 - smooth) * E + smooth * active / active.sum()
    found = fit(lambda s: C[:, None] * (softmax(s) - labels))
    assert (found.form, found.active.tolist()) == ("cross-entropy", active.tolist())
    assert torch.allclose(found.c, C)
    assert torch.allclose(found.labels, labels, atol=1e-9)


def test_score_entropy_weighs_by_its_ratio() -> None:
    def gradient(s: Tensor) -> Tensor:
        scores = s.exp() * (torch.arange(V) != X)
        return C[:, None] * (scores - RATIO[:, None] * E)

    found = fit(gradient)
    assert found.form == "score entropy"
    assert torch.allclose(found.c, C * RATIO)


def test_generalised_kl_has_a_coefficient_of_its_own_for_staying() -> None:
    given = one_hot(torch.full((N,), X), V).double()

    def gradient(s: Tensor) -> Tensor:
        p = s.softmax(-1)
        return C[:, None] * (p - E) + (STAYING * p[:, X])[:, None] * (given - p)

    found = fit(gradient)
    assert found.form == "generalised kl"
    assert torch.allclose(found.c, C)


def test_a_gradient_of_another_form_has_none() -> None:
    """Squared errors of the probabilities."""

    def gradient(s: Tensor) -> Tensor:
        p = s.softmax(-1)
        error = p - E
        return 2 * p * (error - (error * p).sum(-1, keepdim=True))

    found = fit(gradient)
    assert found.form == "other"
    assert found.residual > 0.1
