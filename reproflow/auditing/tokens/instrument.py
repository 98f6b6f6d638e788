"""Reading a loss of masked tokens: what it masks, at which rates, and the coefficient on the cross-entropy by rate."""

from __future__ import annotations

import torch

from reproflow.auditing.findings import Finding
from reproflow.auditing.reading import LossForm, Reading, Subject
from reproflow.auditing.tokens import checks, drawn, labels, masks, measuring, opening, times, told
from reproflow.auditing.tokens.reader import Reader


def read(subject: Subject) -> Reading:
    """What the loss does to tokens. Raises `UsageError` for one that cannot be called, or does not repeat."""
    graded = opening.graded(subject)
    if isinstance(graded, Reading):
        return graded
    masked = masks.replaced(graded.base, graded.call)
    state = graded.base.calls[graded.call].state
    ids = torch.unique(state[masked]) if state is not None else torch.zeros(0)
    if len(ids) != 1:
        return opening.not_absorbing(graded, ids)
    masking = masks.find(graded.evaluator, graded.base, graded.call)
    if masking is None:
        reason = "no draw of torch's was seen to decide which positions are masked, so the rate cannot be set"
        form = LossForm("other", opening.reduction(graded.base))
        return opening.reading(graded, form, None, [], {}, (reason,))
    return _examined(Reader(subject, graded, masking))


def _examined(reader: Reader) -> Reading:
    """All of it, in the order in which the next step needs the last."""
    labels.identity(reader)
    labels.find_shift(reader)
    fit, shown = reader.fit(reader.base, {}, 0.5)
    if not labels.has_gradient(reader, fit, shown):
        return _without_gradient(reader)
    found = times.find(reader.evaluator, reader.base, reader.rates, reader.masking.draw, even=reader.masking.ranks)
    roles = dict(found.roles)
    checks.data_decides(reader)
    coupled = checks.counted(reader) | checks.neighbours(reader, found)
    checks.random_weight(reader, roles)
    form = LossForm(fit.form, opening.reduction(reader.base))
    per_batch = "stratified" if found.how == "ranks" else "one a batch" * found.shared
    if found.shared:
        reader.findings.append(Finding("one-time-a-batch", "All samples of a batch share one time: it is legal."))
    measured = None
    limits: tuple[str, ...] = ()
    if fit.form == "other":
        text = "The gradient is that of no cross-entropy, score entropy or generalised KL."
        reader.findings.append(Finding("not-affine", text, f"off by {fit.residual:.1g}"))
        reader.time = next(iter(told.candidates(reader, found).names), "")
    else:
        measured = measuring.measured(reader, found)
        limits = (_LAW_OF_DRAWS.format(measured.draws, drawn.error(measured.draws)),) if measured.draws else ()
    return opening.reading(
        reader.graded, form, measured, reader.findings, roles, limits, coupled, per_batch, reader.time
    )


_LAW_OF_DRAWS = "the draws of the rates cannot be set: their law is that of {} draws, known to {:.2g}"


def _without_gradient(reader: Reader) -> Reading:
    text = "Masked positions get no gradient; only those that are shown do."
    reader.findings.append(Finding("no-gradient-masked", text))
    limits = ("without a gradient at masked positions there is no coefficient to read",)
    form = LossForm("other", opening.reduction(reader.base))
    return opening.reading(reader.graded, form, None, reader.findings, {reader.masking.draw: "mask"}, limits)
