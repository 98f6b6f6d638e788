"""A network as chains of several numbers of steps: PKL_i, and the divergence KL(q || p^(i)) that it bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from reproflow.evaluation.bound_cascade.profile import over_rows
from reproflow.evaluation.bound_cascade.rows import INCONCLUSIVE, NOTHING, REACH, REFUTED, SUPPORTED, row_of
from reproflow.evaluation.bound_cascade.subject import Subject
from reproflow.foundation import seeds
from reproflow.foundation.schema import Cascade
from reproflow.numerics.statistics import Measured, jackknife

TOLD = (0.0, 0.25, 0.5, 0.75)
"""Parts of the way from data to noise at which bounds are told."""
BLOCKS = 20


class Chains:
    """The same network as chains of several numbers of steps; parts of the way are from data (0) to noise (1)."""

    def __init__(self, subject: Subject, ends: tuple[float, float], settings: Cascade, scope: tuple[str, str]) -> None:
        self.subject, self.ends, self.settings, self.scope = subject, ends, settings, scope
        self._found: dict[int, dict[float, Measured]] = {}

    def level(self, part: float) -> float:
        """The noise level at a part of the way."""
        return self.ends[0] + part * (self.ends[1] - self.ends[0])

    def path_kls(self, steps: int) -> dict[float, Measured]:
        """PKL_i by the part of the way; the longest chain also tells those at which divergences are counted."""
        if steps not in self._found:
            parts = sorted({*TOLD, *(self.subject.counted if steps == self.settings.steps[-1] else ())})
            kept = torch.tensor([round(part * steps) for part in parts])
            generator = seeds.generator("cascade paths", *self.scope, steps)
            told = self.subject.paths(steps, 4 * self.settings.images, kept, generator, self.ends)
            self._found[steps] = {part: over_rows(row) for part, row in zip(parts, told, strict=True)}
        return self._found[steps]

    def data_model_kls(self) -> list[dict[str, Any]]:
        """KL(q || p^(i)) of the longest chain."""
        steps, parts, labels = self.settings.steps[-1], self.subject.counted, self.subject.labels
        y = labels.repeat(self.settings.samples // len(labels) + 1)[: self.settings.samples]
        generator = seeds.generator("cascade samples", *self.scope, steps)
        kept = torch.tensor([round(part * steps) for part in parts])
        found = self.subject.occupation(steps, y, kept, generator, self.ends)
        limits = self.path_kls(steps)
        return [
            data_model_kl(self.subject.place(torch.tensor(self.level(part))), occupied, y, labels, limits[part])
            for part, occupied in zip(parts, found, strict=True)
        ]


def data_model_kl(where: str, occupied: Tensor, y: Tensor, labels: Tensor, limit: Measured) -> dict[str, Any]:
    """KL(q || p^(i)) from each sample's posterior over the points, occupied (S, N), by plug-in.

    y (S,) are the samples' classes, labels (N,) the points', `limit` the bound PKL_i (001; ST-3). Its error, and the
    bias of a logarithm of means, are the jackknife's over blocks of samples.
    """
    classes = [(labels == label, y == label) for label in labels.unique()]
    block = torch.arange(len(y)) % BLOCKS
    rare = sum(
        int((_blocks(occupied[samples][:, points] > 0, block[samples]) < 2).sum()) for points, samples in classes
    )
    if rare:
        why = f"{rare} of {len(labels)} points are behind too few of {len(y)} samples; more samples are needed"
        return row_of("data_model_kl", where, NOTHING, limit) | {"verdict": INCONCLUSIVE, "reason": why}

    def divergence(kept: Sequence[int]) -> float:
        inside = torch.isin(block, torch.as_tensor(list(kept)))
        parts = [
            (points.double().mean(), occupied[inside & samples][:, points].double()) for points, samples in classes
        ]
        return -float(sum(share * (of_class.mean(0) * of_class.shape[1]).log().mean() for share, of_class in parts))

    seen = jackknife(divergence, range(BLOCKS), corrected=True)
    gap, error = seen.mean - limit.value, REACH * math.hypot(seen.se, limit.se)
    verdict = INCONCLUSIVE
    if gap + error <= 0:
        verdict = SUPPORTED
    elif gap - error > 0:
        verdict = REFUTED
    return row_of("data_model_kl", where, Measured(seen.mean, seen.se), limit) | {"verdict": verdict}


def _blocks(reached: Tensor, block: Tensor) -> Tensor:
    """In how many blocks of samples each point is reached, (N,): reached (S, N) bool, block (S,)."""
    return torch.stack([reached[block == each].any(0) for each in range(BLOCKS)]).sum(0)
