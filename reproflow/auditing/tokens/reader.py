"""Gradients of a masked loss with a share of its tokens masked: the form, and the coefficient."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation
from reproflow.auditing.findings import Finding
from reproflow.auditing.reading import Subject
from reproflow.auditing.tokens import gradients, masks
from reproflow.auditing.tokens.gradients import Fit
from reproflow.auditing.tokens.masks import Masking
from reproflow.auditing.tokens.opening import Graded

FITTED = 2e6
"""Logits of the positions at which the form is fitted, at most."""


class Reader:
    """One loss whose masking can be set; `hidden` is what was masked at the last fit."""

    def __init__(self, subject: Subject, graded: Graded, masking: Masking) -> None:
        self.subject = subject
        self.graded = graded
        self.evaluator, self.base, self.call = graded.evaluator, graded.base, graded.call
        self.masking = masking
        self.findings: list[Finding] = []
        self.time = ""
        """The argument that tells the level, once the table is read."""
        self.shift = 0
        """The answer at position j is graded against the token at j + shift, as causal networks do."""
        generator = torch.Generator().manual_seed(7)
        shape = (len(self.base.x1), *self.evaluator.answer)
        self.answers = [torch.randn(shape, generator=generator) for _ in range(3)]

    def rates(self, base: Evaluation, replaced: dict[int, Tensor], narrow: float = masks.NARROW) -> Tensor:
        """The rate of every sample, float64 (B,)."""
        return masks.rates(self.evaluator, base, self.call, self.masking, replaced, narrow)

    def gradients_at(
        self, base: Evaluation, replaced: Mapping[int, Tensor], share: float
    ) -> tuple[list[Tensor], Tensor, Evaluation]:
        """The gradients at three sets of logits, what is masked, and the last evaluation, a share of tokens masked."""
        changed = dict(replaced)
        if not self.masking.ranks:
            changed[self.masking.draw] = self.masking.forced(base, share)
        seen = [self.evaluator.replay(base, answers={self.call: answer}, replaced=changed) for answer in self.answers]
        taken = [each.gradients[self.call] for each in seen]
        zero = torch.zeros_like(self.answers[0])
        return [zero if each is None else each for each in taken], masks.replaced(seen[-1], self.call), seen[-1]

    def fit(self, base: Evaluation, replaced: Mapping[int, Tensor], share: float) -> tuple[Fit, Tensor]:
        """The form at some masked positions of every sample, and (N, 2) where they are."""
        taken, hidden, seen = self.gradients_at(base, replaced, share)
        taken = [self._graded_at(each) for each in taken]
        hidden = hidden & self._graded_at(torch.ones_like(hidden))
        self.last = seen
        self.taken, self.hidden = taken, hidden
        where = self._some(hidden)
        at = where[:, 0], where[:, 1]
        state = seen.calls[self.call].state
        assert state is not None
        answers = [self._graded_at(each)[at] for each in self.answers]
        fit = gradients.fit(answers, [each[at] for each in taken], base.x1[at], state[at])
        return fit, where

    def _graded_at(self, values: Tensor) -> Tensor:
        """Values (B, L, ...) by position of the answer, moved to the labels' positions; zero where there is none."""
        moved = torch.roll(values, self.shift, 1)
        if self.shift > 0:
            moved[:, : self.shift] = 0
        elif self.shift < 0:
            moved[:, self.shift :] = 0
        return moved

    def _some(self, hidden: Tensor) -> Tensor:
        """(N, 2): a few masked positions of every sample, as memory allows."""
        width = self.answers[0].shape[-1]
        each = int(max(1, min(4, FITTED // (width * len(hidden)))))
        return torch.cat(
            [
                torch.stack([torch.full_like(row, sample), row], 1)
                for sample, places in enumerate(hidden)
                for row in [torch.nonzero(places).flatten()[:: max(1, int(places.sum()) // each)][:each]]
            ]
        )

    def coefficients(self, base: Evaluation, replaced: Mapping[int, Tensor], share: float) -> Tensor:
        """The coefficient (B,) on the cross-entropy of a masked token; NaN where a sample has none masked."""
        fit, where = self.fit(base, replaced, share)
        values = [fit.c[where[:, 0] == sample] for sample in range(len(base.x1))]
        return torch.stack([each.median() if len(each) else torch.tensor(torch.nan).double() for each in values])
