"""Pairs of the same seed, as rows of a family: a less b over the seeds that both have, with what may be said of it.

A family is all comparisons that one table reads together (a block of weightings, a class of equal objectives, the
neighbours of `check --train`); it is fixed by the cells that were asked for, not by what came out. Tests, intervals and
verdicts are those of `numerics.simultaneous`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reproflow.numerics.relabelling import FEWEST_PAIRS, Pairs, student_p
from reproflow.numerics.simultaneous import LEVEL, TOO_FEW, compare_pairs

NO_RESULT = "no result"
Seeds = Mapping[Hashable, float]
NUMBERS = (
    "difference", "difference_se", "difference_low", "difference_high", "p", "p_holm", "p_adjusted", "detectable",
)  # fmt: skip
NOTHING: dict[str, float] = dict.fromkeys(NUMBERS, math.nan)


def compare_seeds(
    family: Sequence[tuple[Seeds, Seeds]], margin: ArrayLike = 0.0, level: float = LEVEL
) -> list[dict[str, Any]]:
    """A row a pair (a, b) of values by seed; lower is better, so that `worse` says that a is the higher.

    Each has `pairs` (their number), `difference` a - b and `difference_se`, `difference_low` and `difference_high` (the
    simultaneous interval), `p_adjusted` for the family, `detectable`, `verdict`; `p` and `p_holm` are Student's t, for
    comparison. Without eight pairs a row has its difference and no more. `margin` is one number or one a row.
    """
    margins = np.broadcast_to(np.asarray(margin, dtype=float), (len(family),))
    differences = _differences(family)
    # Rows without any pair would stand in the way; they are no comparison.
    some = np.flatnonzero(np.isfinite(differences).any(0))
    rows = [{"pairs": 0, **NOTHING, "verdict": NO_RESULT} for _ in family]
    if len(some):
        kept = differences[:, some]
        design, compared = Pairs(kept), compare_pairs(kept, margins[some], level)
        plain = student_p(design, margins[some])
        for place, row in enumerate(some):
            rows[row] |= {"pairs": int(design.n[place]), "difference": float(compared.difference[place])}
            rows[row]["verdict"] = compared.verdicts[place]
            if compared.verdicts[place] != TOO_FEW:
                columns = ("se", "low", "high", "p_oracle", "p", "detectable")
                se, low, high, oracle, adjusted, reach = (float(getattr(compared, key)[place]) for key in columns)
                named = (compared.difference[place], se, low, high, plain[place], oracle, adjusted, reach)
                rows[row] |= {key: float(value) for key, value in zip(NUMBERS, named, strict=True)}
    return rows


def needed(pairs: int) -> str:
    """What a row with so many pairs lacks: `too few seeds (3 of 8)`."""
    return f"{TOO_FEW} ({pairs} of {FEWEST_PAIRS})"


def _differences(family: Sequence[tuple[Seeds, Seeds]]) -> np.ndarray:
    """a - b (seeds, pairs), NaN where one of the two has no value."""
    seeds = sorted({seed for a, b in family for seed in a if seed in b}, key=str)
    return np.array([[a.get(s, math.nan) - b.get(s, math.nan) for a, b in family] for s in seeds]).reshape(
        len(seeds), len(family)
    )
