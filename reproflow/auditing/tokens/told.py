"""The argument that tells the network the level: the number that moves with the draws of the rate of masking.

Labels, guidance strengths and the like are numbers too, one a sample, and come before or after the time; they have
draws of their own, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing import arguments
from reproflow.auditing.draws import fresh
from reproflow.auditing.tape import Diverged, Draw, Kind
from reproflow.auditing.told_time import UNRELATED, relation

if TYPE_CHECKING:
    from reproflow.auditing.tokens.reader import Reader
    from reproflow.auditing.tokens.times import Times

OTHER_SEED = 1_000_003


@dataclass(frozen=True)
class Told:
    """`names` are the arguments that may be the time; `certain` says that one of them is, whatever its numbers are."""

    names: tuple[str, ...]
    certain: bool = True

    def chosen(self, given: Mapping[str, np.ndarray], m: np.ndarray) -> str:
        """The one whose numbers (P,) go best with the rates m (P,); empty where none is a time."""
        size = {name: np.nan_to_num(abs(relation(given[name], m))) for name in self.names}
        best = max(self.names, key=lambda name: size[name], default="")
        if not best or self.certain or size[best] > UNRELATED or np.ptp(given[best]) == 0:
            return best
        return ""


def candidates(reader: Reader, found: Times) -> Told:
    """The numbers that move with the rate's draws: torch's where they are known, else those that follow the seed.

    Of the latter a label may be one, so they have to go with the rate. Without any, a time that is drawn as the rate
    is, and yet by another draw; else a constant.
    """
    numeric = arguments.given(reader.base, reader.call)
    values = reader.base.calls[reader.call].arguments()
    if found.moving:
        moved = [_moved(reader, index) for index in found.moving]
    else:
        moved = [_moved(reader, None)] if found.how == "drawn" else []
    names = tuple(name for name in numeric if any(name in each for each in moved))
    if names:
        return Told(names, certain=bool(found.moving))
    for index in _like(reader, found.moving):
        draw, after = reader.base.draws[index], _moved(reader, index)
        names = tuple(name for name in numeric if name in after and _as_drawn(draw, values[name], numeric[name]))
        if names:
            return Told(names)
    constant = (name for name in numeric if np.ptp(numeric[name]) == 0 and _is_fraction(values[name]))
    return Told(tuple(constant), certain=False)


def _moved(reader: Reader, index: int | None) -> set[str]:
    """The arguments that move with a draw of the tape, or with generators that are not torch's."""
    base, evaluator = reader.base, reader.evaluator
    try:
        if index is None:
            after = evaluator.replay(base, seed=base.seed + OTHER_SEED, graded=False)
        else:
            values = fresh(base.draws[index], torch.Generator().manual_seed(2))
            after = evaluator.replay(base, replaced={index: values}, graded=False)
    except Diverged:
        return set()
    return arguments.moved_arguments(base, after, reader.call)


def _like(reader: Reader, moving: list[int]) -> list[int]:
    """The other draws of the same kind, shape and range."""
    facts = [(draw.kind, draw.shape, draw.low, draw.high) for draw in reader.base.draws]
    wanted = {facts[index] for index in moving}
    return [index for index, each in enumerate(facts) if each in wanted and index not in moving]


def _as_drawn(draw: Draw, value: object, numbers: np.ndarray) -> bool:
    """Whether an argument may be the draw itself, and no class or flag that it decides."""
    return draw.kind is Kind.INTEGER or (
        _is_fraction(value) and 2 * len(np.unique(numbers)) >= min(draw.standard.numel(), len(numbers))
    )


def _is_fraction(value: object) -> bool:
    return value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, float)
