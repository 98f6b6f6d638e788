"""The gate: the one place where a run fails for what it found."""

from __future__ import annotations

from pathlib import Path

from reproflow.foundation.errors import ReproflowError, UndecidedError, VerdictError
from reproflow.reporting.results import load_results
from reproflow.reporting.summary import FAILS, PASSES, summarise
from reproflow.reporting.tables import claims_table


def judge(results: Path) -> None:
    """Passes in silence.

    Raises `VerdictError` (exit 3) for a claim decided other than expected or a control that was not refuted,
    `ReproflowError` (1) for cells that diverged or failed, `UndecidedError` (exit 5) for what is only inconclusive.
    """
    read = load_results(results)
    summary = summarise(read, claims_table(read.claims))
    if summary.gate == PASSES:
        return
    message = f"the gate of {results} {summary.gate}: " + "; ".join(summary.reasons)
    if summary.gate != FAILS:
        raise UndecidedError(message)
    raise VerdictError(message) if summary.claims["surprises"] else ReproflowError(message)
