"""The margin of each metric: a difference that does not matter. Lower is better in every metric.

Margins are absolute numbers. FID's default is a share of the mean that it is held to, taken once, when a baseline is
made; KID is unbiased and often near zero, so that a share of it would be no margin at all. docs/regression.md says why
these.
"""

from __future__ import annotations

from collections.abc import Mapping

from reproflow.foundation import measures


def margin(metric: str, mean: float, stated: Mapping[str, float] | None = None) -> float:
    """The margin of a metric around this mean: the one stated (absolute), else the default, in the metric's unit."""
    if stated and metric in stated:
        return float(stated[metric])
    facts = measures.facts(metric)
    return facts.margin * abs(mean) if facts.relative else facts.margin
