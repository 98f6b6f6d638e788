"""Reading a loss of masked tokens: what it masks, at which rates, and the coefficient on the cross-entropy by rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation, Evaluator
from reproflow.auditing.findings import Finding
from reproflow.auditing.reading import Argument, DrawFacts, LossForm, MeasuredTokens, Reading, Subject
from reproflow.auditing.tape import Diverged
from reproflow.auditing.tokens import gradients, masks, times
from reproflow.auditing.tokens.gradients import Fit
from reproflow.auditing.tokens.masks import Masking
from reproflow.foundation.errors import UsageError

LOGITS = 2e7
"""Logits of one batch, at most: 80 MB in single precision."""
LEAST_BATCH = 2
FITTED = 2e6
"""Logits of the positions at which the form is fitted, at most."""
SAME = 1e-3
"""Relative difference of coefficients that is none."""


@dataclass(frozen=True)
class _Graded:
    """An evaluation of a token loss whose network's answer gets a gradient, and the call that does."""

    evaluator: Evaluator
    base: Evaluation
    call: int


def read(subject: Subject) -> Reading:
    """What the loss does to tokens. Raises `UsageError` for one that cannot be called, or does not repeat."""
    graded = _graded(subject)
    if isinstance(graded, Reading):
        return graded
    masked = masks.replaced(graded.base, graded.call)
    state = graded.base.calls[graded.call].state
    ids = torch.unique(state[masked]) if state is not None else torch.zeros(0)
    if len(ids) != 1:
        return _not_absorbing(graded, ids)
    masking = masks.find(graded.evaluator, graded.base, graded.call)
    if masking is None:
        reason = "no draw of torch's was seen to decide which positions are masked, so the rate cannot be set"
        return _reading(graded, LossForm("other", _reduction(graded.base)), None, [], {}, (reason,))
    return _Reader(subject, graded, masking).reading()


