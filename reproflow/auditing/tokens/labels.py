"""What the gradient of a masked loss says of labels, of shown positions and of the mask's own logit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from reproflow.auditing.findings import Finding
from reproflow.auditing.tokens.gradients import Fit

if TYPE_CHECKING:
    from reproflow.auditing.tokens.reader import Reader

SAME = 1e-3
"""Relative difference of labels that is none."""
SHIFTS = (1, -1, 2, -2)


def has_gradient(reader: Reader, fit: Fit, where: Tensor) -> bool:
    """What the gradient says of labels, of shown positions and of the mask's own logit.

    Whether there is one at masked positions at all.
    """
    size = torch.stack([each.abs().amax(-1) for each in reader.taken]).amax(0)
    masked_size = float(size[reader.hidden].max()) if bool(reader.hidden.any()) else 0.0
    shown = ~reader.hidden & (reader.base.x1 != reader.masking.id)
    shown_size = float(size[shown].max()) if bool(shown.any()) else 0.0
    if masked_size <= 1e-6 * shown_size:
        return False
    if shown_size > 1e-6 * masked_size:
        text = "Positions that are shown count in the loss too: the network is trained to copy them."
        reader.findings.append(Finding("shown-tokens-count", text, f"gradient {shown_size / masked_size:.3g} as large"))
    if fit.form == "cross-entropy":
        _of_labels(reader, fit, where)
    if not _is_token(reader) and reader.masking.id < len(fit.active) and bool(fit.active[reader.masking.id]):
        reader.findings.append(
            Finding("mask-logit", "The mask's own logit is in the softmax: its probability is learned to be zero.")
        )
    return True


def find_shift(reader: Reader) -> None:
    """`wrong-label` where answers get a gradient exactly where another position, so many places on, is masked."""
    taken, hidden, _ = reader.gradients_at(reader.base, {}, 0.5)
    size = torch.stack([each.abs().amax(-1) for each in taken]).amax(0)
    live = size > 1e-6 * size.max()
    length = live.shape[1]
    for shift in (shift for shift in SHIFTS if abs(shift) < length):
        answers = slice(max(0, -shift), length - max(0, shift))
        labels = slice(max(0, shift), length - max(0, -shift))
        if torch.equal(live[:, answers], hidden[:, labels]) and not torch.equal(live, hidden):
            reader.shift = shift
            text = "The answer at a position is graded against another position's token: sampling has to shift too."
            reader.findings.append(Finding("wrong-label", text, f"shifted by: {shift:+d}"))
            return


def _of_labels(reader: Reader, fit: Fit, where: Tensor) -> None:
    tokens = reader.base.x1[where[:, 0], where[:, 1]]
    label = fit.labels.argmax(-1)
    if float((label == tokens).double().mean()) > 0.9:
        at = fit.labels.gather(1, tokens[:, None]).squeeze(1)
        if float((at - 1).abs().max()) > SAME:
            reader.findings.append(
                Finding(
                    "label-smoothing",
                    "Labels are smoothed: the minimiser is a mixture of the posterior and the smoothing law.",
                    f"the data's token has the label {float(at.median()):.4g}",
                )
            )
        return
    length = reader.base.x1.shape[1]
    shares = {}
    for shift in SHIFTS:
        places = where[:, 1] + shift
        inside = (places >= 0) & (places < length)
        there = reader.base.x1[where[:, 0], places.clamp(0, length - 1)]
        shares[shift] = float((label == there)[inside].double().mean()) if bool(inside.any()) else 0.0
    shift = max(shares, key=lambda each: shares[each])
    where_to = f"{shift:+d}" if shares[shift] > 0.9 else "none that is near"
    text = "The label of a masked position is not its own token: the answer there is graded against another."
    reader.findings.append(Finding("wrong-label", text, f"shifted by: {where_to}"))


def _is_token(reader: Reader) -> bool:
    """Whether what stands for a mask is a token of the data."""
    mask, vocabulary = reader.subject.mask, reader.subject.vocabulary
    assert vocabulary is not None
    return mask is not None and reader.masking.id != mask and reader.masking.id < vocabulary


def identity(reader: Reader) -> None:
    """`mask-in-data` where what stands for a mask is a token of the data."""
    if _is_token(reader):
        reader.findings.append(
            Finding(
                "mask-in-data",
                f"Tokens are masked with id {reader.masking.id}, which is a token of the data: the network cannot "
                "tell them apart.",
                f"the mask was said to be {reader.subject.mask}, the vocabulary has {reader.subject.vocabulary} tokens",
            )
        )
