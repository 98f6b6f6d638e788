"""Judging a loss on a discrete chain: a weight for each level of noise, given by index or by a function.

The questions are those of `judge.objectives.judgement`; integrals over time are sums over the levels, and `bound` looks
from level to level. The levels are a table (betas, cumulated alphas, sigmas, log-SNRs) or a path at N times; the weight
is a table or anything that `check weighting` accepts, looked up at the levels.
"""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reproflow.foundation import specs
from reproflow.foundation.errors import UsageError
from reproflow.foundation.tables import Table, table
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.laws import time_law
from reproflow.judge.levels import equal, restatements, schedule, verdicts
from reproflow.judge.levels.schedule import Levels
from reproflow.judge.levels.weights import CHAINS, LevelWeights, level_weights
from reproflow.numerics.derivatives import Mode
from reproflow.theory import time_direction
from reproflow.theory.bounds import CERTIFIED, NOT_REPRESENTABLE
from reproflow.theory.paths import get_path
from reproflow.theory.processes.base import facts
from reproflow.theory.weightings import check_prediction, get_weighting

PLAIN = "eps"
DEFAULT_PATH = "linear"
SAME = "same"
DIFFERENT = "different"


@dataclass(frozen=True)
class LevelsJudgement:
    """What was found; `as_dict` has the keys of `reproflow check weighting --json` for a chain.

    `index` counts the levels as the user's table does; lists over levels go from the data to the noise.
    """

    spec: str
    process: str
    schedule: str
    time: str
    target: str
    levels: int
    admissible: dict[str, Any]
    identified: dict[str, Any]
    bound: dict[str, Any]
    canonical: dict[str, Any]
    equivalent: list[dict[str, Any]]
    replacement: dict[str, Any]
    targets: dict[str, Any] | None
    stresses: dict[str, Any] | None
    against: dict[str, Any] | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: infinity is "inf", what does not exist is null."""
        return dict(vars(self))

    @property
    def exit_code(self) -> int:
        """0: supported, supported and certified; 3: something is refuted; 5: something is only inconclusive.

        With `against` its verdict alone counts: 0 the same, 3 different.
        """
        if self.against is not None:
            return {SAME: 0, DIFFERENT: 3}.get(self.against["verdict"], 5)
        found = {each["verdict"] for each in (self.admissible, self.identified, self.bound)}
        if found <= {SUPPORTED, CERTIFIED}:
            return 0
        return 5 if found <= {SUPPORTED, CERTIFIED, INCONCLUSIVE} else 3


@dataclass(frozen=True)
class Asked:
    """One loss on a chain: a weight (a spec or a table), what it multiplies, and the law over levels (likewise).

    `turned` says that functions and expressions among them have the data at t = 0.
    """

    weighting: str | Table
    target: str = ""
    time: str | Table = "uniform"
    turned: bool = False


def levels_of(
    process: str, path: str, count: int | None, given: Table | None, kind: str, time_runs: str | None = None
) -> Levels:
    """The levels of a table of one kind, or of a path at `count` times.

    `time_runs` is about the latter: "noise-to-data" counts them from the noise, "data-to-noise" turns a path of one's
    own round.
    """
    turn = time_direction.is_turned(time_runs)
    if given is not None:
        return schedule.from_table(given, kind, process)
    if count is None:
        raise UsageError("a chain needs its levels: give --schedule FILE --schedule-of betas (or alphas_cumprod, ..).")
    # Expressions are smooth: reverse mode, which starts at once, serves them too.
    own = get_path(path, process, None if specs.parse(path, "path").file else Mode.REVERSE)
    own = time_direction.turned_path(own) if turn and not own.is_registered else own
    return schedule.from_path(own, count, time_runs == time_direction.NOISE_TO_DATA)


def chain(
    weight: str | Sequence[float] | np.ndarray | torch.Tensor,
    schedule: Sequence[float] | np.ndarray | torch.Tensor | None = None,
    schedule_of: str = "betas",
    *,
    path: str = DEFAULT_PATH,
    levels: int | None = None,
    process: str = "gaussian",
    target: str = "",
    time: str = "uniform",
) -> LevelsJudgement:
    """The judgement on a weight for each level: numbers by index, or a weighting's spec, looked up there.

    The levels are the numbers of `schedule`, which are `schedule_of` (betas, alphas_cumprod, sigmas, flow_sigmas,
    log_snr; masked: betas, alphas_cumprod), else those of `path` at as many times as there are weights, or `levels`.

    Raises `UsageError` as `judge` and `levels_of`.
    """
    own = weight if isinstance(weight, str) else table("weights", weight)
    given = None if schedule is None else table(schedule_of, schedule)
    count = levels or (len(own) if isinstance(own, Table) else None)
    return judge(Asked(own, target, time), levels_of(process, path, count, given, schedule_of))


def judge(asked: Asked, levels: Levels, against: Asked | None = None) -> LevelsJudgement:
    """The judgement on a loss over levels; `against` is another one on the same levels.

    Raises `UsageError` for a table of another length, a target that the process does not have, and a NaN.
    """
    started = clock.monotonic()
    fault = levels.fault()
    loss = None if fault else _loss(asked, levels)
    found = _no_facts(fault) if loss is None else _facts(loss)
    compared = None
    if against is not None:
        compared = _void(fault, against) if loss is None else _compared(loss, asked, against)
    return LevelsJudgement(
        spec=_name(asked.weighting),
        process=levels.process,
        schedule=levels.words,
        time=_name(asked.time),
        target=_target(asked, levels.process),
        levels=len(levels),
        **found,
        against=compared,
        seconds=round(clock.monotonic() - started, 3),
    )


def _name(what: str | Table) -> str:
    return what.name if isinstance(what, Table) else str(what)


def plain(process: str) -> str:
    """What a table of weights multiplies the error of unless it is said: eps, or the process's only prediction."""
    return PLAIN if PLAIN in facts(process).weighted else facts(process).prediction


