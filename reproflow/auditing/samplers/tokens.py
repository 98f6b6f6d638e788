"""A sampler of masked tokens, run with the exact network of tokens drawn apart: each token must come out as often.

Where the tokens of a sentence do not depend on each other, the best answer at a masked place is the law of that place,
whatever else is seen and whatever the level; so any order and any number of steps gives the law. Even and odd places
have different laws: a shift by one shows. A score (of score entropy) is the law times (1 - m)/m at the masking rate m.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reproflow.auditing.reading import MeasuredTokens, Reading, Subject
from reproflow.auditing.samplers import calling
from reproflow.auditing.samplers.answers import by_law, not_run, refused
from reproflow.auditing.samplers.calling import Sampler
from reproflow.auditing.samplers.comparison import CHANCE, Compared
from reproflow.auditing.samplers.minimisers import time_given
from reproflow.foundation.errors import UsageError

NUMBERS = 16384
"""How many tokens are sampled, about."""
FEWEST = 16
WORDS = 6
"""How many tokens have a probability above zero."""
RATIO = 0.6
"""The probability of a token by that of the one before it."""
NOTHING = -30.0
"""The logit of a token that never occurs."""
ROUNDING = 0.003
"""What is allowed besides: some codes draw with noise of single precision."""
PLACES = ("even places", "odd places")
SCORES = "score entropy"


def check(subject: Subject, reading: Reading, measured: MeasuredTokens, sampler: Sampler) -> dict[str, Any]:
    """As `run.check`, for tokens.

    Raises `UsageError` for a sampler that cannot be called, or that does not return tokens.
    """
    ids = {each.id for each in reading.findings}
    if ids & {"wrong-label", "label-smoothing", "not-absorbing"}:
        return not_run("the loss's minimiser is not the law of the tokens at a place")
    network = ExactTokens(subject, reading, measured)
    count = max(FEWEST, math.ceil(NUMBERS / math.prod(subject.shape)))
    samples = calling.call(sampler, network, count, subject.shape, subject.seed)
    if not network.calls:
        raise UsageError("the sampler never calls the network that it is given.")
    if samples.is_floating_point():
        raise UsageError("the sampler returned numbers with a fraction: return tokens, whole numbers.")
    return judged(samples.reshape(count, -1), network.laws, subject.mask)


def judged(samples: Tensor, laws: Tensor, mask: int | None) -> dict[str, Any]:
    """The answer for samples (n, L), whose places have the two laws by turns."""
    rows = [row for parity, where in enumerate(PLACES) for row in _rows(where, samples[:, parity::2], laws[parity])]
    answer: dict[str, Any] = {"steps": None, "laws": by_law(rows), "settled": [], "findings": []}
    left = 0.0 if mask is None else float(torch.eq(samples, mask).double().mean())
    if left:
        return answer | refused(f"{100 * left:.3g} % of the tokens are still masked at the end", "")
    worst = max(rows, key=lambda each: each.off)
    words = f"{worst.name} {worst.found:.3g} for {worst.wanted:.3g} at {worst.law}"
    if worst.off <= 1:
        return answer | {"verdict": "right", "reason": f"tokens of a known law come out of it; at worst {words}"}
    if all(sharper([each for each in rows if each.law == where]) for where in PLACES):
        return answer | refused(words, "likely tokens come out more often than the network says", "sampler-sharper")
    return answer | refused(words, "")


def _rows(where: str, drawn: Tensor, law: Tensor) -> list[Compared]:
    """How often each token that occurs came out at some places."""
    count, width = drawn.numel(), len(law)
    if not count:
        return []
    inside = drawn[(drawn >= 0) & (drawn < width)].long()
    share = torch.bincount(inside, minlength=width).double() / count
    found = []
    for token in (law > 0).nonzero().flatten().tolist():
        p = float(law[token])
        allowed = CHANCE * math.sqrt(p * (1 - p) / count) + ROUNDING
        found.append(Compared(where, f"share of token {token}", p, float(share[token]), None, allowed, p))
    return found


def sharper(rows: Sequence[Compared]) -> bool:
    """Whether some places have their tokens in the right order, and the likeliest too often: a temperature."""
    ordered = sorted(rows, key=lambda each: -each.wanted)
    if not ordered:
        return True
    found = [each.found for each in ordered]
    in_order = all(a >= b - ROUNDING for a, b in itertools.pairwise(found))
    return in_order and found[0] > ordered[0].wanted and math.isclose(sum(found), 1, abs_tol=ROUNDING)


class ExactTokens(nn.Module):
    """Called as the loss calls its network, it gives the logits (or log scores) of tokens drawn apart."""

    def __init__(self, subject: Subject, reading: Reading, measured: MeasuredTokens) -> None:
        super().__init__()
        assert subject.vocabulary is not None
        self.dummy = nn.Parameter(torch.zeros(1))
        self._shape, self._time = subject.shape, next((a.name for a in reading.arguments if a.role == "time"), "")
        width = max(subject.vocabulary, 0 if subject.mask is None else subject.mask + 1)
        self.laws = _laws(width, subject.mask)
        self._scores = _Scores(measured) if reading.form.form == SCORES else None
        self.calls = 0

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Logits of shape (n, *shape, vocabulary)."""
        self.calls += 1
        named = {**{f"arg{place}": value for place, value in enumerate(args)}, **kwargs}
        fits = [key for key, each in named.items() if isinstance(each, Tensor) and each.shape[1:] == self._shape]
        if not fits:
            wanted = ", ".join(map(str, self._shape))
            raise UsageError(f"it calls the network without tokens of shape (n, {wanted})")
        tokens = named[fits[0]]
        place = torch.arange(math.prod(self._shape)) % 2
        logits = torch.log(self.laws[place]).clamp_min(NOTHING).float().reshape(*self._shape, -1)
        answer = logits.expand(len(tokens), *logits.shape).to(tokens.device).clone()
        if self._scores is not None:
            shift = self._scores.at(time_given(named, fits[0], len(tokens), self._time)).to(answer)
            answer += shift.reshape(-1, *[1] * (answer.ndim - 1))
        return answer


class _Scores:
    """log((1 - m)/m) by the number that the network is given."""

    def __init__(self, measured: MeasuredTokens) -> None:
        order = np.argsort(measured.given)
        self._given, m = measured.given[order], measured.m[order]
        if not np.isfinite(self._given).all():
            raise UsageError("the loss gives its network no level, which a score depends on.")
        self._ratio = np.log1p(-m) - np.log(m)

    def at(self, given: np.ndarray) -> Tensor:
        """One number a sample."""
        return torch.tensor(np.interp(given, self._given, self._ratio))


def _laws(width: int, mask: int | None) -> Tensor:
    """(2, width): the law of even places, and that of odd ones, which has the same tokens the other way round."""
    words = [token for token in range(width) if token != mask]
    chosen = [words[place] for place in np.unique(np.linspace(0, len(words) - 1, WORDS).round().astype(int))]
    p = RATIO ** np.arange(len(chosen))
    laws = torch.zeros(2, width, dtype=torch.float64)
    laws[0, chosen] = torch.tensor(p / p.sum())
    laws[1, chosen] = torch.tensor(p[::-1] / p.sum())
    return laws
