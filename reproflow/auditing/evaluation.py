"""One evaluation of a user's loss: a batch, draws and answers in; calls, gradients, value and draws out."""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing import precision
from reproflow.auditing.probe import Call, MissingAttribute, Probe, Record
from reproflow.auditing.reading import Subject
from reproflow.auditing.tape import Diverged, Draw, Tape
from reproflow.foundation.errors import UsageError

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(frozen=True)
class Evaluation:
    """What went in (`x1` (B, *shape), `seed`, `answers` by call, each as the network answers) and what came out.

    `gradients` are dL/d(answer) by call, of the answer's shape, None where the loss does not depend on it; L is the sum
    of what the loss returns (`value`, NaN where it called `.backward()` itself). `returned` is the loss's shape, None
    for nothing; `epsilon` the relative spacing of the coarsest numbers between answers and loss.
    """

    x1: Tensor
    seed: int
    answers: Mapping[int, Tensor]
    calls: tuple[Call, ...]
    gradients: tuple[Tensor | None, ...]
    value: float
    returned: tuple[int, ...] | None
    draws: tuple[Draw, ...]
    changed: bool
    differentiated: str
    epsilon: float

    @property
    def graded(self) -> tuple[int, ...]:
        """Indices of the calls whose answers get a gradient."""
        return tuple(index for index, gradient in enumerate(self.gradients) if gradient is not None)


class Evaluator:
    """Evaluates one loss. One probe serves all evaluations: code may keep the network that it is called with.

    `answer` is the shape of a sample's answer, the batch's own unless given (tokens: (L, V)).
    """

    def __init__(self, subject: Subject, answer: tuple[int, ...] | None = None) -> None:
        os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
        self.subject = subject
        self.dtype = torch.float64 if subject.double else torch.float32
        self.answer = subject.shape if answer is None else answer
        self.count = 0
        self._probe = Probe().to(self.dtype)

    def record(
        self, x1: Tensor, seed: int, answers: Mapping[int, Tensor] | None = None, graded: bool = True
    ) -> Evaluation:
        """The loss under fresh draws, which are recorded. Torch, numpy and random are seeded with `seed`.

        Gradients are left out (None) unless `graded`.
        """
        return self._run(x1, seed, answers or {}, Tape(), graded)

    def replay(
        self,
        base: Evaluation,
        *,
        x1: Tensor | None = None,
        answers: Mapping[int, Tensor] | None = None,
        replaced: Mapping[int, Tensor] | None = None,
        seed: int | None = None,
        graded: bool = True,
    ) -> Evaluation:
        """`base` again with the draws of its tape; batch, answers, single draws (standard form) or seed changed.

        Draws that are not torch's follow the seed. Gradients are left out (None) unless `graded`. Raises `Diverged`
        where another sequence of draws is asked for, or the network is called more or less often.
        """
        found = self._run(
            base.x1 if x1 is None else x1,
            base.seed if seed is None else seed,
            base.answers if answers is None else answers,
            Tape(base.draws, replaced),
            graded,
        )
        if len(found.calls) != len(base.calls):
            raise Diverged(f"{len(found.calls)} calls of the network instead of {len(base.calls)}")
        return found

    def _run(self, x1: Tensor, seed: int, answers: Mapping[int, Tensor], tape: Tape, graded: bool = True) -> Evaluation:
        self.count += 1
        record = self._probe.record
        batch = x1.clone()
        record.begin(tuple(x1.shape), (len(x1), *self.answer), self.dtype, answers)
        _seed(seed)
        try:
            with tape, _default_dtype(self.dtype):
                result = self.subject.loss(self._probe, batch)
        except (UsageError, Diverged):
            raise
        except Exception as error:
            raise UsageError(_shapes(record, batch) or _reason(error)) from error
        draws = tape.finish()
        leaves = record.leaves[: len(record.calls)]
        calls = tuple(record.calls)
        taken = next(iter(record.marks.values()), "") or next((c.differentiated for c in calls if c.differentiated), "")
        backward = any(leaf.grad is not None for leaf in leaves)
        loss = _loss_of(result, backward)
        gradients = _gradients(loss, leaves) if graded else (None,) * len(leaves)
        value = float("nan") if loss is None or backward else float(loss.detach().double().sum())
        return Evaluation(
            x1,
            seed,
            answers,
            calls,
            gradients,
            value,
            None if loss is None else tuple(loss.shape),
            draws,
            not torch.equal(batch, x1),
            taken,
            precision.coarsest(loss, self.dtype),
        )


