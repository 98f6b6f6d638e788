"""Noise that is not torch's: its size is measured, and taken from a relation that all levels bear out."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from reproflow.auditing.continuous import unseen
from reproflow.auditing.continuous.instrument import read
from reproflow.auditing.continuous.solving import Levels
from reproflow.auditing.reading import Subject

SIZE = 192
A = np.linspace(0.05, 0.95, 200)


def levels(B: np.ndarray, given: np.ndarray = A, pull: object = 0.0, noise: float = 1.0) -> Levels:
    """B as measured on `SIZE` numbers, `pull` standard deviations of its square off; the target's b is -B."""
    rng = np.random.default_rng(0)
    off = noise * rng.standard_normal(len(A)) + pull
    seen = B * np.sqrt(1 + off * np.sqrt(2 / SIZE))
    values = dict.fromkeys((each.name for each in fields(Levels)), np.zeros_like(A))
    return Levels(**values | {"given": given, "A": A, "B": seen, "b": -seen})


RELATIONS = {
    "1 - A": (1 - A, A),
    "sqrt(1 - A^2)": (np.sqrt(1 - A**2), A),
    "the told time": (3 - 2 * A, 3 - 2 * A),
}


@pytest.mark.parametrize("name", RELATIONS)
def test_the_relation_that_holds_is_used(name: str) -> None:
    B, given = RELATIONS[name]
    limits: list[str] = []
    found = unseen.settled(levels(B, given), SIZE, limits)
    assert pytest.approx(B) == found.B
    assert pytest.approx(-B) == found.b
    assert f"B is taken to be {name}," in limits[0]


@pytest.mark.parametrize(
    "measured",
    [
        levels(1 - A**2, given=np.nan * A),
        levels(1 - A, pull=0.8),
        levels(1 - A, pull=3.0 * (-1) ** np.arange(200)),
    ],
    ids=["another path", "off by little at all levels", "off by much to both sides"],
)
def test_where_none_holds_the_noise_stays_as_measured(measured: Levels) -> None:
    limits: list[str] = []
    assert np.array_equal(unseen.settled(measured, SIZE, limits).B, measured.B)
    assert limits == ["the noise cannot be set: B is the size of what is not data, to a few percent a level"]


def test_a_loss_whose_noise_is_numpys() -> None:
    def loss(model, x1):
        t = torch.rand(len(x1))
        eps, s = torch.as_tensor(np.random.standard_normal(x1.shape), dtype=x1.dtype), t.view(-1, 1, 1, 1)  # noqa: NPY002
        return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)

    found = read(Subject(loss, (3, 4, 4), 16)).measured
    assert np.abs(found.A + found.B - 1).max() < 1e-6
    assert np.abs(found.a - 1).max() < 1e-4
    assert np.abs(found.b + 1).max() < 1e-4
