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
from reproflow.judge import drawn_laws
from reproflow.judge.objectives import data_scale, drawn_verdicts, gradient_identity, restatements, sameness, verdicts
from reproflow.judge.objectives import gradient_variance as variance
from reproflow.judge.objectives import time_agnostic as moments
from reproflow.judge.objectives.asked import Against, as_judged, check_pointwise, numeric_of, of_specs
from reproflow.judge.objectives.integrability import mass
from reproflow.judge.objectives.numeric_objective import WHOLE, NumericObjective
from reproflow.judge.objectives.unseen import Unseen
from reproflow.judge.training.plan import Plan
from reproflow.numerics import intervals as on_intervals
from reproflow.numerics.derivatives import Mode
from reproflow.numerics.intervals import Interval
from reproflow.numerics.zero_sets import zero_sets
from reproflow.theory import bounds, time_direction
from reproflow.theory.bounds import CERTIFIED, NOT_REPRESENTABLE
from reproflow.theory.equivalence import equivalents
from reproflow.theory.objective import Objective
from reproflow.theory.own_equivalents import all_equivalents

LAM = tuple(float(lam) for lam in range(-6, 7))
CURVE = np.linspace(-10, 10, 201)


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
    against: dict[str, Any] | None
    sigma_data: dict[str, Any] | None
    time_runs: str
    warnings: list[str]
    curve: tuple[np.ndarray, np.ndarray] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: infinity is "inf", what is out of reach is null."""
        return {key: list(value) if key == "range" else value for key, value in vars(self).items() if key != "curve"}

    @property
    def exit_code(self) -> int:
        """0: supported, supported and certified; 3: something is refuted; 5: something is only inconclusive.

        With `time_agnostic` its verdict counts, and that of `bound`, which is about other networks, does not. With
        `against` nothing else counts: 0 the same, 3 different.
        """
        if self.against is not None:
            return {sameness.SAME: 0, sameness.DIFFERENT: 3}.get(self.against["verdict"], 5)
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
    time_runs: str | None = None,
    sigma_data: float | None = None,
    against: Against | None = None,
) -> Judgement:
    """The judgement on a weighting: `objective` of what these specs name.

    The path is `linear` unless given, for a masked process too. `target` is what the weighting multiplies, in place of
    what it says itself. With `time_runs` "data-to-noise" functions and expressions among them, and `t_range`, have the
    data at t = 0; the answer does not. The rest is as in `objective`.

    Raises `UsageError` for a name, a file or an expression that cannot be used, and where a value is NaN.
    """
    started = clock.monotonic()
    subject = of_specs(spec, path, time, process, target, time_runs)
    other = None
    if against is not None:
        parts = against.weighting, against.path or path, against.time or time
        other = of_specs(*parts, process, against.target, time_runs)
    turn = time_direction.is_turned(time_runs)
    span = (1 - t_range[1], 1 - t_range[0]) if turn and t_range else t_range
    found = objective(subject, span, lam, tokens, time_agnostic, train, sigma_data, other)
    direction = time_direction.warnings(subject.path, time_runs)
    return replace(
        found,
        spec=str(spec),
        time_runs=time_runs or found.time_runs,
        warnings=[*direction, *found.warnings],
        seconds=round(clock.monotonic() - started, 3),
    )


def objective(
    subject: Objective,
    t_range: Interval | None = None,
    lam: Sequence[float] = LAM,
    tokens: int | None = None,
    time_agnostic: bool = False,
    train: Plan | None = None,
    sigma_data: float | None = None,
    against: Objective | None = None,
    mode: Mode | None = None,
) -> Judgement:
    """The judgement on an objective of squared errors or cross-entropies.

    `t_range` is the range of t, by default [1e-4, 1 - 1e-4] for the bound and (0, 1) for the rest. `lam` are the
    log-SNRs at which the canonical weight is evaluated. `time_agnostic` says that a masked network of `tokens` tokens
    has no time input: its moment test is then the verdict that counts. `train` asks for the paired experiment.
    `sigma_data` is the standard deviation of the data (`data_scale`), 1 unless given; `against` is another objective:
    are the two one? `mode` is how derivatives are taken (`numerics.derivatives`): reverse, which starts at once, serves
    expressions that hide no branch.

    Raises `UsageError` for an objective with another loss, for a range, a number of tokens or a scale of data that is
    none, and where a value is NaN.
    """
    started = clock.monotonic()
    if subject.loss is not None:
        raise UsageError(
            f"divergence {subject.loss.name!r}: an objective is judged by its canonical weight, which squared errors "
            "and cross-entropies alone have; judge.divergence judges the divergence itself."
        )
    data_scale.check(sigma_data, subject)
    numeric = numeric_of(subject, Budget(), mode)
    bound_range = _checked_range(t_range) if t_range else bounds.DEFAULT_RANGE
    moments.check_tokens(tokens, time_agnostic, subject.process)
    check_pointwise(numeric, t_range or WHOLE)
    fault = numeric.fault()
    facts = _no_facts(fault, lam, tokens) if fault else _facts(numeric, t_range, bound_range, lam, tokens, sigma_data)
    if not fault and (drawn := drawn_verdicts.draws_of(numeric)):
        facts |= drawn_verdicts.revised(numeric, drawn, facts)
    compared = None if against is None else sameness.compare(numeric, numeric_of(against, Budget()))
    if compared and compared["verdict"] == sameness.SAME:
        named = {key: compared[key] for key in ("path", "time", "factor")}
        facts["equivalent"].append({**named, "weighting": compared["spec"]})
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
        train=None if train is None else _trained(as_judged(subject), fault, train),
        against=compared,
        sigma_data=data_scale.facts(sigma_data),
        time_runs=time_direction.NOISE_TO_DATA,
        warnings=data_scale.warnings(sigma_data, subject),
        seconds=round(clock.monotonic() - started, 3),
    )


def _trained(subject: Objective, fault: str, plan: Plan) -> dict[str, Any]:
    from reproflow.judge.training import experiment  # seconds to import

    if drawn_laws.DRAWN in subject.time.entry.meta:
        fault = "a law that is known by draws has no quantile map of its own; give its density"
    if fault:
        return experiment.refused(subject, fault, plan)
    return experiment.compare(subject, [dict(vars(each)) for each in equivalents(subject)], plan)


def _checked_range(t_range: Interval) -> Interval:
    low, high = t_range
    if not 0 <= low < high <= 1:
        raise UsageError(f"range {low:g},{high:g} is not A,B with 0 <= A < B <= 1 (t, from noise to data).")
    return float(low), float(high)


def _facts(
    subject: NumericObjective,
    given: Interval | None,
    bound_range: Interval,
    lam: Sequence[float],
    tokens: int | None,
    sigma_data: float | None,
) -> dict[str, Any]:
    t_range = given or WHOLE
    span = _span(subject, bound_range)
    t = _times(subject, t_range, span)
    negative = _widened(on_intervals.where(lambda t: subject.value(t) < 0, t), t, t_range)
    infinite = _widened(on_intervals.where(lambda t: np.isinf(subject.value(t)), t), t, t_range)
    sets = zero_sets(subject.value, t)
    zero = on_intervals.joined(
        on_intervals.clipped([*_widened(sets.zero, t, t_range), *subject.gaps], t_range),
    )
    unseen = Unseen.of(subject, _widened(sets.lost, t, t_range), sets.single, t, t_range)
    bound = bounds.analyse(subject.w, subject.lam, span, times=t[(t >= span[0]) & (t <= span[1])])
    times = np.union1d(t, bound.t)
    mean = mass(subject, t_range, times)
    law, halves = restatements.replacement(subject, mean, negative, t_range, times)
    return {
        "admissible": verdicts.admissible(subject, mean, negative, zero, unseen, t_range),
        "identified": moments.identified(subject, tokens, t_range, negative)
        if tokens
        else verdicts.identified(negative, zero, infinite, unseen),
        "bound": verdicts.bound_property(subject, bound, bound_range, lam, given is None),
        "canonical": {"lam": list(lam), "w": [None if math.isnan(w) else number(w) for w in _at(subject, lam)]},
        "curve": (CURVE, np.array(_at(subject, CURVE))),
        "equivalent": [dict(vars(each)) for each in all_equivalents(subject.objective)],
        "replacement": law,
        "per_log_snr": restatements.per_log_snr(subject, bound, halves, sigma_data or 1.0),
        "targets": data_scale.on_targets(subject, lam, sigma_data),
        "time_agnostic": tokens and moments.time_agnostic(subject, bound, tokens, given, bound_range),
    }


def _no_facts(fault: str, lam: Sequence[float], tokens: int | None) -> dict[str, Any]:
    """The verdicts where path or time law make the objective void."""
    law, halves = restatements.nothing(fault)
    bound = {"violation": None, "witness": None, "minorant": None, "resolution": 0, "advice": None, "flags": None}
    return {
        "admissible": {"verdict": REFUTED, "mass": None, "resolution": None, "reason": fault},
        "identified": {"verdict": REFUTED, "zero_set": [], "unresolved": [], "reason": fault},
        "bound": {"verdict": NOT_REPRESENTABLE, **bound, "reason": fault},
        "canonical": {"lam": list(lam), "w": [None] * len(lam)},
        "curve": (CURVE, np.full(len(CURVE), np.nan)),
        "equivalent": [],
        "replacement": law,
        "per_log_snr": {"bands": [], "quartiles": None, "halves": halves},
        "targets": None,
        "time_agnostic": tokens and moments.answer(tokens, NOT_REPRESENTABLE, fault),
    }


def _span(subject: NumericObjective, bound_range: Interval) -> Interval:
    """The range of the bound, as far as numbers go."""
    low, high = (min(max(end, 1e-12), 1 - 1e-12) for end in bound_range)
    return low, max(min(high, subject.resolved), 0.5 * (low + high))


def _times(subject: NumericObjective, t_range: Interval, span: Interval) -> np.ndarray:
    """The times at which everything is looked at: the bound's, uniform ones beyond, and ever closer to both ends."""
    uniform = np.linspace(*t_range, bounds.POINTS)
    beyond = uniform[(uniform < span[0]) | (uniform > span[1])]
    t = np.concatenate([bounds.grid(subject.lam, span, bounds.POINTS), beyond, subject.ladder])
    first, last = max(t_range[0], subject.ladder[0]), min(t_range[1], subject.ladder[-1])
    return np.unique(t[(t >= first) & (t <= last)])


def _widened(intervals: list[Interval], t: np.ndarray, t_range: Interval) -> list[Interval]:
    """Intervals that begin or end with the times looked at begin or end with the range."""
    return [(t_range[0] if low == t[0] else low, t_range[1] if high == t[-1] else high) for low, high in intervals]


def _at(subject: NumericObjective, lam: Sequence[float] | np.ndarray) -> list[float]:
    at = torch.tensor(list(lam), dtype=torch.float64)
    return subject.objective.at_log_snr(at).tolist()