@contextmanager
def generators_kept() -> Iterator[None]:
    """The global generators of torch, numpy and random are afterwards as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """The user's code makes its own tensors in `dtype` unless it says otherwise."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` also queues a call, with a traceback, for each GPU
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed)  # noqa: NPY002  the user's code draws from the global generator
    random.seed(seed)


def _gradients(loss: Tensor | None, leaves: list[Tensor]) -> tuple[Tensor | None, ...]:
    """By answer: those of a `.backward()` in the user's code where there was one, else of the loss's sum."""
    if any(leaf.grad is not None for leaf in leaves):
        return tuple(leaf.grad for leaf in leaves)
    if loss is None or not loss.requires_grad or not leaves:
        return (None,) * len(leaves)
    return torch.autograd.grad(loss.sum(), leaves, allow_unused=True)


def _loss_of(result: Any, backward: bool) -> Tensor | None:
    """The loss in whatever a loss function returns.

    Raises `UsageError` for what holds none.
    """
    if isinstance(result, Mapping):
        if "loss" not in result:
            raise UsageError(
                f"the loss returns a dict with {', '.join(map(str, result))}: `loss` is missing; return it."
            )
        result = result["loss"]
    elif isinstance(result, (tuple, list)) and result:
        result = result[0]
    elif not isinstance(result, (Tensor, float, int, np.ndarray)) and hasattr(result, "loss"):
        result = result.loss
    if isinstance(result, Tensor):
        return result
    if result is None and backward:
        return None
    if isinstance(result, (float, int, np.floating)):
        return torch.tensor(float(result))
    if result is None:
        raise UsageError("the loss returns nothing and calls no .backward(): return it (`return loss`).")
    raise UsageError(f"the loss returns a {type(result).__name__}: return a tensor, or a dict with `loss`.")


def _shapes(record: Record, batch: Tensor) -> str:
    """Why a loss cannot go on from a call whose arguments hold no batch like x1; empty where they do."""
    if not record.calls or record.calls[-1].state is not None:
        return ""
    return shape_message(record.calls, tuple(batch.shape))


def shape_message(calls: Sequence[Call], shape: tuple[int, ...]) -> str:
    """That no argument of the network is a batch like x1, and the way out."""
    shapes = [str(list(v.shape)) for call in calls for v in call.arguments().values() if isinstance(v, Tensor)]
    return (
        f"the network is given tensors of shapes {', '.join(shapes[:6]) or 'none'}, none of them a batch like x1 "
        f"{list(shape)}: wrap `model` in the function, so that it takes and returns samples of x1's shape."
    )


def _reason(error: Exception) -> str:
    """One line: what the user's code raised, where, and the way out."""
    here = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_PACKAGE)]
    own = [frame for frame in here if f"{os.sep}torch{os.sep}" not in frame.filename]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    if isinstance(error, MissingAttribute):
        name = str(error)
        return f"the loss asks the network for `{name}`{place}: set it in the function first, `model.{name} = ...`."
    text = " ".join(str(error).split())[:200]
    if isinstance(error, TypeError) and not own:
        return f"the loss cannot be called as loss(model, x1): {text}."
    gpu = any(word in text for word in ("NVIDIA driver", "CUDA enabled", "CUDA device", "CUDA error", "no CUDA"))
    if gpu or "cuda" in text.lower():
        return f"the loss needs a GPU{place}: take the device of x1 (`device = x1.device`) in place of 'cuda'."
    return f"the loss raised {type(error).__name__}{place}: {text}"
