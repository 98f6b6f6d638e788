"""Values for draws: other ones, quantiles, one an entry; and whether two evaluations made the same draws."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation
from reproflow.auditing.tape import Draw, Kind


def fresh(draw: Draw, generator: torch.Generator) -> Tensor:
    """Other standard values for a draw, by its kind, of its shape."""
    like = draw.standard
    if draw.kind is Kind.UNIFORM:
        made = torch.rand(like.shape, generator=generator, dtype=torch.float64)
        return made.to(like.dtype).clamp(max=1 - torch.finfo(like.dtype).eps)
    if draw.kind is Kind.NORMAL:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)
    if draw.kind is Kind.INTEGER:
        return torch.randint(draw.low, draw.high, like.shape, generator=generator).to(like.dtype)
    if draw.kind is Kind.PERMUTATION:
        return torch.randperm(len(like), generator=generator).to(like.dtype)
    if draw.kind is Kind.CHOICE and draw.weights is not None:
        return torch.multinomial(
            draw.weights.float(), like.shape[-1], like.shape[-1] > 1 and _repeats(draw), generator=generator
        )
    return like.flip(0) if like.ndim else like


def _repeats(draw: Draw) -> bool:
    flat = draw.standard.flatten()
    return len(torch.unique(flat)) < len(flat) or len(flat) > draw.high


def standard(draw: Draw, u: np.ndarray) -> Tensor:
    """Quantiles u, of any shape, as standard values of a draw, of the same shape."""
    values = torch.from_numpy(np.asarray(u, dtype=float))
    return (torch.special.ndtri(values) if draw.kind is Kind.NORMAL else values).to(draw.standard.dtype)


def filled(draw: Draw, values: Tensor) -> Tensor:
    """`values` (n,) over the entries of a draw, of its shape; the last is repeated where there are more entries."""
    count = draw.standard.numel()
    padded = torch.cat([values, values[-1:].expand(max(count - len(values), 0))]) if len(values) < count else values
    return padded[:count].reshape(draw.shape).to(draw.standard.dtype)


def alike(evaluation: Evaluation, base: Evaluation) -> bool:
    """Whether two evaluations made the same sequence of draws, and as many calls of the network."""
    facts = [[(draw.operator, draw.shape) for draw in each.draws] for each in (evaluation, base)]
    return facts[0] == facts[1] and len(evaluation.calls) == len(base.calls)


def share(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The share (P,) of draws (N,) up to values (P,), half of the equal ones among them; in (0, 1)."""
    ordered, half = np.sort(drawn), 0.5 / len(drawn)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.clip(half * below, half, 1 - half)
