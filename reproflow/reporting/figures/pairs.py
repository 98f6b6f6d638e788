"""Two measures of every objective, one over the other: their means and spreads over seeds."""

from __future__ import annotations

import pandas as pd

COMPONENTS = ["path", "time", "target", "coupling", "divergence", "setup", "steps"]
"""What tells two points of one weighting apart."""
POINT = ["dataset", "process", *COMPONENTS, "weighting"]


def columns(x: str, y: str) -> list[str]:
    """The columns of `means`."""
    return [*POINT, "seeds", x, f"{x}_sd", y, f"{y}_sd"]


def means(cells: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Mean and standard deviation over seeds of both measures, a row an objective, over the cells that have both."""
    if not {x, y} <= set(cells.columns):
        return pd.DataFrame(columns=columns(x, y))
    both = cells[(cells["status"] == "ok") & cells[x].notna() & cells[y].notna()]
    if both.empty:
        return pd.DataFrame(columns=columns(x, y))
    named = {"seeds": ("seed", "size")}
    for measure in (x, y):
        named |= {measure: (measure, "mean"), f"{measure}_sd": (measure, "std")}
    return both.groupby(POINT, sort=True).agg(**named).reset_index()
