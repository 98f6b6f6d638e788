"""Judging one new thing: is it sound, what does it bound, what is it equivalent to?

`judge` is a module; `judge.weighting("expr:exp(-lam/2)")` gives the answer of `reproflow check weighting`,
`judge.objective` the same of an `Objective`, `judge.chain` of a weight for each level of a chain, and `judge.path`,
`judge.time` and `judge.divergence` those of its siblings. What is judged may be negative, infinite or not monotone:
that is what the verdicts are for. Only what cannot be evaluated (NaN inside (0, 1), a wrong shape, use of the global
random state, an exception) raises `UsageError`. Names are imported on first use: a check starts at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reproflow.judge.divergences.judgement import DivergenceJudgement, divergence
    from reproflow.judge.levels.judgement import LevelsJudgement, chain
    from reproflow.judge.objectives.asked import Against
    from reproflow.judge.objectives.judgement import Judgement, objective, weighting
    from reproflow.judge.paths.judgement import PathJudgement, path
    from reproflow.judge.time_laws import TimeJudgement, time
    from reproflow.judge.training.plan import SEEDS, Plan

_HOMES = {
    "Against": "objectives.asked",
    "DivergenceJudgement": "divergences.judgement",
    "Judgement": "objectives.judgement",
    "LevelsJudgement": "levels.judgement",
    "PathJudgement": "paths.judgement",
    "Plan": "training.plan",
    "SEEDS": "training.plan",
    "TimeJudgement": "time_laws",
    "chain": "levels.judgement",
    "divergence": "divergences.judgement",
    "objective": "objectives.judgement",
    "path": "paths.judgement",
    "time": "time_laws",
    "weighting": "objectives.judgement",
}

__all__ = [
    "SEEDS",
    "Against",
    "DivergenceJudgement",
    "Judgement",
    "LevelsJudgement",
    "PathJudgement",
    "Plan",
    "TimeJudgement",
    "chain",
    "divergence",
    "objective",
    "path",
    "time",
    "weighting",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reproflow.judge' has no attribute {name!r}")
    return getattr(importlib.import_module(f"reproflow.judge.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
