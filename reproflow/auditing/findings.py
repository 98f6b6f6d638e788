"""What an audit may say against a loss, in two levels; docs/audit_findings.md has a section for each id.

A **defect** is wrong whatever the sampler does: the expected gradient is that of no objective E[w(t, S) |F - F_hat|^2],
F affine in x1 given the state S, under any law of x1 (Lemma 4.7 of 000 allows no more); three more are so by evident
intent. A **question** is a convention or a design that the loss alone cannot settle.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reproflow.foundation.errors import UsageError, did_you_mean


class Level(StrEnum):
    """How much a finding weighs."""

    DEFECT = "defect"
    QUESTION = "question"
    NOTE = "note"


LEVELS: dict[str, Level] = {
    **dict.fromkeys(
        (
            "no-gradient",
            "no-gradient-masked",
            "negative-weight",
            "noise-mismatch",
            "time-not-level",
            "weight-neighbours",
            "weight-sees-data",
            "target-empty",
            "not-as-stated",
            "mask-in-data",
            "sampler-mismatch",
        ),
        Level.DEFECT,
    ),
    **dict.fromkeys(
        (
            "not-affine",
            "clamp",
            "value-gradient",
            "mutates-batch",
            "more-noise",
            "offset-noise",
            "noise-shared",
            "draws-repeated",
            "noise-law",
            "no-noise",
            "time-reversed",
            "time-shift",
            "not-velocity",
            "weight-normalised",
            "weight-random",
            "batch-coupled",
            "weight-by-sample",
            "weight-conversion",
            "target-degenerate",
            "target-near",
            "target-neighbours",
            "target-scaled",
            "target-unnamed",
            "path-unnamed",
            "bootstrapped",
            "jvp",
            "input-gradient",
            "levels-inside",
            "state-not-linear",
            "several-heads",
            "wrong-label",
            "label-smoothing",
            "shown-tokens-count",
            "not-absorbing",
            "mask-by-data",
            "counts",
            "sampler-sharper",
        ),
        Level.QUESTION,
    ),
    **dict.fromkeys(("time-constant", "time-scaled", "one-time-a-batch", "mask-logit"), Level.NOTE),
}
"""Every finding by its id."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found: a sentence, and the numbers or the line of code that it rests on.

    Raises `UsageError` for an id that is none.
    """

    id: str
    text: str
    evidence: str = ""

    def __post_init__(self) -> None:
        check((self.id,))

    @property
    def level(self) -> Level:
        """Defect, question or note."""
        return LEVELS[self.id]

    def as_dict(self) -> dict[str, str]:
        """The keys of the JSON contract."""
        return {"id": self.id, "level": str(self.level), "text": self.text, "evidence": self.evidence}


def check(ids: tuple[str, ...]) -> None:
    """Raises `UsageError` for an id that no finding has."""
    for name in ids:
        if name not in LEVELS:
            raise UsageError(
                f"unknown finding {name!r};{did_you_mean(name, LEVELS)} docs/audit_findings.md lists them."
            )


def check_acceptable(ids: tuple[str, ...]) -> None:
    """Raises `UsageError` for an id that is no question: a defect is wrong all the same, a note costs nothing."""
    check(ids)
    for name in ids:
        if LEVELS[name] is not Level.QUESTION:
            raise UsageError(f"{name!r} is a {LEVELS[name]}, and only questions may be accepted.")