def _graded(subject: Subject) -> _Graded | Reading:
    """A base evaluation that repeats; a reading with `no-gradient` where none depends on the network's answer."""
    if len(subject.shape) != 1:
        raise UsageError(f"tokens have a shape of one number, their length (--shape 128), not {subject.shape}.")
    assert subject.vocabulary is not None
    error: UsageError | None = None
    for logits in dict.fromkeys((_logits(subject), subject.vocabulary)):
        length = subject.shape[0]
        batch = int(max(LEAST_BATCH, min(subject.batch, LOGITS // (length * logits))))
        evaluator = Evaluator(subject, (length, logits))
        x1 = _tokens(subject, batch, 0)
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


def _tokens(subject: Subject, batch: int, seed: int) -> Tensor:
    """A batch (B, L) of tokens drawn uniformly, without the mask's id."""
    assert subject.vocabulary is not None
    generator = torch.Generator().manual_seed(seed)
    inside = subject.mask is not None and subject.mask < subject.vocabulary
    tokens = torch.randint(subject.vocabulary - inside, (batch, *subject.shape), generator=generator)
    return tokens + (tokens >= subject.mask) if inside and subject.mask is not None else tokens


def _base(evaluator: Evaluator, x1: Tensor, seed: int) -> _Graded | Reading:
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
        return _Graded(evaluator, found, call)
    assert last is not None
    if not last.calls:
        raise UsageError("the loss does not call the network that it is given: call `model` in it.")
    if not last.graded:
        nothing = Finding("no-gradient", "The loss has no gradient in the network's answer.", _line(last))
        graded = _Graded(evaluator, last, len(last.calls) - 1)
        return _reading(graded, LossForm("other", _reduction(last)), None, [nothing], {}, ())
    shapes = [tuple(value.shape) for value in last.calls[-1].arguments().values() if isinstance(value, Tensor)]
    raise UsageError(
        f"the network gets no tokens of the batch's shape {tuple(x1.shape)} with some replaced, but {shapes}: call it "
        "with the masked tokens, in the batch's own shape."
    )


_UNREPEATED = (
    "the loss does not repeat under the same draws: it keeps a state, or draws from a generator that cannot be seen "
    "(numpy.random.default_rng, a generator of its own that is not torch's); seed it inside the function."
)


_COUNTS = "The loss is divided by the number of masked tokens {}: the coefficient is no function of the rate alone."


def _line(evaluation: Evaluation) -> str:
    return f"{len(evaluation.calls)} calls of the network, none with a gradient"


def _reduction(base: Evaluation) -> str:
    if base.returned is None:
        return "calls backward itself"
    if base.returned in ((), (1,)):
        return "a number"
    return "a number a sample" if len(base.returned) == 1 else "a number a token"


def _not_absorbing(graded: _Graded, ids: Tensor) -> Reading:
    found = Finding(
        "not-absorbing",
        "Tokens are replaced by many others, not by one mask: that process is not audited.",
        f"{len(ids)} ids stand in the place of others",
    )
    return _reading(graded, LossForm("other", _reduction(graded.base)), None, [found], {}, ())


def _reading(
    graded: _Graded,
    form: LossForm,
    measured: MeasuredTokens | None,
    findings: list[Finding],
    roles: Mapping[int, str],
    limits: tuple[str, ...],
    coupled: bool = False,
    per_batch: str = "",
) -> Reading:
    base = graded.base
    call = base.calls[graded.call]
    arguments = tuple(
        Argument(name, _argument_role(name, value, call.state_name, len(base.x1)), tuple(value.shape))
        for name, value in call.arguments().items()
        if isinstance(value, Tensor)
    )
    draws = tuple(
        DrawFacts(draw.operator, str(draw.kind), draw.shape, draw.file, draw.line, roles.get(index, "nothing"))
        for index, draw in enumerate(base.draws)
    )
    return Reading(
        len(base.calls), graded.call, arguments, draws, form, 0.0, graded.evaluator.count, measured, coupled, per_batch,
        tuple(findings), limits,
    )  # fmt: skip


def _argument_role(name: str, value: Tensor, state: str, batch: int) -> str:
    if name == state:
        return "state"
    return "time" if value.numel() == batch and value.is_floating_point() else "other"


class _Reader:
    """Reads one loss whose masking can be set."""

    def __init__(self, subject: Subject, graded: _Graded, masking: Masking) -> None:
        self.subject = subject
        self.graded = graded
        self.evaluator, self.base, self.call = graded.evaluator, graded.base, graded.call
        self.masking = masking
        self.findings: list[Finding] = []
        generator = torch.Generator().manual_seed(7)
        shape = (len(self.base.x1), *self.evaluator.answer)
        self.answers = [torch.randn(shape, generator=generator) for _ in range(3)]

    def reading(self) -> Reading:
        """All of it, in the order in which the next step needs the last."""
        self._id()
        fit, shown = self._fit(self.base, {}, 0.5)
        if not self._labels(fit, shown):
            return self._without_gradient()
        found = times.find(self.evaluator, self.base, self._rates, self.masking.draw, even=self.masking.ranks)
        roles = dict(found.roles)
        self._data_decides()
        coupled = self._counted() | self._neighbours(found)
        self._random_weight(roles)
        form = LossForm(fit.form, _reduction(self.base))
        per_batch = {"ranks": "stratified", "one a batch": "one a batch"}.get(found.how, "")
        if per_batch == "one a batch":
            self.findings.append(Finding("one-time-a-batch", "All samples of a batch share one time: it is legal."))
        measured = None
        if fit.form == "other":
            text = f"The gradient is that of no cross-entropy, score entropy or generalised KL (off by {fit.residual:.1g})."
            self.findings.append(Finding("not-affine", text))
        else:
            measured = self._measured(found)
        return _reading(self.graded, form, measured, self.findings, roles, (), coupled, per_batch)

    def _without_gradient(self) -> Reading:
        text = "Masked positions get no gradient; only those that are shown do."
        self.findings.append(Finding("no-gradient-masked", text))
        limits = ("without a gradient at masked positions there is no coefficient to read",)
        roles = {self.masking.draw: "mask"}
        return _reading(self.graded, LossForm("other", _reduction(self.base)), None, self.findings, roles, limits)

    def _rates(self, base: Evaluation, replaced: dict[int, Tensor]) -> Tensor:
        return masks.rates(self.evaluator, base, self.call, self.masking, replaced)

    def _id(self) -> None:
        mask, vocabulary = self.subject.mask, self.subject.vocabulary
        assert vocabulary is not None
        if mask is not None and self.masking.id != mask and self.masking.id < vocabulary:
            self.findings.append(
                Finding(
                    "mask-in-data",
                    f"Tokens are masked with id {self.masking.id}, which is a token of the data: the network cannot "
                    "tell them apart.",
                    f"the mask was said to be {mask}, the vocabulary ends at {vocabulary - 1}",
                )
            )

    def _gradients(
        self, base: Evaluation, replaced: Mapping[int, Tensor], share: float, x1: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor, Evaluation]:
        """The gradients at three sets of logits, what is masked, and the last evaluation, a share of tokens masked."""
        changed = dict(replaced)
        if not self.masking.ranks:
            changed[self.masking.draw] = self.masking.forced(base, share)
        seen = [
            self.evaluator.replay(base, x1=x1, answers={self.call: answer}, replaced=changed) for answer in self.answers
        ]
        taken = [each.gradients[self.call] for each in seen]
        zero = torch.zeros_like(self.answers[0])
        return [zero if each is None else each for each in taken], masks.replaced(seen[-1], self.call), seen[-1]

    def _fit(self, base: Evaluation, replaced: Mapping[int, Tensor], share: float) -> tuple[Fit, Tensor]:
        """The form at some masked positions of every sample, and (N, 2) where they are."""
        taken, hidden, seen = self._gradients(base, replaced, share)
        self._last = seen
        self._taken, self._hidden = taken, hidden
        where = self._some(hidden)
        at = where[:, 0], where[:, 1]
        state = seen.calls[self.call].state
        assert state is not None
        fit = gradients.fit([each[at] for each in self.answers], [each[at] for each in taken], base.x1[at], state[at])
        return fit, where

    def _some(self, hidden: Tensor) -> Tensor:
        """(N, 2): a few masked positions of every sample, as memory allows."""
        width = self.answers[0].shape[-1]
        each = int(max(1, min(4, FITTED // (width * len(hidden)))))
        return torch.cat(
            [
                torch.stack([torch.full_like(row, sample), row], 1)
                for sample, places in enumerate(hidden)
                for row in [torch.nonzero(places).flatten()[:: max(1, int(places.sum()) // each)][:each]]
            ]
        )

    def _labels(self, fit: Fit, where: Tensor) -> bool:
        """What the gradient says of labels, of shown positions and of the mask's own logit.

        Whether there is one at masked positions at all.
        """
        size = torch.stack([each.abs().amax(-1) for each in self._taken]).amax(0)
        masked_size = float(size[self._hidden].max()) if bool(self._hidden.any()) else 0.0
        shown_size = float(size[~self._hidden].max()) if bool((~self._hidden).any()) else 0.0
        if masked_size <= 1e-6 * shown_size:
            return False
        if shown_size > 1e-6 * masked_size:
            text = "Positions that are shown count in the loss too: the network is trained to copy them."
            self.findings.append(
                Finding("shown-tokens-count", text, f"gradient {shown_size / masked_size:.3g} as large")
            )
        if fit.form == "cross-entropy":
            self._of_labels(fit, where)
        if bool(fit.active[min(self.masking.id, len(fit.active) - 1)]) and self.masking.id < len(fit.active):
            self.findings.append(
                Finding("mask-logit", "The mask's own logit is in the softmax: its probability is learned to be zero.")
            )
        return True

    def _of_labels(self, fit: Fit, where: Tensor) -> None:
        tokens = self.base.x1[where[:, 0], where[:, 1]]
        label = fit.labels.argmax(-1)
        if float((label == tokens).double().mean()) > 0.9:
            at = fit.labels.gather(1, tokens[:, None]).squeeze(1)
            if float((at - 1).abs().max()) > SAME:
                self.findings.append(
                    Finding(
                        "label-smoothing",
                        "Labels are smoothed: the minimiser is a mixture of the posterior and the smoothing law.",
                        f"the data's token has the label {float(at.median()):.4g}",
                    )
                )
            return
        length = self.base.x1.shape[1]
        shares = {}
        for shift in (-2, -1, 1, 2):
            places = where[:, 1] + shift
            inside = (places >= 0) & (places < length)
            there = self.base.x1[where[:, 0], places.clamp(0, length - 1)]
            shares[shift] = float((label == there)[inside].double().mean()) if bool(inside.any()) else 0.0
        shift = max(shares, key=lambda each: shares[each])
        where_to = f"{shift:+d}" if shares[shift] > 0.9 else "none that is near"
        text = "The label of a masked position is not its own token: the answer there is graded against another."
        self.findings.append(Finding("wrong-label", text, f"shifted by: {where_to}"))

    def _data_decides(self) -> None:
        """Whether other tokens, under the same draws, are masked at other positions."""
        other = _tokens(self.subject, len(self.base.x1), 1)
        try:
            seen = self.evaluator.replay(self.base, x1=other)
        except Diverged:
            return
        compared = (other != self.masking.id) & (self.base.x1 != self.masking.id)
        hidden = [masks.replaced(each, self.call) & compared for each in (seen, self.base)]
        if not torch.equal(*hidden):
            self.findings.append(
                Finding(
                    "mask-by-data", "Which positions are masked depends on the tokens themselves: no rate decides it."
                )
            )

    def _coefficients(self, base: Evaluation, replaced: Mapping[int, Tensor], share: float) -> Tensor:
        """The coefficient (B,) on the cross-entropy of a masked token; NaN where a sample has none masked."""
        fit, where = self._fit(base, replaced, share)
        values = [fit.c[where[:, 0] == sample] for sample in range(len(base.x1))]
        return torch.stack([each.median() if len(each) else torch.tensor(torch.nan).double() for each in values])

    def _counted(self) -> bool:
        """Whether the coefficient follows the number of masked positions: a loss divided by its count."""
        if self.masking.ranks:
            return False
        half, quarter = (self._coefficients(self.base, {}, share) for share in (0.5, 0.25))
        ratio = float((quarter / half).nanmedian())
        if abs(ratio - 1) < SAME:
            return False
        evidence = f"half as many masked: the coefficient is {ratio:.4g} as large"
        self.findings.append(Finding("counts", _COUNTS.format("of a sample or the batch"), evidence))
        return True

    def _neighbours(self, found: times.Times) -> bool:
        """Whether the rates of half of the samples move the coefficients of the others."""
        moving = [index for index, role in found.roles.items() if role == "time"]
        batch = len(self.base.x1)
        if len(moving) != 1 or self.base.draws[moving[0]].standard.numel() != batch or batch < 2:
            return False
        half = batch // 2
        standard = self.base.draws[moving[0]].standard
        flat = standard.reshape(-1)
        replaced = {moving[0]: torch.cat([flat[:half], flat[: batch - half].flip(0)]).reshape(standard.shape)}
        try:
            before, shown = self._coefficients(self.base, {}, 0.5), int(self._hidden.sum())
            after, shown_after = self._coefficients(self.base, replaced, 0.5), int(self._hidden.sum())
            rates = self._rates(self.base, replaced) - self._rates(self.base, {})
        except Diverged:
            return False
        ratio = (after / before)[:half]
        moved = float((ratio - 1).abs().nan_to_num().max())
        if moved < SAME or float(rates[:half].abs().max()) > times.SAME:
            return False
        evidence = f"other times for half of them: it moves by {moved:.2g}"
        if self.masking.ranks and float((ratio * shown_after / shown - 1).abs().nan_to_num().max()) < SAME:
            self.findings.append(Finding("counts", _COUNTS.format("in the batch"), evidence))
            return True
        text = "A sample's weight depends on the times of the other samples of its batch."
        self.findings.append(Finding("weight-normalised", text, evidence))
        return True

    def _random_weight(self, roles: dict[int, str]) -> None:
        """Draws that change the coefficient alone."""
        for index, role in list(roles.items()):
            draw = self.base.draws[index]
            if role != "nothing" or draw.standard.numel() < 2:
                continue
            try:
                before = self._coefficients(self.base, {}, 0.5)
                after = self._coefficients(self.base, {index: draw.standard.flip(0)}, 0.5)
            except Diverged:
                roles[index] = "control"
                continue
            if float(((after - before) / before).abs().nan_to_num().max()) > SAME:
                roles[index] = "weight"
                text = "A random draw changes the weight and nothing else: its mean is what is trained."
                self.findings.append(Finding("weight-random", text, f"{draw.file}:{draw.line}"))

    def _measured(self, found: times.Times) -> MeasuredTokens:
        """The table by rate: m descending."""
        m, given, c, mass, index = [], [], [], [], []
        for setting in found.settings:
            m.append(self._rates(setting.base, setting.replaced).numpy())
            c.append(self._coefficients(setting.base, setting.replaced, 0.5).numpy())
            given.append(_given(self._last, self.call))
            mass.append(setting.mass)
            index.append(np.full(len(m[-1]), np.nan) if setting.index is None else setting.index)
        columns = {"m": m, "given": given, "c": c, "mass": mass, "index": index}
        table = {
            key: np.concatenate([np.asarray(each, dtype=float) for each in parts]) for key, parts in columns.items()
        }
        return _table(table, found, self.masking.ranks)


def _given(seen: Evaluation, call: int) -> np.ndarray:
    """The number that each sample's network gets for its time, NaN where it gets none."""
    arguments = seen.calls[call].arguments()
    batch = len(seen.x1)
    for name, value in arguments.items():
        if name != seen.calls[call].state_name and isinstance(value, Tensor) and value.numel() == batch:
            return value.detach().double().reshape(-1).numpy()
    return np.full(batch, np.nan)


def _table(table: dict[str, np.ndarray], found: times.Times, ranks: bool) -> MeasuredTokens:
    """The rows by rate, with the law; of a loss that masks whole numbers of positions, a row a number."""
    kept = np.isfinite(table["c"])
    table = {key: value[kept] for key, value in table.items()}
    count = len(table["m"])
    if found.how in ("steps", "quantiles", "one a batch"):
        _, first = np.unique(table["index" if found.how == "steps" else "mass"], return_index=True)
        table = {key: value[first] for key, value in table.items()}
    if ranks:
        _, first, times_seen = np.unique(-table["m"], return_index=True, return_counts=True)
        table = {key: value[first] for key, value in table.items()}
        return MeasuredTokens(
            table["m"], table["given"], table["c"], times_seen / times_seen.sum(), 1 / count, steps=True, read=found.how
        )
    order = np.argsort(-table["m"], kind="stable")
    table = {key: value[order] for key, value in table.items()}
    if found.how == "steps":
        law = np.full(len(order), 1 / found.steps)
    elif found.how in ("quantiles", "one a batch"):
        rising = np.polyfit(table["mass"], table["m"], 1)[0] > 0
        law = 1 - table["mass"] if rising else table["mass"]
    else:
        law = (np.arange(len(order)) + 0.5) / len(order)
    drawn = found.how == "drawn"
    error = len(order) ** -0.5 if drawn else masks.NARROW
    return MeasuredTokens(
        table["m"], table["given"], table["c"], law, error, len(order) if drawn else 0, found.how == "steps", found.how
    )
