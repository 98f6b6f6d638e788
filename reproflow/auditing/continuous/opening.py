"""The first evaluations: can the loss be called and replayed, which call is graded, does the network matter?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from reproflow.auditing.continuous.frames import Bench
from reproflow.auditing.evaluation import Evaluation, Evaluator
from reproflow.auditing.findings import Finding
from reproflow.auditing.reading import Subject
from reproflow.auditing.tape import Diverged
from reproflow.foundation.errors import UsageError

NOT_REPLAYED = (
    "the loss does not repeat under the same draws: it keeps a state between calls, or draws from a generator that is "
    "neither torch's nor a global one (numpy's default_rng, a process of its own). Draw with torch, or make the "
    "generator in the function from a seed of `torch.randint`."
)


@dataclass
class Opened:
    """A loss that can be replayed. `dead`: no gradient reaches the network."""

    bench: Bench
    findings: list[Finding]
    coupled: bool
    dead: bool


def start(subject: Subject, data: tuple[float, float]) -> Opened:
    """Calls the loss a few times.

    Raises `UsageError` where it ignores the network, is not finite, or does not repeat.
    """
    evaluator = Evaluator(subject)
    low, high = data
    generator = torch.Generator().manual_seed(subject.seed)
    shape = (subject.batch, *subject.shape)
    x1 = (low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)).to(evaluator.dtype)
    first = evaluator.record(x1, subject.seed)
    if not first.calls:
        raise UsageError("the loss never calls the network that it is given: call `model(...)` in the function.")
    answers = {
        index: torch.randn(shape, generator=generator, dtype=torch.float64).to(evaluator.dtype)
        for index in range(len(first.calls))
    }
    full = evaluator.record(x1, subject.seed, answers)
    again = _replayed(evaluator, full)
    _check_same(full, again)
    live = [index for index in full.graded if bool((full.gradients[index] != 0).any())]  # type: ignore[union-attr]
    graded = _largest(full, live) if live else len(full.calls) - 1
    _check_finite(full, graded)
    held = {index: answer for index, answer in answers.items() if index != graded}
    base = evaluator.record(x1, subject.seed, held)
    bench = Bench(evaluator, base, graded)
    findings = _on_the_way(full, live)
    coupled = len(live) > 1 or bool(full.differentiated)
    if live:
        bench.state(base)
    return Opened(bench, findings, coupled, not live)


def reduction(evaluation: Evaluation) -> str:
    """Of the shape of what the loss returns: a number, one a sample, one an element."""
    returned = evaluation.returned
    if returned is None or returned in ((), (1,)):
        return "number"
    return "per sample" if len(returned) == 1 else "per element"


def _replayed(evaluator: Evaluator, full: Evaluation) -> Evaluation:
    try:
        return evaluator.replay(full)
    except Diverged as difference:
        raise UsageError(f"{NOT_REPLAYED} (It made {difference}.)") from difference


def _check_same(first: Evaluation, second: Evaluation) -> None:
    same = len(first.calls) == len(second.calls)
    for one, two in zip(first.calls, second.calls, strict=False):
        for name, value in one.arguments().items():
            other = two.arguments().get(name)
            if isinstance(value, torch.Tensor):
                same &= isinstance(other, torch.Tensor) and _equal(value, other)
            elif isinstance(value, (int, float)):
                same &= value == other or value != value
    for one_g, two_g in zip(first.gradients, second.gradients, strict=False):
        same &= (one_g is None) == (two_g is None) and (one_g is None or two_g is None or _equal(one_g, two_g))
    if not same:
        raise UsageError(NOT_REPLAYED)


def _equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    if first.shape != second.shape:
        return False
    return bool(((first == second) | ((first != first) & (second != second))).all())


def _largest(evaluation: Evaluation, live: list[int]) -> int:
    sizes = {index: float(evaluation.gradients[index].double().square().sum()) for index in live}  # type: ignore[union-attr]
    return max(live, key=lambda index: (np.nan_to_num(sizes[index]), index))


def _check_finite(evaluation: Evaluation, graded: int) -> None:
    gradient = evaluation.gradients[graded]
    state = evaluation.calls[graded].state
    for name, values in (("its gradient", gradient), ("the network's input", state)):
        if values is not None and not bool(torch.isfinite(values).any()):
            raise UsageError(
                f"the loss is not finite: no number of {name} is. Look for a division by 0 or a logarithm of 0 at "
                "x1 in the range of the data (`--data LO,HI`)."
            )


def _on_the_way(full: Evaluation, live: list[int]) -> list[Finding]:
    """What the calls themselves show."""
    found = []
    if full.changed:
        text = "the batch is changed in place: what runs after the loss sees other data."
        found.append(Finding("mutates-batch", text))
    if full.differentiated == "jvp":
        text = "the loss takes a derivative of the network along its input; a probe has none, so that part is not read."
        found.append(Finding("jvp", text))
    if full.differentiated == "gradient":
        text = "the loss takes a gradient in the network's input; a probe has none, so that part is not read."
        found.append(Finding("input-gradient", text))
    if len(live) > 1:
        read = _largest(full, live) + 1
        text = f"{len(live)} calls of the network get a gradient; call {read} is read, the others held."
        found.append(Finding("several-heads", text))
    return found
