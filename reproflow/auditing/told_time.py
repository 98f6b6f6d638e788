"""Whether the time that a network is given has to do with the level of its input."""

from __future__ import annotations

import numpy as np

from reproflow.auditing.findings import Finding

FEWEST = 40
"""Levels from which on a correlation of ranks says something."""
UNRELATED = 0.3


def finding(given: np.ndarray, lam: np.ndarray) -> list[Finding]:
    """`time-not-level` where the given times (P,) vary and their ranks say nothing of those of the log-SNRs (P,)."""
    usable = np.isfinite(given) & np.isfinite(lam)
    if usable.sum() < FEWEST or np.ptp(given[usable]) == 0 or np.ptp(lam[usable]) == 0:
        return []
    ranks = np.array([np.argsort(np.argsort(values[usable])) for values in (given, lam)], dtype=float)
    relation = float(np.corrcoef(ranks)[0, 1])
    if abs(relation) > UNRELATED:
        return []
    text = "the time that the network is given says nothing of the level of its input."
    return [Finding("time-not-level", text, f"rank correlation {relation:.2f}")]
