"""`audit`: a training loss, run and read, its parts named, and the objective that it trains judged."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reproflow.auditing import findings as catalogue
from reproflow.auditing.expected import Expected
from reproflow.auditing.findings import Finding, Level
from reproflow.auditing.identification import Identification
from reproflow.auditing.plain_values import plain
from reproflow.auditing.reading import Loss, Reading, Subject
from reproflow.foundation.errors import UsageError


@dataclass(frozen=True)
class Audit:
    """What was found; `as_dict` has the keys of `reproflow audit --json` (docs/schemas/audit.json)."""

    name: str
    process: str
    reading: Reading
    identification: Identification
    sampler: dict[str, Any] | None
    accepted: tuple[str, ...]
    strict: bool
    seconds: float
    data: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; a part that the loss does not have, or that was not asked for, is None."""
        reading, named = self.reading, self.identification
        answer = {
            "name": self.name,
            "process": self.process,
            "calls": {
                "count": reading.calls,
                "graded": reading.graded,
                "arguments": [asdict(each) for each in reading.arguments],
            },
            "draws": [asdict(each) for each in reading.draws],
            "data": {"offset": reading.offset, "range": self.data},
            "path": named.path,
            "time": named.time,
            "target": named.target,
            "loss": {
                "form": reading.form.form,
                "profile": reading.form.profile,
                "value_gap": reading.form.value_gap,
            },
            "coefficient": named.coefficient,
            "reduction": reading.form.reduction,
            "canonical": named.canonical,
            "same_as": named.same_as,
            "judged": named.judged,
            "expected": named.expected,
            "sampler": self.sampler,
            "findings": [each.as_dict() for each in self.findings],
            "accepted": self.accepted,
            "coupled": reading.coupled,
            "per_batch": reading.per_batch,
            "limits": reading.limits,
            "evaluations": reading.evaluations,
            "seconds": self.seconds,
            "exit_code": self.exit_code,
        }
        return {key: plain(value) for key, value in answer.items()}

    @property
    def unmet(self) -> tuple[str, ...]:
        """The accepted questions that do not occur."""
        found = {each.id for each in self.findings}
        return tuple(each for each in self.accepted if each not in found)

    @property
    def settled(self) -> tuple[str, ...]:
        """The questions that the sampler answered: the data came out of it."""
        return tuple((self.sampler or {}).get("settled", ()))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings: defects, then questions, then notes."""
        order = list(Level)
        found = self.reading.findings + self.identification.findings
        found += tuple(Finding(**each) for each in (self.sampler or {}).get("findings", ()))
        return tuple(sorted(found, key=lambda each: order.index(each.level)))

    @property
    def exit_code(self) -> int:
        """0: identified, nothing against it; 3: a defect, or not as stated; 5: a question, or something not identified.

        With `strict` the judge's verdicts on the objective count: refuted or falsified is 3, inconclusive or none 5.
        Questions that are accepted or that the sampler settled, and notes, do not count. A loss that is not identified
        is an open question, unless one that is accepted occurs and says why; so is a comparison that cannot be made.
        """
        answered = {*self.accepted, *self.settled}
        open_questions = [each for each in self.findings if each.level is Level.QUESTION and each.id not in answered]
        if any(each.level is Level.DEFECT for each in self.findings):
            return 3
        judged = self.identification.judged if self.strict else None
        if judged is not None and judged["exit_code"] == 3:
            return 3
        identified = self.reading.measured is not None and self.identification.canonical is not None
        said_why = any(each.id in self.accepted for each in self.findings)
        undecided = self.strict and (judged is None or judged["exit_code"] == 5)
        undecided |= (self.identification.expected or {}).get("verdict") == "cannot"
        return 5 if open_questions or undecided or not (identified or said_why) else 0


def audit(
    loss: Loss,
    shape: Sequence[int],
    *,
    vocab: int | None = None,
    mask: int | None = None,
    batch: int = 32,
    data: tuple[float, float] | None = None,
    float64: bool = False,
    expect: Expected | None = None,
    sampler: Any = None,
    accept: Sequence[str] = (),
    strict: bool = False,
    name: str = "loss",
) -> Audit:
    """What `loss(model, x1)` trains on samples of `shape`: state, target, coefficient, law of the times, and findings.

    x1 is of shape (`batch`, *`shape`): float32 (`float64`: double) within `data`, (-1, 1) unless given, or with `vocab`
    whole numbers below that, and `mask` the id of the mask token. `expect` is compared with what is measured; `sampler`
    is called as sample(model, n) and returns (n, *`shape`). `accept` are ids of questions.

    Raises `UsageError` for a loss that cannot be called, or that does not repeat under the same draws, and for an
    accepted id that is no question.
    """
    started = clock.monotonic()
    catalogue.check_acceptable(tuple(accept))
    subject = Subject(loss, _shape(shape), batch, float64, data, vocab, mask)
    if vocab is None:
        from reproflow.auditing.continuous.instrument import read
        from reproflow.auditing.naming import identify
    else:
        from reproflow.auditing.tokens.instrument import read
        from reproflow.auditing.tokens.naming import identify
    reading = read(subject)
    identification = identify(reading, expect, data)
    sampled = None
    if sampler is not None:
        from reproflow.auditing.samplers import run

        sampled = run.check(subject, reading, sampler)
    return Audit(
        name,
        "gaussian" if vocab is None else "masked",
        reading,
        identification,
        sampled,
        tuple(accept),
        strict,
        round(clock.monotonic() - started, 3),
        data,
    )


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    if not shape or any(int(size) != size or size < 1 for size in shape):
        raise UsageError(f"shape {tuple(shape)} is not that of a sample: whole numbers above 0, such as 3,32,32.")
    return tuple(int(size) for size in shape)
