"""Opening a loss of masked tokens: calling it with tokens, which call is graded, and the reading's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation, Evaluator
from reproflow.auditing.findings import Finding
from reproflow.auditing.reading import Argument, DrawFacts, LossForm, MeasuredTokens, Reading, Subject
from reproflow.auditing.tape import Diverged
from reproflow.auditing.tokens import masks
from reproflow.foundation.errors import UsageError

LOGITS = 2e7
"""Logits of one batch, at most: 80 MB in single precision."""
LEAST_BATCH = 2


@dataclass(frozen=True)
class Graded:
    """An evaluation of a token loss whose network's answer gets a gradient, and the call that does."""

    evaluator: Evaluator
    base: Evaluation
    call: int


def graded(subject: Subject) -> Graded | Reading:
    """A base evaluation that repeats; a reading with `no-gradient` where none depends on the network's answer."""
    if len(subject.shape) != 1:
        raise UsageError(f"tokens have a shape of one number, their length (--shape 128), not {subject.shape}.")
    assert subject.vocabulary is not None
    error: UsageError | None = None
    for logits in dict.fromkeys((_logits(subject), subject.vocabulary)):
        length = subject.shape[0]
        batch = int(max(LEAST_BATCH, min(subject.batch, LOGITS // (length * logits))))
        evaluator = Evaluator(subject, (length, logits))
        x1 = tokens(subject, batch, 0)
        try:
            return _base(evaluator, x1, subject.seed)
        except UsageError as raised:
            error = error or raised
    assert error is not None
    raise error


def _logits(subject: Subject) -> int:
    """The width of the answer: the vocabulary, and the mask's logit where the mask has an id beyond it."""
    assert subject.vocabulary is not None
    return max(subject.vocabulary, (subject.mask if subject.mask is not None else 0) + 1)


def tokens(subject: Subject, batch: int, seed: int) -> Tensor:
    """A batch (B, L) of tokens drawn uniformly, without the mask's id."""
    assert subject.vocabulary is not None
    generator = torch.Generator().manual_seed(seed)
    inside = subject.mask is not None and subject.mask < subject.vocabulary
    tokens = torch.randint(subject.vocabulary - inside, (batch, *subject.shape), generator=generator)
    return tokens + (tokens >= subject.mask) if inside and subject.mask is not None else tokens


def _base(evaluator: Evaluator, x1: Tensor, seed: int) -> Graded | Reading:
    last: Evaluation | None = None
    for attempt in range(8):  # a batch that a rare branch has cut short has no state of the batch's shape
        found = evaluator.record(x1, seed + attempt)
        last = found
        if not found.graded:
            continue
        call = found.graded[-1]
        if found.calls[call].state is None or not bool(masks.replaced(found, call).any()):
            continue
        try:
            again = evaluator.replay(found)
        except Diverged as error:
            raise UsageError(_UNREPEATED) from error
        first, second = found.gradients[call], again.gradients[call]
        assert first is not None
        same = second is not None and torch.equal(first, second)
        if not same or not torch.equal(masks.replaced(found, call), masks.replaced(again, call)):
            raise UsageError(_UNREPEATED)
        if not bool(torch.isfinite(first).all()):
            raise UsageError("the gradient of the loss is not finite for logits of zero.")
        return Graded(evaluator, found, call)
    assert last is not None
    if not last.calls:
        raise UsageError("the loss does not call the network that it is given: call `model` in it.")
    if not last.graded:
        nothing = Finding("no-gradient", "The loss has no gradient in the network's answer.", _line(last))
        blind = Graded(evaluator, last, len(last.calls) - 1)
        return reading(blind, LossForm("other", reduction(last)), None, [nothing], {}, ())
    shapes = [tuple(value.shape) for value in last.calls[-1].arguments().values() if isinstance(value, Tensor)]
    raise UsageError(
        f"the network gets no tokens of the batch's shape {tuple(x1.shape)} with some replaced, but {shapes}: call it "
        "with the masked tokens, in the batch's own shape."
    )


_UNREPEATED = (
    "the loss does not repeat under the same draws: it keeps a state, or draws from a generator that cannot be seen "
    "(numpy.random.default_rng, a generator of its own that is not torch's); seed it inside the function."
)


def _line(evaluation: Evaluation) -> str:
    return f"{len(evaluation.calls)} calls of the network, none with a gradient"


def reduction(base: Evaluation) -> str:
    if base.returned is None:
        return "calls backward itself"
    if base.returned in ((), (1,)):
        return "a number"
    return "a number a sample" if len(base.returned) == 1 else "a number a token"


def not_absorbing(graded: Graded, ids: Tensor) -> Reading:
    found = Finding(
        "not-absorbing",
        "Tokens are replaced by many others, not by one mask: that process is not audited.",
        f"{len(ids)} ids stand in the place of others",
    )
    return reading(graded, LossForm("other", reduction(graded.base)), None, [found], {}, ())


def reading(
    graded: Graded,
    form: LossForm,
    measured: MeasuredTokens | None,
    findings: list[Finding],
    roles: Mapping[int, str],
    limits: tuple[str, ...],
    coupled: bool = False,
    per_batch: str = "",
    time: str = "",
) -> Reading:
    base = graded.base
    call = base.calls[graded.call]
    roles_by_name = {time: "time", call.state_name: "state"}
    arguments = tuple(
        Argument(name, roles_by_name.get(name, "other"), tuple(value.shape) if isinstance(value, Tensor) else ())
        for name, value in call.arguments().items()
        if isinstance(value, Tensor) or name == time
    )
    draws = tuple(
        DrawFacts(draw.operator, str(draw.kind), draw.shape, draw.file, draw.line, roles.get(index, "nothing"))
        for index, draw in enumerate(base.draws)
    )
    return Reading(
        len(base.calls), graded.call, arguments, draws, form, 0.0, graded.evaluator.count, measured, coupled, per_batch,
        tuple(findings), limits,
    )  # fmt: skip
