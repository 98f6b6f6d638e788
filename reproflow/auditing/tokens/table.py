"""The measured table of a masked loss, by rate."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation
from reproflow.auditing.reading import MeasuredTokens
from reproflow.auditing.tokens import masks, times


def given(seen: Evaluation, call: int) -> np.ndarray:
    """The number that each sample's network gets for its time, NaN where it gets none."""
    arguments = seen.calls[call].arguments()
    batch = len(seen.x1)
    for name, value in arguments.items():
        if name != seen.calls[call].state_name and isinstance(value, Tensor) and value.numel() == batch:
            return value.detach().double().reshape(-1).numpy()
    return np.full(batch, np.nan)


def by_rate(table: dict[str, np.ndarray], found: times.Times, ranks: bool) -> MeasuredTokens:
    """The rows by rate, with the law; of a loss that masks whole numbers of positions, a row a number."""
    kept = np.isfinite(table["c"])
    table = {key: value[kept] for key, value in table.items()}
    count = len(table["m"])
    if found.how in ("steps", "quantiles", "one a batch"):
        _, first = np.unique(table["index" if found.how == "steps" else "mass"], return_index=True)
        table = {key: value[first] for key, value in table.items()}
    if ranks:
        _, first, times_seen = np.unique(-table["m"], return_index=True, return_counts=True)
        table = {key: value[first] for key, value in table.items()}
        return MeasuredTokens(
            table["m"], table["given"], table["c"], times_seen / times_seen.sum(), 1 / count, steps=True, read=found.how
        )
    order = np.argsort(-table["m"], kind="stable")
    table = {key: value[order] for key, value in table.items()}
    if found.how == "steps":
        law = np.full(len(order), 1 / found.steps)
    elif found.how in ("quantiles", "one a batch"):
        rising = np.polyfit(table["mass"], table["m"], 1)[0] > 0
        law = 1 - table["mass"] if rising else table["mass"]
    else:
        law = (np.arange(len(order)) + 0.5) / len(order)
    drawn = found.how == "drawn"
    error = len(order) ** -0.5 if drawn else masks.NARROW
    return MeasuredTokens(
        table["m"], table["given"], table["c"], law, error, len(order) if drawn else 0, found.how == "steps", found.how
    )
