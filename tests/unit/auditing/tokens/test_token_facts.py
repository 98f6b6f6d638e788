"""Rates, laws and roles of masked losses that are drawn in unusual ways, and tables made by hand."""

from __future__ import annotations

import masked_losses as losses
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming.density import Weight
from reproflow.auditing.reading import MeasuredTokens, Reading, Subject
from reproflow.auditing.tokens import naming, opening
from reproflow.auditing.tokens.instrument import read
from reproflow.auditing.tokens.rates import Rates
from reproflow.foundation.errors import UsageError


def reading(loss) -> Reading:
    return read(Subject(loss, (losses.L,), vocabulary=losses.V, mask=losses.M))


def graded(model, x1, rate, hidden):
    logits = model(torch.where(hidden, losses.M, x1), rate)[..., : losses.M]
    return (F.cross_entropy(logits.transpose(1, 2), x1, reduction="none") * hidden).sum(1) / rate


def test_a_loss_may_mask_where_its_uniforms_are_large() -> None:
    def loss(model, x1):
        rate = 0.01 + 0.98 * torch.rand(len(x1))
        return graded(model, x1, rate, torch.rand(x1.shape) > 1 - rate[:, None])

    found = reading(loss)
    assert found.findings == ()
    assert {each.name: each.role for each in found.arguments} == {"arg0": "state", "arg1": "time"}
    assert found.form.reduction == "a number a sample"
    assert np.abs(found.measured.m - found.measured.given).max() < 1e-6
    assert np.abs(found.measured.law - (0.99 - found.measured.m) / 0.98).max() < 1e-5


def test_normal_times_have_their_law() -> None:
    def loss(model, x1):
        rate = torch.sigmoid(torch.randn(len(x1)))
        return graded(model, x1, rate, torch.rand(x1.shape) < rate[:, None])

    found = reading(loss).measured
    expected = 1 - torch.special.ndtr(torch.logit(torch.from_numpy(found.m))).numpy()
    assert found.read == "quantiles"
    assert np.abs(found.law - expected).max() < 1e-5


def test_times_that_hang_together_are_drawn() -> None:
    def loss(model, x1):
        rate = 0.01 + 0.98 * torch.rand(len(x1)).sort().values
        return graded(model, x1, rate, torch.rand(x1.shape) < rate[:, None])

    found = reading(loss).measured
    assert found.read == "drawn"
    assert len(np.unique(found.m)) > 200


def test_a_gradient_of_another_form_is_told() -> None:
    def loss(model, x1):
        rate = 0.01 + 0.98 * torch.rand(len(x1))
        hidden = torch.rand(x1.shape) < rate[:, None]
        p = model(torch.where(hidden, losses.M, x1), rate).softmax(-1)
        return ((p - F.one_hot(x1, losses.V + 1)).square().sum(-1) * hidden).sum(1)

    assert [each.id for each in reading(loss).findings][-1] == "not-affine"


def test_data_never_have_the_mask() -> None:
    found = opening.tokens(Subject(print, (64,), vocabulary=8, mask=3), 32, 0)
    assert sorted(set(found.flatten().tolist())) == [0, 1, 2, 4, 5, 6, 7]


def test_tokens_have_one_length() -> None:
    with pytest.raises(UsageError, match="a shape of one number"):
        opening.graded(Subject(print, (3, 4), vocabulary=8, mask=8))


def rates(m: np.ndarray, law: np.ndarray, steps: bool = False, c: np.ndarray | None = None) -> Rates:
    read_as = "steps" if steps else "quantiles"
    return Rates.of(MeasuredTokens(m, m, 1 / m if c is None else c, law, 1e-8, 0, steps, read_as))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("c", "said"), [(lambda m: 1 / m, "certified"), (lambda m: 1 / m * (1 - 0.5 * m), "falsified")]
)
def test_a_table_of_steps_is_judged_as_a_chain(c, said: str) -> None:
    m = np.arange(50, 0, -1) / 50
    found = rates(m, np.full(50, 0.02), True, c(m))
    judged = naming._by_table(found, Weight(found.lam, found.c, found.c, found.c > 0, Times.STEPS, process="masked"))
    assert judged is not None
    assert (judged["by"], judged["bound"]["verdict"]) == ("table", said)
