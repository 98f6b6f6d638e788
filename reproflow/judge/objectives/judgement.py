"""Judging a weighting: admissible, identified, a bound, and what it is equivalent to.

The verdicts are independent of each other. `admissible` asks for every hypothesis of Lemma 4.7 of 000: with the time
law D and the coefficient w of the loss, w >= 0, E_{t~D}[w] finite, w > 0 almost everywhere, and D dominating Lebesgue's
measure. A canonical weighting names no prediction, so its coefficient is taken on the usual output, the velocity
(masked: the cross-entropy). `identified` asks whether the minimiser is unique (BIL-3, BIL-5): w pi > 0 almost
everywhere. `bound` asks for the bound property of the canonical weight (`theory.bounds`).
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from reproflow.foundation.code_limits import Budget
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.objectives import gradient_identity, restatements, verdicts
from reproflow.judge.objectives import gradient_variance as variance
from reproflow.judge.objectives import time_agnostic as moments
from reproflow.judge.objectives.integrability import mass
from reproflow.judge.objectives.numeric_objective import WHOLE, NumericObjective
from reproflow.judge.time_budget import limited
from reproflow.judge.training.plan import Plan
from reproflow.numerics import intervals as on_intervals
from reproflow.numerics.intervals import Interval
from reproflow.theory import bounds, pointwise
from reproflow.theory.bounds import CERTIFIED, NOT_REPRESENTABLE
from reproflow.theory.equivalence import equivalents
from reproflow.theory.objective import Objective, get_objective

LAM = tuple(float(lam) for lam in range(-6, 7))
CURVE = np.linspace(-10, 10, 201)
POINTS = 100_001
DEFAULT_PATH = "linear"


@dataclass(frozen=True)
class Judgement:
    """What was found; `as_dict` has the keys of `reproflow check weighting --json`.

    `curve` is the canonical weight for drawing: lam and w, each of shape (P,), NaN out of the path's reach.
    """

    spec: str
    process: str
    path: str
    time: str
    target: str
    range: Interval
    admissible: dict[str, Any]
    identified: dict[str, Any]
    bound: dict[str, Any]
    canonical: dict[str, Any]
    equivalent: list[dict[str, Any]]
    gradient: dict[str, Any]
    variance: dict[str, Any]
    seconds: float
    replacement: dict[str, Any]
    per_log_snr: dict[str, Any]
    targets: dict[str, Any] | None
    time_agnostic: dict[str, Any] | None
    train: dict[str, Any] | None
    curve: tuple[np.ndarray, np.ndarray] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: infinity is "inf", what is out of reach is null."""
        return {key: list(value) if key == "range" else value for key, value in vars(self).items() if key != "curve"}

    @property
    def exit_code(self) -> int:
        """0: supported, supported and certified; 3: something is refuted; 5: something is only inconclusive.

        With `time_agnostic` its verdict counts, and that of `bound`, which is about other networks, does not.
        """
        bound = (self.time_agnostic or self.bound)["verdict"]
        verdicts = {self.admissible["verdict"], self.identified["verdict"], bound, self.gradient["verdict"]}
        if verdicts <= {SUPPORTED, CERTIFIED}:
            return 0
        return 5 if verdicts <= {SUPPORTED, CERTIFIED, INCONCLUSIVE} else 3


def weighting(
    spec: str | Spec,
    process: str = "gaussian",
    path: str | Spec | None = None,
    time: str | Spec = "uniform",
    target: str | None = None,
    t_range: Interval | None = None,
    lam: Sequence[float] = LAM,
    tokens: int | None = None,
    time_agnostic: bool = False,
    train: Plan | None = None,
) -> Judgement:
    """The judgement on a weighting: `objective` of what these specs name.

    The path is `linear` unless given, for a masked process too. `target` is what the weighting multiplies, in place of
    what it says itself. The rest is as in `objective`.

    Raises `UsageError` for a name, a file or an expression that cannot be used, and where a value is NaN.
    """
    started = clock.monotonic()
    subject = get_objective(path or DEFAULT_PATH, time, spec, process, target or "")
    found = objective(subject, t_range, lam, tokens, time_agnostic, train)
    return replace(found, spec=str(spec), seconds=round(clock.monotonic() - started, 3))


def objective(
    subject: Objective,
    t_range: Interval | None = None,
    lam: Sequence[float] = LAM,
    tokens: int | None = None,
    time_agnostic: bool = False,
    train: Plan | None = None,
) -> Judgement:
    """The judgement on an objective of squared errors or cross-entropies.

    `t_range` is the range of t, by default [1e-4, 1 - 1e-4] for the bound and (0, 1) for the rest. `lam` are the
    log-SNRs at which the canonical weight is evaluated. `time_agnostic` says that a masked network of `tokens` tokens
    has no time input: its moment test is then the verdict that counts. `train` asks for the paired experiment.

    Raises `UsageError` for an objective with another loss, for a range or a number of tokens that is none, and where a
    value is NaN.
    """
    started = clock.monotonic()
    if subject.loss is not None:
        raise UsageError(
            f"divergence {subject.loss.name!r}: an objective is judged by its canonical weight, which squared errors "
            "and cross-entropies alone have; judge.divergence judges the divergence itself."
        )
    # However the objective was made, its derivatives are taken as a judgement takes them.
    path, law = replace(subject.path, mode=None), replace(subject.time, fine=True, mode=None)
    subject, budget = replace(subject, path=path, time=law), Budget()
    components = {part: limited(getattr(subject, part), budget) for part in ("path", "time", "weighting")}
    numeric = NumericObjective(replace(subject, **components))
    bound_range = _checked_range(t_range) if t_range else bounds.DEFAULT_RANGE
    moments.check_tokens(tokens, time_agnostic, subject.process)
    _check_pointwise(numeric, t_range or WHOLE)
    fault = numeric.fault()
    facts = _no_facts(fault, lam, tokens) if fault else _facts(numeric, t_range, bound_range, lam, tokens)
    return Judgement(
        spec=subject.weighting.name,
        process=subject.process,
        path=subject.path.name,
        time=subject.time.name,
        target=subject.prediction,
        range=bound_range,
        **facts,
        gradient=gradient_identity.undefined(fault) if fault else gradient_identity.judge(numeric, t_range),
        variance=variance.nothing(fault, subject.process) if fault else variance.measure(numeric, t_range),
        train=None if train is None else _trained(subject, facts["equivalent"], fault, train),
        seconds=round(clock.monotonic() - started, 3),
    )


