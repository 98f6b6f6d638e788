"""Tokens drawn apart, in samplers of masked tokens: right ones, a shift by one, a temperature, masks that are left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_audits import reading, subject
from torch import Tensor

from reproflow.auditing.findings import Finding
from reproflow.auditing.reading import LossForm, MeasuredTokens
from reproflow.auditing.samplers import run
from reproflow.foundation.errors import UsageError

L, V, MASK = 32, 11, 10
M = np.linspace(0.999, 0.001, 200)
MEASURED = MeasuredTokens(M, M, 1 / M, np.linspace(0, 1, 200), 1e-8)
TOKENS = subject((L,), vocabulary=V, mask=MASK)
MASKED = replace(reading(None, (L,)), measured=MEASURED, form=LossForm("cross-entropy", "mean"))


def unmasking(change: Any = lambda p: p, shift: int = 0, stop: int = 0):
    """Places are unmasked in a random order, 4 at a time."""

    def sample(model: Any, n: int, steps: int = L // 4) -> Tensor:
        x = torch.full((n, L), MASK)
        order = torch.rand(n, L).argsort(1)
        for k in range(L // 4 - stop):
            p = change(model(x, torch.full((n,), 1 - 4 * k / L)).softmax(-1))
            drawn = torch.multinomial(p.reshape(-1, p.shape[-1]), 1).reshape(n, L).roll(shift, 1)
            places = order[:, 4 * k : 4 * k + 4]
            x.scatter_(1, places, drawn.gather(1, places))
        return x

    return sample


@pytest.mark.parametrize(
    ("sample", "verdict", "id"),
    [
        (unmasking(), "right", ""),
        (unmasking(shift=1), "wrong", "sampler-mismatch"),
        (unmasking(stop=1), "wrong", "sampler-mismatch"),
        (unmasking(lambda p: (p > 0.01).float()), "wrong", "sampler-mismatch"),
        (unmasking(lambda p: p**2), "wrong", "sampler-sharper"),
        (unmasking(lambda p: (p == p.amax(-1, keepdim=True)).float()), "wrong", "sampler-sharper"),
    ],
)
def test_tokens_come_out_as_often_as_their_law_says(sample: Any, verdict: str, id: str) -> None:
    found = run.check(TOKENS, MASKED, sample)
    assert found["verdict"] == verdict, found["reason"]
    assert [each["id"] for each in found["findings"]] == ([id] if id else [])
    assert {row["law"] for row in found["laws"]} == {"even places", "odd places"}


def test_scores_are_the_law_by_the_odds_of_the_level() -> None:
    scored = replace(MASKED, form=LossForm("score entropy", "mean"))
    seen: list[float] = []

    def sample(model: Any, n: int) -> Tensor:
        for m in (0.75, 0.5, 0.2):
            scores = model(torch.full((n, L), MASK), torch.full((n,), m)).double().exp()
            seen.extend([float(scores.sum(-1).mean()), (1 - m) / m])
        return torch.multinomial(scores.reshape(-1, V), 1).reshape(n, L)

    assert run.check(TOKENS, scored, sample)["verdict"] == "right"
    assert seen[::2] == pytest.approx(seen[1::2], rel=1e-2)
    untimed = replace(scored, measured=replace(MEASURED, given=np.full_like(M, np.nan)))
    with pytest.raises(UsageError, match="gives its network no level"):
        run.check(TOKENS, untimed, sample)


def test_what_cannot_be_said_of_tokens_is_not_said() -> None:
    smoothed = replace(MASKED, findings=(Finding("label-smoothing", "smoothed"),))
    assert run.check(TOKENS, smoothed, unmasking())["verdict"] == "not run"
    for sample, says in (
        (lambda model, n: model(torch.full((n, L), MASK)).softmax(-1)[..., 0], "return tokens, whole numbers"),
        (lambda model, n: torch.zeros(n, L, dtype=torch.long), "never calls the network"),
        (lambda model, n: model(torch.zeros(n, 3, dtype=torch.long)), "without tokens of shape"),
    ):
        with pytest.raises(UsageError, match=says):
            run.check(TOKENS, MASKED, sample)
