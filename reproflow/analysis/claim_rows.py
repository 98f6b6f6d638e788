"""The ledger of claims as rows: in natural order, with the decision on each."""

from __future__ import annotations

import pandas as pd

from reproflow.analysis.results import natural, records
from reproflow.claims.policy import COLUMNS as CLAIM_COLUMNS
from reproflow.claims.policy import row_ok


def claims_table(claims: pd.DataFrame) -> pd.DataFrame:
    """The ledger in natural order of id, case, tier, with `ok`: verdict as expected and controls as they must be."""
    frame = claims[list(CLAIM_COLUMNS)].copy()
    frame["ok"] = pd.Series([row_ok(row) for row in records(frame)], index=frame.index, dtype=bool)
    order = sorted(frame.index, key=lambda i: [natural(frame.at[i, key]) for key in ("id", "case", "tier")])
    return frame.loc[order].reset_index(drop=True)
