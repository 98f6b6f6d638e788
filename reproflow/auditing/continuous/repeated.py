"""Draws that are the same at every step: a loss that seeds the generator itself trains on few times and few noises.

It is called under other seeds and with other data. What comes out again, number for number, is no chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from reproflow.auditing.continuous.draw_roles import Roles
from reproflow.auditing.continuous.frames import Bench
from reproflow.auditing.evaluation import Evaluation
from reproflow.auditing.findings import Finding
from reproflow.auditing.tape import Draw, Kind

SEEDS = (101, 102)
SURE = 40.0
"""Bits of chance that must come out again."""
BITS = 20.0
"""Those of a real number in single precision, at the least."""
TRAINED = ("time", "noise")


def finding(bench: Bench, roles: Roles, other: Tensor) -> list[Finding]:
    """`draws-repeated`, of the draws of times and noise; `other` is another batch of data, of x1's shape."""
    again = [bench.evaluator.record(other, bench.base.seed + each, bench.base.answers, graded=False) for each in SEEDS]
    repeated = [
        draw
        for index, draw in enumerate(bench.base.draws)
        if roles.roles[index] in TRAINED and _comes_again(draw, index, again)
    ]
    if not repeated:
        return []
    lines = ", ".join(dict.fromkeys(f"line {draw.line} of {draw.file}" for draw in repeated))
    text = f"the same numbers are drawn at every step ({lines}): is a generator seeded inside the loss?"
    return [Finding("draws-repeated", text, f"under {len(SEEDS)} other seeds, with other data")]


def _comes_again(draw: Draw, index: int, again: Sequence[Evaluation]) -> bool:
    others = [each.draws[index] for each in again if index < len(each.draws)]
    same = [each for each in others if each.operator == draw.operator and each.standard.equal(draw.standard)]
    return len(same) == len(again) and _bits(draw) * len(same) >= SURE


def _bits(draw: Draw) -> float:
    """Of chance in a draw: for whole numbers by how often each occurs in it."""
    if draw.kind in (Kind.UNIFORM, Kind.NORMAL):
        return BITS * draw.standard.numel()
    _, counts = np.unique(draw.standard.cpu().numpy(), return_counts=True)
    return float(-(counts * np.log2(counts / counts.sum())).sum())
