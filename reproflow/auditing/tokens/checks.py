"""What a masked loss does beside masking by a rate: data that decide, counts, neighbours, weights drawn at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from reproflow.auditing.findings import Finding
from reproflow.auditing.tape import Diverged
from reproflow.auditing.tokens import masks, opening, times

if TYPE_CHECKING:
    from reproflow.auditing.tokens.reader import Reader

SAME = 1e-3
"""Relative difference of coefficients that is none."""
_COUNTS = "The loss is divided by the number of masked tokens {}: the coefficient is no function of the rate alone."


def data_decides(reader: Reader) -> None:
    """Whether other tokens, under the same draws, are masked at other positions."""
    other = opening.tokens(reader.subject, len(reader.base.x1), 1)
    try:
        seen = reader.evaluator.replay(reader.base, x1=other, graded=False)
    except Diverged:
        return
    compared = (other != reader.masking.id) & (reader.base.x1 != reader.masking.id)
    hidden = [masks.replaced(each, reader.call) & compared for each in (seen, reader.base)]
    if not torch.equal(*hidden):
        reader.findings.append(
            Finding("mask-by-data", "Which positions are masked depends on the tokens themselves: no rate decides it.")
        )


def counted(reader: Reader) -> bool:
    """Whether the coefficient follows the number of masked positions: a loss divided by its count."""
    if reader.masking.ranks:
        return False
    half, quarter = (reader.coefficients(reader.base, {}, share) for share in (0.5, 0.25))
    ratio = float((quarter / half).nanmedian())
    if abs(ratio - 1) < SAME:
        return False
    evidence = f"half as many masked: the coefficient is {ratio:.4g} as large"
    reader.findings.append(Finding("counts", _COUNTS.format("of a sample or the batch"), evidence))
    return True


def neighbours(reader: Reader, found: times.Times) -> bool:
    """Whether the rates of half of the samples move the coefficients of the others."""
    moving = found.moving
    batch = len(reader.base.x1)
    if len(moving) != 1 or reader.base.draws[moving[0]].standard.numel() != batch or batch < 2:
        return False
    half = batch // 2
    standard = reader.base.draws[moving[0]].standard
    flat = standard.reshape(-1)
    replaced = {moving[0]: torch.cat([flat[:half], flat[: batch - half].flip(0)]).reshape(standard.shape)}
    try:
        before, shown = reader.coefficients(reader.base, {}, 0.5), int(reader.hidden.sum())
        after, shown_after = reader.coefficients(reader.base, replaced, 0.5), int(reader.hidden.sum())
        rates = reader.rates(reader.base, replaced) - reader.rates(reader.base, {})
    except Diverged:
        return False
    ratio = (after / before)[:half]
    moved = float((ratio - 1).abs().nan_to_num().max())
    if moved < SAME or float(rates[:half].abs().max()) > times.SAME:
        return False
    evidence = f"other times for half of them: it moves by {moved:.2g}"
    if reader.masking.ranks and float((ratio * shown_after / shown - 1).abs().nan_to_num().max()) < SAME:
        reader.findings.append(Finding("counts", _COUNTS.format("in the batch"), evidence))
        return True
    factors = ratio[torch.isfinite(ratio)]
    if float(factors.max() / factors.min() - 1) < SAME:
        text = "The weight is normalised over the batch: it is another function of the rate than one alone would be."
        reader.findings.append(Finding("weight-normalised", text, evidence))
    else:
        text = "A sample's weight is made of the other samples' times, not of its own: a dimension lost before?"
        reader.findings.append(Finding("weight-neighbours", text, evidence))
    return True


def random_weight(reader: Reader, roles: dict[int, str]) -> None:
    """Draws that change the coefficient alone."""
    for index, role in list(roles.items()):
        draw = reader.base.draws[index]
        if role != "nothing" or draw.standard.numel() < 2:
            continue
        try:
            before = reader.coefficients(reader.base, {}, 0.5)
            after = reader.coefficients(reader.base, {index: draw.standard.flip(0)}, 0.5)
        except Diverged:
            roles[index] = "control"
            continue
        if float(((after - before) / before).abs().nan_to_num().max()) > SAME:
            roles[index] = "weight"
            text = "A random draw changes the weight and nothing else: its mean is what is trained."
            reader.findings.append(Finding("weight-random", text, f"{draw.file}:{draw.line}"))
