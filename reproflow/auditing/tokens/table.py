"""The measured table of a masked loss, by rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reproflow.auditing.draws import share
from reproflow.auditing.reading import MeasuredTokens
from reproflow.auditing.tokens import masks
from reproflow.auditing.tokens.times import Times

UNKNOWN = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Rows:
    """What was read of each sample of each setting, (P,): rate, coefficient, numbers told by name, and `Setting`'s."""

    m: np.ndarray
    c: np.ndarray
    told: dict[str, np.ndarray]
    mass: np.ndarray
    index: np.ndarray

    def at(self, places: np.ndarray) -> Rows:
        """The rows at these places, in this order."""
        told = {name: values[places] for name, values in self.told.items()}
        return Rows(self.m[places], self.c[places], told, self.mass[places], self.index[places])


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other."""
    columns = [np.concatenate([getattr(each, key) for each in parts]) for key in ("m", "c", "mass", "index")]
    told = {name: np.concatenate([each.told[name] for each in parts]) for name in parts[0].told}
    return Rows(columns[0], columns[1], told, columns[2], columns[3])


def by_rate(
    rows: Rows, time: str, found: Times, ranks: bool, draws: int = 0, ends: tuple[float, float] = UNKNOWN
) -> MeasuredTokens:
    """The rows by rate, with the law; of a loss that masks whole numbers of positions (`ranks`), a row a number.

    `time` is the name of the told time. Of `draws` the rows' `mass` is that of the rates at or above theirs.
    """
    rows = rows.at(np.flatnonzero(np.isfinite(rows.c)))
    once = {"steps": rows.index, "quantiles": rows.mass, "one a batch": rows.mass, "drawn": rows.m}.get(found.how)
    if once is not None and not (ranks and found.how == "drawn"):
        rows = rows.at(np.unique(once, return_index=True)[1])
    complete = found.how != "steps" or len(rows.m) == found.steps
    if ranks:
        count = len(rows.m)
        _, first, seen = np.unique(-rows.m, return_index=True, return_counts=True)
        rows, law = rows.at(first), seen / seen.sum()
        return MeasuredTokens(
            rows.m, _given(rows, time), rows.c, law, 1 / count, draws, True, found.how, len(law), complete, ends=ends
        )
    rising = len(rows.m) > 1 and found.how == "steps" and np.polyfit(rows.index, rows.m, 1)[0] > 0
    rows = rows.at(np.lexsort((-rows.index if rising else rows.index, -rows.m)))
    steps = found.how == "steps"
    return MeasuredTokens(
        rows.m,
        _given(rows, time),
        rows.c,
        _law(rows, found),
        masks.NARROW,
        draws,
        steps,
        found.how,
        found.steps,
        complete,
        _places(rows.index, found.steps) if steps else None,
        ends,
    )


def _given(rows: Rows, time: str) -> np.ndarray:
    """The number that each sample's network gets for its time, NaN where it gets none."""
    return rows.told.get(time, np.full(len(rows.m), np.nan))


def _law(rows: Rows, found: Times) -> np.ndarray:
    if found.how == "steps":
        return np.full(len(rows.m), 1 / found.steps)
    if found.how in ("quantiles", "one a batch"):
        rising = len(rows.m) > 1 and np.polyfit(rows.mass, rows.m, 1)[0] > 0
        return 1 - rows.mass if rising else rows.mass
    return rows.mass if found.how == "drawn" else share(-rows.m, -rows.m)


def _places(index: np.ndarray, count: int) -> np.ndarray:
    """The place of each step among all of them, from the noise: its own number, where rates go with that, else evenly.

    `index` (P,) is in the order of the rates.
    """
    change = np.diff(index)
    if (change > 0).all():
        return index
    if (change < 0).all():
        return count - 1 - index
    return (np.arange(len(index)) + 0.5) * count / len(index) - 0.5