def _check_pointwise(subject: NumericObjective, t_range: Interval) -> None:
    """Path and time law first: where the log-SNR can be looked at depends on the path."""
    pointwise.check_path(subject.objective.path)
    pointwise.check_time_law(subject.objective.time)
    low, high = (min(max(end, subject.reach[0]), subject.reach[1]) for end in t_range)
    pointwise.check_weighting(subject.objective.weighting, subject.objective.path, pointwise.times(low, high))


def _trained(subject: Objective, equivalent: Sequence[dict[str, Any]], fault: str, plan: Plan) -> dict[str, Any]:
    from reproflow.judge.training import experiment  # seconds to import

    return experiment.refused(subject, fault, plan) if fault else experiment.compare(subject, equivalent, plan)


def _checked_range(t_range: Interval) -> Interval:
    low, high = t_range
    if not 0 <= low < high <= 1:
        raise UsageError(f"range {low:g},{high:g} is not A,B with 0 <= A < B <= 1 (t, from noise to data).")
    return float(low), float(high)


def _facts(
    subject: NumericObjective, given: Interval | None, bound_range: Interval, lam: Sequence[float], tokens: int | None
) -> dict[str, Any]:
    t_range = given or WHOLE
    t = _times(subject, t_range)
    negative = _widened(on_intervals.where(lambda t: subject.value(t) < 0, t), t, t_range)
    infinite = _widened(on_intervals.where(lambda t: np.isinf(subject.value(t)), t), t, t_range)
    zero = on_intervals.joined(
        on_intervals.clipped([*_widened(on_intervals.zeros(subject.value, t), t, t_range), *subject.gaps], t_range)
    )
    low, high = (min(max(end, 1e-12), 1 - 1e-12) for end in bound_range)
    bound = bounds.analyse(subject.w, subject.lam, (low, max(min(high, subject.resolved), 0.5 * (low + high))))
    mean = mass(subject, t_range)
    law, halves = restatements.replacement(subject, mean, negative, t_range)
    return {
        "admissible": verdicts.admissible(subject, mean, negative, zero, t_range),
        "identified": verdicts.identified(negative, zero, infinite),
        "bound": verdicts.bound_property(subject, bound, bound_range, lam, given is None),
        "canonical": {"lam": list(lam), "w": [None if math.isnan(w) else number(w) for w in _at(subject, lam)]},
        "curve": (CURVE, np.array(_at(subject, CURVE))),
        "equivalent": [dict(vars(each)) for each in equivalents(subject.objective)],
        "replacement": law,
        "per_log_snr": restatements.per_log_snr(subject, bound, halves),
        "targets": restatements.on_targets(subject, lam),
        "time_agnostic": tokens and moments.time_agnostic(subject, bound, tokens, given, bound_range),
    }


def _no_facts(fault: str, lam: Sequence[float], tokens: int | None) -> dict[str, Any]:
    """The verdicts where path or time law make the objective void."""
    law, halves = restatements.nothing(fault)
    bound = {"violation": None, "witness": None, "minorant": None, "resolution": 0, "advice": None, "flags": None}
    return {
        "admissible": {"verdict": REFUTED, "mass": None, "reason": fault},
        "identified": {"verdict": REFUTED, "zero_set": [], "reason": fault},
        "bound": {"verdict": NOT_REPRESENTABLE, **bound, "reason": fault},
        "canonical": {"lam": list(lam), "w": [None] * len(lam)},
        "curve": (CURVE, np.full(len(CURVE), np.nan)),
        "equivalent": [],
        "replacement": law,
        "per_log_snr": {"bands": [], "quartiles": None, "halves": halves},
        "targets": None,
        "time_agnostic": tokens and moments.answer(tokens, NOT_REPRESENTABLE, fault),
    }


def _times(subject: NumericObjective, t_range: Interval) -> np.ndarray:
    """Where zeros and negative values are looked for: uniform in t, and closer and closer to both ends."""
    t = np.concatenate([np.linspace(*t_range, POINTS), subject.ladder])
    first, last = max(t_range[0], subject.ladder[0]), min(t_range[1], subject.ladder[-1])
    return np.unique(t[(t >= first) & (t <= last)])


def _widened(intervals: list[Interval], t: np.ndarray, t_range: Interval) -> list[Interval]:
    """Intervals that begin or end with the times looked at begin or end with the range."""
    return [(t_range[0] if low == t[0] else low, t_range[1] if high == t[-1] else high) for low, high in intervals]


def _at(subject: NumericObjective, lam: Sequence[float] | np.ndarray) -> list[float]:
    at = torch.tensor(list(lam), dtype=torch.float64)
    return subject.objective.at_log_snr(at).tolist()
