"""The gate: the one place where a run fails for what it found."""

from __future__ import annotations

from pathlib import Path

from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.regression_file import standing
from reproflow.analysis.results import load_results
from reproflow.analysis.summary import FAILS, PASSES, summarise
from reproflow.foundation.errors import RegressionError, ReproflowError, UndecidedError, VerdictError
from reproflow.numerics.simultaneous import WORSE


def judge(results: Path) -> None:
    """Passes in silence.

    Raises `VerdictError` (exit 3) for a claim decided other than expected, a control that was not refuted, a control
    arm of a trained block that is not as it must be, or a bound that a trained network contradicts (cascade.csv);
    `RegressionError` (exit 4) for a number worse than its baseline; `ReproflowError` (1) for cells that diverged or
    failed; `UndecidedError` (exit 5) for what is only inconclusive. A baseline of another device decides nothing here.
    """
    read = load_results(results)
    summary = summarise(read, claims_table(read.claims))
    worse = regressions(results)
    surprised = summary.claims["surprises"] or summary.contradicted or any(e.ok is False for e in summary.controls)
    if worse and not surprised:
        raise RegressionError(f"the gate of {results} fails: worse than its baseline: {'; '.join(worse)}")
    if summary.gate == PASSES:
        return
    message = f"the gate of {results} {summary.gate}: " + "; ".join(summary.reasons)
    if summary.gate != FAILS:
        raise UndecidedError(message)
    raise VerdictError(message) if surprised else ReproflowError(message)


def regressions(results: Path) -> list[str]:
    """What `regression.json` says is worse, or lost; nothing where no baseline was compared."""
    found = standing(results)
    if found.get("exit_code") != RegressionError.exit_code:
        return []
    worse = [f"{row['what']}, {row['metric']}" for row in found.get("rows", []) if row["verdict"] == WORSE]
    return [*worse, *found.get("broken", [])]
