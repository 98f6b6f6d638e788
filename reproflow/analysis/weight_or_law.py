r"""Weights moved into the time law and trained both ways: the pairs that a results folder holds, and what came out.

By Lemma 4.7 of Billera et al. (BIL-1), with K the mean of w under the law D,

.. math:: E_{t \sim D}[w(t) L(t)] = K\, E_{t \sim \tilde D}[L(t)], \qquad \tilde D(dt) = w(t) D(dt) / K.

A pair is two trained objectives of one data set, process, path, target and setup with proportional canonical weights
whose time laws differ. Training divides each loss by that of its own linear denoiser, and K with it: the curves of the
two arms are in one unit. The objective is one; the noise of its gradient is not (`evaluation.gradient_variance`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reproflow.analysis.comparison import by_seed
from reproflow.analysis.formatting import USUAL, label
from reproflow.analysis.objective_classes import Group, Member, groups
from reproflow.analysis.results import Results
from reproflow.foundation import measures
from reproflow.foundation.errors import UsageError
from reproflow.numerics.paired import Seeds
from reproflow.numerics.statistics import Estimate, mean_interval, paired

METRICS = measures.primary()
ARMS = ("weight", "law")
BINS = 60
LATE = 0.75
"""Bins of steps in a curve; from where on the gradient's noise is averaged."""


@dataclass(frozen=True)
class Pair:
    """A weight in the loss, and the same weight in the time law, as members of one class of equal objectives."""

    same: dict[str, Any]
    weight: Member
    law: Member

    @property
    def arms(self) -> dict[str, Member]:
        """Both, by what they are called in tables."""
        return dict(zip(ARMS, (self.weight, self.law), strict=True))

    @property
    def path(self) -> str:
        return self.weight.names["path"]

    @property
    def labels(self) -> dict[str, str]:
        """What each arm is called: weighting, and the time law where it is not uniform."""
        return {arm: label(member.names, ("time",)) for arm, member in self.arms.items()}


def pairs(read: Results, unplaced: list[str]) -> list[Pair]:
    """Every pair that was trained both ways: of each path, the first time law (uniform, if there) with each other.

    Objectives whose nouns cannot be found are said in `unplaced`.
    """
    return [pair for group in groups(read, unplaced) for members in group.classes for pair in _of_class(group, members)]


def _of_class(group: Group, members: list[Member]) -> list[Pair]:
    by_path: dict[str, dict[str, Member]] = {}
    for member in members:
        if len(member.cells):
            by_path.setdefault(member.names["path"], {}).setdefault(member.names["time"], member)
    found = []
    for laws in by_path.values():
        first, *others = sorted(laws, key=lambda time: (time != USUAL["time"], time))
        found += [Pair(group.same, laws[first], laws[other]) for other in others]
    return found


def curve(read: Results, member: Member, column: str) -> pd.DataFrame:
    """A column of the training curves in bins of steps: mean over seeds, lowest and highest, `seeds`."""
    own = read.curves.merge(member.cells[["cell", "seed"]], on="cell", how="inner")
    own = own[np.isfinite(own[column])]
    width = max(1.0, (own["step"].max() + 1) / BINS) if len(own) else 1.0
    by_seed_ = own.assign(bin=own["step"] // width).groupby(["bin", "seed"], sort=True)[["step", column]].mean()
    named = {"step": ("step", "mean"), "value": (column, "mean"), "low": (column, "min"), "high": (column, "max")}
    return by_seed_.groupby("bin", sort=True).agg(**named, seeds=(column, "size")).reset_index(drop=True)


def floor(read: Results, member: Member) -> float:
    """What the loss leaves to the exact posterior, NaN where it is not known."""
    own = read.curves[read.curves["cell"].isin(member.cells["cell"])]
    return float(own["floor"].mean()) if len(own) else math.nan


def outcome(pair: Pair) -> tuple[str, Seeds, Estimate]:
    """The metric, law minus weight by seed, and the paired difference; the first metric that both arms have."""
    for metric in METRICS:
        a, b = (by_seed(member.cells, metric) for member in (pair.law, pair.weight))
        if common := [seed for seed in a if seed in b]:
            return metric, {seed: a[seed] - b[seed] for seed in common}, paired(a, b)
    return METRICS[0], {}, mean_interval([])


def late_squares(read: Results, member: Member) -> Seeds:
    """By seed: the mean squared gradient norm over the last quarter of training (norms are means over `log_every`)."""
    own = read.curves.merge(member.cells[member.cells["status"] == "ok"][["cell", "seed"]], on="cell", how="inner")
    own = own[own["step"] >= LATE * own["step"].max()]
    means = np.square(own["grad_norm"]).groupby(own["seed"]).mean()
    return {int(seed): float(value) for seed, value in zip(means.index, means, strict=True)}


def measured_ratio(read: Results, pair: Pair) -> Estimate:
    """The ratio law to weight of the late squared gradient norms: the geometric mean over seeds with its interval."""
    law, weight = (
        {seed: math.log(value) for seed, value in late_squares(read, arm).items() if value > 0}
        for arm in (pair.law, pair.weight)
    )
    logs = paired(law, weight)
    mean, low, high = (math.exp(value) for value in (logs.mean, logs.low, logs.high))
    return Estimate(mean, mean * logs.se, low, high, logs.n)


def exact_noise(read: Results, member: Member) -> tuple[float, float]:
    """V of one draw at the exact posterior, and the least of any law; NaN where not known.

    See `evaluation.gradient_variance`.
    """
    from reproflow.evaluation.gradient_variance import noise

    try:
        cell = read.cell(member.key)
        experiment = next(each for each in read.experiments if each.name == cell.experiment)
        found = noise(cell, experiment)
    except (UsageError, StopIteration):
        return math.nan, math.nan
    return found.value, found.least
