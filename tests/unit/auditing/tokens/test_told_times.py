"""Which argument of the network is the time: the one that moves with the rate, wherever labels stand."""

from __future__ import annotations

import masked_losses as losses
import numpy as np
import pytest
import torch

from reproflow import audit
from reproflow.auditing.reading import MeasuredTokens, Reading, Subject
from reproflow.auditing.tokens.instrument import read

CLASSES = 10


def weighted(model_of, rates=torch.rand):
    """MDLM's loss, its network called by `model_of(model, zt, t)`."""

    def loss(model, x1):
        t = 0.01 + 0.98 * rates(len(x1))
        zt = losses._masked(x1, t)
        return (losses._ce(model_of(model, zt, t), x1) * (zt == losses.M) / t[:, None]).sum(1)

    return loss


def drawn(zt):
    return torch.randint(0, CLASSES, (len(zt),))


def held(zt):
    return torch.arange(len(zt)) % CLASSES


def dropped(zt):
    """Labels of which one in ten is dropped, by a draw of the kind and the shape of the rate's."""
    return held(zt).masked_fill(torch.rand(len(zt)) < 0.1, CLASSES)


def by_numpy(count):
    return torch.as_tensor(np.random.uniform(size=count), dtype=torch.float32)  # noqa: NPY002


RIGHT = {
    "labels before the time": (weighted(lambda model, zt, t: model(zt, drawn(zt), t)), "arg2"),
    "labels after the time": (weighted(lambda model, zt, t: model(zt, t, drawn(zt))), "arg1"),
    "labels without any time": (weighted(lambda model, zt, t: model(zt, drawn(zt))), None),
    "held labels before the time": (weighted(lambda model, zt, t: model(zt, held(zt), t)), "arg2"),
    "held labels without any time": (weighted(lambda model, zt, t: model(zt, held(zt))), None),
    "labels as fractions": (weighted(lambda model, zt, t: model(zt, held(zt).float(), t)), "arg2"),
    "labels as fractions, no time": (weighted(lambda model, zt, t: model(zt, held(zt).float())), None),
    "labels dropped before the time": (weighted(lambda model, zt, t: model(zt, dropped(zt), t)), "arg2"),
    "labels dropped, no time": (weighted(lambda model, zt, t: model(zt, y=dropped(zt))), None),
    "a strength before the time": (weighted(lambda model, zt, t: model(zt, torch.rand(len(zt)) * 4, t)), "arg2"),
    "steps after labels": (weighted(lambda model, zt, t: model(zt, drawn(zt), (1000 * t).long())), "arg2"),
    "numpy's rates, labels before": (weighted(lambda model, zt, t: model(zt, held(zt), t), by_numpy), "arg2"),
    "numpy's rates, labels alone": (weighted(lambda model, zt, t: model(zt, held(zt)), by_numpy), None),
    "numpy's rates, torch's labels": (weighted(lambda model, zt, t: model(zt, drawn(zt), t), by_numpy), "arg2"),
    "numpy's rates, numpy's labels": (
        weighted(lambda model, zt, t: model(zt, (CLASSES * by_numpy(len(zt))).long(), t), by_numpy),
        "arg2",
    ),
    "numpy's labels alone": (
        weighted(lambda model, zt, t: model(zt, (CLASSES * by_numpy(len(zt))).long()), by_numpy),
        None,
    ),
    "a constant": (weighted(lambda model, zt, t: model(zt, 0 * t)), "arg1"),
}


def of(loss) -> Reading:
    return read(Subject(loss, (losses.L,), vocabulary=losses.V, mask=losses.M))


@pytest.mark.parametrize(("loss", "time"), RIGHT.values(), ids=RIGHT)
@pytest.mark.default_cases(5)
def test_the_time_is_what_moves_with_the_rate(loss, time: str | None) -> None:
    found = of(loss)
    assert [each.name for each in found.arguments if each.role == "time"] == ([time] if time else [])
    assert isinstance(found.measured, MeasuredTokens)
    given = found.measured.given
    if time is None:
        assert np.isnan(given).all()
    elif np.ptp(given) > 0:
        order = np.argsort(given)
        assert (np.diff(found.measured.m[order]) >= 0).all()


ACCUSED = ("labels before the time", "labels without any time", "held labels without any time")


@pytest.mark.parametrize("key", ACCUSED)
@pytest.mark.default_cases(1)
def test_labels_are_no_reason_to_accuse(key: str) -> None:
    found = audit(RIGHT[key][0], (losses.L,), vocab=losses.V, mask=losses.M)
    assert {each.id for each in found.findings} == {"mask-logit"}
    assert found.exit_code == 0


WRONG = {
    "of another draw, after labels": lambda model, zt, t: model(zt, held(zt), torch.rand(len(zt))),
    "of the next sentence": lambda model, zt, t: model(zt, held(zt), t.roll(1)),
    "of the batch turned round": lambda model, zt, t: model(zt, held(zt), t.flip(0)),
}


@pytest.mark.parametrize("model_of", WRONG.values(), ids=WRONG)
@pytest.mark.default_cases(1)
def test_a_time_that_is_not_the_levels_is_accused_beside_labels(model_of) -> None:
    found = audit(weighted(model_of), (losses.L,), vocab=losses.V, mask=losses.M)
    assert {each.id for each in found.findings} == {"mask-logit", "time-not-level"}
    assert found.exit_code == 3
