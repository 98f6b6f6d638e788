"""What is read off a loss of masked tokens: rates, coefficients, and what is wrong with it."""

from __future__ import annotations

import masked_losses as losses
import numpy as np
import pytest

from reproflow.auditing.reading import MeasuredTokens, Reading, Subject
from reproflow.auditing.tokens.instrument import read
from reproflow.foundation.errors import UsageError


def reading(loss) -> Reading:
    return read(Subject(loss, (losses.L,), vocabulary=losses.V, mask=losses.M))


def measured(found: Reading) -> MeasuredTokens:
    assert isinstance(found.measured, MeasuredTokens)
    return found.measured


def ids(found: Reading) -> set[str]:
    return {each.id for each in found.findings}


EPS = losses.EPS
RIGHT = {
    "mdlm": (losses.mdlm, lambda m: 1 / m, lambda m: 1 - (m / (1 - EPS) - EPS) / (1 - EPS), set()),
    "llada": (losses.llada, lambda m: 1 / m, lambda m: 1 - (m - EPS) / (1 - EPS), {"mask-logit"}),
    "sedd": (losses.sedd, lambda m: 1 / m, lambda m: 1 - (m / (1 - EPS) - EPS) / (1 - EPS), set()),
    "simple": (losses.simple, lambda m: 1 + 0 * m, lambda m: 1 - m, {"mask-logit", "one-time-a-batch"}),
    "cosine": (
        losses.mdlm_independent,
        lambda m: np.sqrt(1 - m**2) / m,
        lambda m: 1 - (1 - 2 / np.pi * np.arccos(m) - EPS) / (1 - EPS),
        set(),
    ),
}


@pytest.mark.parametrize(("loss", "coefficient", "law", "expected"), RIGHT.values(), ids=RIGHT)
@pytest.mark.default_cases(2)
def test_rates_coefficients_and_law_are_those_of_the_code(loss, coefficient, law, expected) -> None:
    """c to a constant: 3e-5, and five roundings of alpha = 1 - m in the code's own single precision, 2^-25 each."""
    found = reading(loss)
    assert ids(found) == expected
    table = measured(found)
    ratio = table.c / coefficient(table.m)
    assert (np.abs(ratio / np.median(ratio) - 1) < 3e-5 + 5 * 2**-25 / (1 - table.m)).all()
    assert np.abs(table.law - law(table.m)).max() < (2e-3 if table.read == "ranks" else 1e-5)
    assert (np.diff(table.m) < 0).all()


def test_another_weight_is_not_taken_for_it() -> None:
    """The control of the test above."""
    table = measured(reading(losses.simple))
    ratio = table.c * table.m
    assert np.abs(ratio / np.median(ratio) - 1).max() > 0.5


def test_steps_are_read_one_by_one() -> None:
    table = measured(reading(losses.steps))
    assert table.steps
    assert len(table.m) == 100
    assert np.abs(table.m - np.arange(100, 0, -1) / 100).max() < 1e-7
    assert np.abs(table.law - 0.01).max() < 1e-15
    assert np.abs(table.c * table.m / (table.c * table.m)[0] - 1).max() < 1e-5
    assert (table.given == np.arange(100, 0, -1)).all()


def test_forms_are_told_apart() -> None:
    forms = {each.__name__: reading(each).form.form for each in (losses.mdlm, losses.sedd, losses.generalised_kl)}
    assert forms == {"mdlm": "cross-entropy", "sedd": "score entropy", "generalised_kl": "generalised kl"}


WRONG = {
    "shown_count": "shown-tokens-count",
    "smoothed": "label-smoothing",
    "shifted": "wrong-label",
    "token_as_mask": "mask-in-data",
    "only_shown": "no-gradient-masked",
    "uniform_noise": "not-absorbing",
    "normalised": "weight-normalised",
    "random_weight": "weight-random",
    "rare_first": "mask-by-data",
    "no_gradient": "no-gradient",
    "counts": "counts",
    "maskgit": "counts",
    "generalised_kl": "shown-tokens-count",
}


@pytest.mark.parametrize(("name", "expected"), WRONG.items(), ids=WRONG)
@pytest.mark.default_cases(4)
def test_what_is_wrong_is_named(name: str, expected: str) -> None:
    found = reading(getattr(losses, name))
    assert ids(found) - {"mask-logit"} == {expected}


def test_smoothing_is_read_off() -> None:
    finding = next(each for each in reading(losses.smoothed).findings if each.id == "label-smoothing")
    assert "0.9048" in finding.evidence  # 1 - 0.1 + 0.1 / 21


def test_draws_have_their_roles_and_lines() -> None:
    found = reading(losses.llada)
    assert [each.role for each in found.draws] == ["control", "time", "mask"]
    assert {each.file for each in found.draws} == {losses.__file__}
    assert len({each.line for each in found.draws}) == 3


def test_a_loss_that_does_not_repeat_is_refused() -> None:
    rng = np.random.default_rng()

    def loss(model, x1):
        import torch

        masked = torch.from_numpy(rng.random(x1.shape)) < 0.5
        return losses._ce(model(torch.where(masked, losses.M, x1)), x1)[masked].sum()

    with pytest.raises(UsageError, match="does not repeat"):
        reading(loss)
