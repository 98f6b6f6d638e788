"""The table of a masked loss: rate and coefficient at every setting of its times, the law, and what tells the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from reproflow.auditing import arguments
from reproflow.auditing.reading import MeasuredTokens
from reproflow.auditing.tape import Diverged
from reproflow.auditing.tokens import drawn, table, told
from reproflow.auditing.tokens.times import Setting, Times

if TYPE_CHECKING:
    from reproflow.auditing.tokens.reader import Reader


def measured(reader: Reader, found: Times) -> MeasuredTokens:
    """The table by rate: m descending."""
    candidates = told.candidates(reader, found)
    rows = table.joined([_rows(reader, each, candidates.names) for each in found.settings])
    reader.time = candidates.chosen(rows.told, rows.m)
    draws = 0
    if found.how == "drawn" and reader.masking.ranks:
        draws = len(found.settings) if found.shared else len(rows.m)
    elif found.how == "drawn":
        mass, draws = drawn.mass(reader, found, rows, reader.time)
        rows = replace(rows, mass=mass)
    return table.by_rate(rows, reader.time, found, reader.masking.ranks, draws, _ends(reader, found))


def _rows(reader: Reader, setting: Setting, names: Sequence[str]) -> table.Rows:
    m = reader.rates(setting.base, setting.replaced).numpy()
    c = reader.coefficients(setting.base, setting.replaced, 0.5).numpy()
    unknown = np.full(len(m), np.nan)
    given = arguments.given(reader.last, reader.call)
    numbers = {name: given.get(name, unknown) for name in names}
    return table.Rows(m, c, numbers, setting.mass, unknown if setting.index is None else setting.index)


def _ends(reader: Reader, found: Times) -> tuple[float, float]:
    """The least and the largest rate that the law can draw, NaN where they are not known."""
    try:
        m = [reader.rates(each.base, each.replaced) for each in found.ends]
    except Diverged:
        return table.UNKNOWN
    return (float(torch.cat(m).min()), float(torch.cat(m).max())) if m else table.UNKNOWN
