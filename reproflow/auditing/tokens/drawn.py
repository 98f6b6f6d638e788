"""The law of rates whose draws cannot be set: that of many more draws than are read.

Where the network is told a number that goes with the rate, an evaluation gives one draw a sample; else each rate has to
be found, to a precision that the law has use for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reproflow.auditing import arguments
from reproflow.auditing.draws import share
from reproflow.auditing.tokens import times
from reproflow.auditing.told_time import relation

if TYPE_CHECKING:
    from reproflow.auditing.tokens.reader import Reader
    from reproflow.auditing.tokens.table import Rows
    from reproflow.auditing.tokens.times import Times

TOLD = 128
"""Batches whose told times are looked at."""
RATED = 36
"""Further batches whose rates are found."""
COARSE = 1e-4
MONOTONE = 0.99
KOLMOGOROV = 1.2
"""Times 1/sqrt(N): what an empirical law may be off by."""


def mass(reader: Reader, found: Times, rows: Rows, time: str) -> tuple[np.ndarray, int]:
    """The share (P,) of draws with rates at or above those of the rows, and the number of draws behind it."""
    first = slice(0, 1) if found.shared else slice(None)
    if time and abs(relation(rows.told[time], rows.m)) > MONOTONE:
        seen = times.again(reader.evaluator, reader.base, range(TOLD), graded=False)
        told = [arguments.given(each, reader.call).get(time) for each in seen]
        every = np.concatenate([each[first] for each in told if each is not None])
        below = share(rows.told[time], every)
        return (1 - below if relation(rows.told[time], rows.m) > 0 else below), len(every)
    further = range(len(found.settings), len(found.settings) + RATED)
    seen = times.again(reader.evaluator, reader.base, further, graded=False)
    rated = [reader.rates(each, {}, COARSE).numpy()[first] for each in seen]
    every = np.concatenate([np.unique(rows.m) if found.shared else rows.m, *rated])
    return 1 - share(rows.m, every), len(every)


def error(draws: int) -> float:
    """The distance of an empirical law from that of its draws that is none, as a share."""
    return KOLMOGOROV * draws**-0.5
