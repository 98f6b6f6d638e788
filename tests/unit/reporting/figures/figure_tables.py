"""The table alongside a figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def table(results: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(results / "figures" / f"{name}.csv", keep_default_na=False, na_values=[""])


def gallery(results: Path) -> pd.DataFrame:
    """The numbers of the gallery; `key` tells its curves apart."""
    shown = table(results, "gallery")
    key = shown["process"] + " " + shown["weighting"] + " " + shown["path"] + " " + shown["time"]
    return shown.assign(key=key)
