"""Whether the time that a network is given has to do with the level of its input."""

from __future__ import annotations

import numpy as np

from reproflow.auditing.findings import Finding

FEWEST = 40
"""Levels from which on a correlation of ranks says something."""
UNRELATED = 0.3


def relation(given: np.ndarray, level: np.ndarray) -> float:
    """The correlation of the ranks of finite numbers (P,) and (P,); NaN where either are all equal."""
    usable = np.isfinite(given) & np.isfinite(level)
    if not usable.any() or np.ptp(given[usable]) == 0 or np.ptp(level[usable]) == 0:
        return float("nan")
    ranks = np.array([np.argsort(np.argsort(values[usable])) for values in (given, level)], dtype=float)
    return float(np.corrcoef(ranks)[0, 1])


def finding(given: np.ndarray, lam: np.ndarray) -> list[Finding]:
    """`time-not-level` where the given times (P,) vary and their ranks say nothing of those of the log-SNRs (P,)."""
    found = relation(given, lam)
    if np.sum(np.isfinite(given) & np.isfinite(lam)) < FEWEST or np.isnan(found) or abs(found) > UNRELATED:
        return []
    text = "the time that the network is given says nothing of the level of its input."
    return [Finding("time-not-level", text, f"rank correlation {found:.2f}")]
