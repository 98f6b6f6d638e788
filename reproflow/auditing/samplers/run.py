"""Is the loss's own minimiser what the user's sampler takes it for? Known data go in; they must come out.

A loss cannot say which way its time runs, whether a shift is meant, or how its prediction is to be turned into a step:
the sampler can. Two Gaussians and two lumps stand for the data; the tolerance is what chance and discretisation allow,
the latter seen from the same sampler with twice as many steps.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

from torch import Tensor

from reproflow.auditing.measured_loss import MeasuredLoss
from reproflow.auditing.reading import Reading, Subject
from reproflow.auditing.samplers import calling, repairs
from reproflow.auditing.samplers.answers import by_law, not_run, refused
from reproflow.auditing.samplers.calling import Sampler
from reproflow.auditing.samplers.comparison import Compared, compared, verdict
from reproflow.auditing.samplers.levels import Levels
from reproflow.auditing.samplers.minimisers import ExactNetwork, Gaussian, Law, TwoLumps
from reproflow.foundation import child_process
from reproflow.foundation.errors import UsageError

NUMBERS = 12288
"""How many numbers are sampled, about."""
FEWEST = 8
SETTLED = ("time-reversed", "time-shift", "not-velocity")
"""The questions about conventions that a right sampler answers."""


def check(subject: Subject, reading: Reading, sampler: Sampler) -> dict[str, Any]:
    """{verdict: right, wrong, undecided or not run; reason; steps; laws; settled; findings} of `sample(model, n)`.

    Raises `UsageError` for a sampler that cannot be called, or that does not return samples.
    """
    measured = reading.measured
    if measured is None or reading.coupled:
        why = "the loss's levels were not read" if measured is None else "the loss couples what it draws"
        return not_run(f"{why}, so its minimiser is not known")
    if not isinstance(measured, MeasuredLoss):
        from reproflow.auditing.samplers import tokens

        return tokens.check(subject, reading, measured, sampler)
    try:
        levels = Levels(measured.in_one())
    except UsageError as error:
        return not_run(str(error))
    runs = Runs(subject, reading, sampler)
    unit, centre = scale(subject, levels)
    known = laws(unit, centre)

    def rows_of(law: Law, own: Levels) -> list[Compared]:
        samples = runs.of(law, own)
        child_process.alive()
        return [compared(law.name, each, samples, runs.calls) for each in law.statistics(unit)]

    rows = [row for law in known for row in rows_of(law, levels)]
    answer: dict[str, Any] = {"steps": runs.steps, "settled": []}
    answer |= {"laws": by_law(rows), "findings": []}
    said, worst = verdict(rows)
    if said == "wrong":
        repair = repairs.found(levels, lambda own: verdict(rows_of(known[1], own))[0] == "right")
        return answer | refused(worst, repair)
    if said == "undecided":
        return answer | {"verdict": said, "reason": f"its steps are too coarse to tell; {worst}"}
    reason = f"data of {len(known)} known laws come out of it; at worst {worst}"
    return answer | {"verdict": said, "reason": reason, "settled": list(SETTLED)}


class Runs:
    """The sampler, run with the exact network for a law: at its own number of steps, and at twice as many if it can.

    A chain of fixed levels has no more steps than levels: where twice as many fail, its own number stands alone.
    """

    def __init__(self, subject: Subject, reading: Reading, sampler: Sampler) -> None:
        self._subject, self._sampler = subject, sampler
        roles = {each.role: each.name for each in reversed(reading.arguments)}
        self._names = roles.get("state", ""), roles.get("time", "")
        self._argument = calling.steps(sampler)
        self._count = max(FEWEST, math.ceil(NUMBERS / math.prod(subject.shape)))
        self.calls = 0

    @property
    def steps(self) -> list[int] | None:
        """The numbers of steps that are compared."""
        return [self._argument[1], 2 * self._argument[1]] if self._argument else None

    def of(self, law: Law, levels: Levels) -> list[Tensor]:
        """The samples of the one run, or of the two."""
        runs = [self._sampled(law, levels, {})]
        if self._argument is not None:
            with contextlib.suppress(UsageError):
                more = self._sampled(law, levels, {self._argument[0]: 2 * self._argument[1]})
                if more.isfinite().all():
                    return [*runs, more]
            self._argument = None
        return runs

    def _sampled(self, law: Law, levels: Levels, options: dict[str, int]) -> Tensor:
        model = ExactNetwork(levels, law, self._subject.shape, *self._names)
        found = calling.call(self._sampler, model, self._count, self._subject.shape, self._subject.seed, **options)
        if not model.calls:
            raise UsageError("the sampler never calls the network that it is given.")
        self.calls = model.calls if not options else self.calls
        return found


def laws(unit: float, centre: float) -> list[Law]:
    """The laws that stand for data; narrow, so that a sampler that clamps to the data's range changes nothing."""
    return [
        Gaussian(centre - 0.2 * unit, 0.1 * unit),
        Gaussian(centre + 0.3 * unit, 0.3 * unit),
        TwoLumps(centre, 0.5 * unit, 0.7, 0.05 * unit),
    ]


def scale(subject: Subject, levels: Levels) -> tuple[float, float]:
    """Half of the data's range, and its middle: of `--data`, else from the loss's own offset, else 1 and 0."""
    if subject.data is not None:
        low, high = subject.data
        return (high - low) / 2, (high + low) / 2
    centre = levels.centre
    return (abs(centre), centre) if abs(centre) > 0.05 else (1.0, 0.0)
