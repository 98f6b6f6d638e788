"""Snapshots of made-up runs and baselines, for the tests of the regression check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reproflow.analysis import regression_check
from reproflow.analysis.snapshot import Series, Snapshot

SETTING = ("cpu", "float32", "demo")
METRIC = "bound_bits_per_dim"
BASELINE = list(range(20))
FRESH = [100, 101, 102, 103, 104]


def group(weighting: str, path: str = "cosine") -> tuple[str, ...]:
    return ("digits8", "masked", path, "uniform", weighting, "ce", "independent", "squared", "800")


def snapshot(
    values: np.ndarray, seeds: list[int], margin: float = 0.002, metric: str = METRIC, **more: object
) -> Snapshot:
    """A snapshot of one metric, values (seeds, groups), each group a weighting of its own."""
    series = {
        (group(f"w{i}"), metric): Series(dict(zip(seeds, column, strict=True)), SETTING, margin=margin)
        for i, column in enumerate(values.T.tolist())
    }
    return replace(Snapshot("demo", series), **more)


def drawn(generator: np.random.Generator, seeds: int, groups: int = 6, shared: float = 0.5) -> np.ndarray:
    """Numbers like a run's: groups of unequal spread that share part of their variance between cells of a seed."""
    spread = np.linspace(0.001, 0.004, groups)
    common, own = generator.standard_normal((seeds, 1)), generator.standard_normal((seeds, groups))
    return 2 + spread * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)


def pair(seed: int, groups: int = 6, run: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A baseline's and an unchanged run's numbers."""
    generator = np.random.default_rng(seed)
    return drawn(generator, 20, groups), drawn(generator, run, groups)


def single(found: regression_check.Comparison) -> dict[str, str]:
    """Verdicts of the single groups by weighting."""
    return {row.what.split()[4]: row.verdict for row in found.rows if row.cells == 1 and row.metric == METRIC}