def _target(asked: Asked, process: str) -> str:
    """What the weight multiplies: as asked, as a weighting says itself, else eps for a table (masked: ce)."""
    own = asked.weighting
    usual = plain(process) if isinstance(own, Table) else get_weighting(own, process).on
    found = asked.target or usual
    check_prediction(_name(asked.weighting), found, process)
    return found


def _loss(asked: Asked, levels: Levels) -> LevelWeights:
    target, rounding = _target(asked, levels.process), 0.0
    if isinstance(asked.weighting, Table):
        value, rounding = _by_index(asked.weighting, levels), asked.weighting.rounding
    else:
        own = get_weighting(asked.weighting, levels.process, target)
        own = time_direction.turned_weighting(own) if asked.turned and not own.is_registered else own
        value = equal.values(own, levels)
    return level_weights(levels, value, target, _probability(asked.time, levels, asked.turned), rounding)


def _by_index(table: Table, levels: Levels) -> np.ndarray:
    if len(table) != len(levels):
        more = "" if abs(len(table) - len(levels)) > 1 else "; does one of them count the data as a level?"
        raise UsageError(f"table {table.name!r} has {len(table)} numbers for {levels.words}{more}")
    return table.values[levels.index]


def _probability(time: str | Table, levels: Levels, turned: bool) -> np.ndarray:
    """How likely each level is drawn: a table of such numbers, or what a law of t has in ((N - i - 1)/N, (N - i)/N)."""
    if isinstance(time, Table):
        value = _by_index(time, levels)
        if not (np.isfinite(value).all() and (value >= 0).all() and value.sum() > 0):
            raise UsageError(f"table {time.name!r} is no law over the levels: numbers from 0 on are needed, not all 0.")
        return value / value.sum()
    law = time_law(time, fine=True, turned=turned)
    edges = torch.from_numpy(np.concatenate([[1.0], levels.t]).clip(0.0, 1.0))
    below = np.ones(len(edges))
    inner = (edges > 0) & (edges < 1)
    below[inner.numpy()] = law.cdf(edges[inner]).numpy()
    below[(edges <= 0).numpy()] = 0.0
    return -np.diff(below)


def _facts(loss: LevelWeights) -> dict[str, Any]:
    levels, chain = loss.levels, CHAINS[loss.levels.process]()
    tolerance = max(equal.SAME, 4 * (loss.rounding + float(levels.rounding.max())))
    return {
        "admissible": verdicts.admissible(loss),
        "identified": verdicts.identified(loss),
        "bound": verdicts.bound(loss),
        "canonical": {
            "index": levels.index.tolist(),
            "lam": restatements.plain_numbers(levels.lam),
            "w": restatements.plain_numbers(loss.w),
        },
        "equivalent": equal.equivalents(loss, tolerance),
        "replacement": restatements.replacement(loss),
        "targets": restatements.targets(loss),
        "stresses": restatements.stresses(loss, chain.reference(levels, 1.0)),
    }


def _no_facts(fault: str) -> dict[str, Any]:
    """The verdicts where the levels are no chain."""
    bound = {"violation": None, "minorant": None, "resolution": 0, "advice": None}
    return {
        "admissible": {"verdict": REFUTED, "mass": None, "reason": fault},
        "identified": {"verdict": REFUTED, "levels": [], "reason": fault},
        "bound": {"verdict": NOT_REPRESENTABLE, **bound, "reason": fault},
        "canonical": {"index": [], "lam": [], "w": []},
        "equivalent": [],
        "replacement": {"K": None, "index": None, "probability": None, "reason": fault},
        "targets": None,
        "stresses": None,
    }


def _compared(loss: LevelWeights, asked: Asked, against: Asked) -> dict[str, Any]:
    """Whether the two losses are one up to a factor, level by level."""
    other = _loss(against, loss.levels)
    tolerance = max(equal.SAME, 4 * (loss.rounding + other.rounding + float(loss.levels.rounding.max())))
    found = equal.ratio(loss.w, other.w)
    base = {
        "spec": _name(against.weighting),
        "target": _target(against, loss.levels.process),
        "time": _name(against.time),
    }
    if found is None:
        return {**base, **_NOTHING, "verdict": DIFFERENT, "reason": "one of the weights is zero or infinite: no factor"}
    same = found.relative <= tolerance and found.factor > 0
    index, lam = int(loss.levels.index[found.place]), float(loss.levels.lam[found.place])
    words = f"that weight is {found.factor:.6g} times this one"
    apart = f"they differ by up to {found.relative:.3g} of it, most at index {index} (lam = {lam:.4g})"
    reason = f"{words} on every level, to {tolerance:.1g}" if same else f"{words} at the middle level, but {apart}"
    return {
        **base,
        "verdict": SAME if same else DIFFERENT,
        "factor": found.factor,
        "difference": {"relative": found.relative, "index": index, "lam": number(lam)},
        "reason": reason,
    }


_NOTHING: dict[str, Any] = {"factor": None, "difference": None}


def _void(fault: str, against: Asked) -> dict[str, Any]:
    base = {"spec": _name(against.weighting), "target": against.target, "time": _name(against.time)}
    return {**base, **_NOTHING, "verdict": INCONCLUSIVE, "reason": fault}
