"""Training a shard: the cells that are missing from the store, together, resumably.

Cells that stand at the same step go on as one stack. After a kill some may be a checkpoint behind the others; the ones
furthest behind run first, until they meet the next group. Every `save_every` steps, and when a signal asks to stop,
each cell's state is saved; what is finished goes into the store and its states are removed. A cell that diverges, or
whose own function (a user's) fails, leaves with that outcome; the others take the step without it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import CellsFailed, InterruptedRun, ReproflowError
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, tensor_files
from reproflow.learning.networks.builders import initialise
from reproflow.learning.networks.heads import Head, head_for
from reproflow.learning.training import checkpoint
from reproflow.learning.training.batches import Batches
from reproflow.learning.training.checkpoint import Checkpoint
from reproflow.learning.training.stacked import StackedTrainer, fresh

FINAL = "final.safetensors"
Outcome = tuple[str, str]
"""Status (ok, diverged, failed) and reason."""

log = logging.getLogger(__name__)


@dataclass
class Job:
    """One cell on its way: where it is stored, and where it stands."""

    cell: Cell
    slot: Slot
    state: Checkpoint


def train(
    experiment: Experiment,
    work: Sequence[tuple[Cell, Slot]],
    data: ToyData | ImageData,
    device: torch.device,
    should_stop: Callable[[], bool] = lambda: False,
    label: str = "train",
) -> None:
    """Trains the cells whose slots are not finished.

    Raises `InterruptedRun` (exit 75) when `should_stop` turned true, after saving, or when another process holds a
    cell.
    """
    with contextlib.ExitStack() as locks:
        missing = [(cell, slot) for cell, slot in work if slot.record(read=True) is None]
        for _, slot in missing:
            locks.enter_context(slot.locked())
        missing = [(cell, slot) for cell, slot in missing if slot.record(read=True) is None]
        log.info("%s: %d of %d cells to train", label, len(missing), len(work))
        if missing:
            _train_missing(experiment, missing, data, device, should_stop, label)


def _train_missing(
    experiment: Experiment,
    missing: list[tuple[Cell, Slot]],
    data: ToyData | ImageData,
    device: torch.device,
    should_stop: Callable[[], bool],
    label: str,
) -> None:
    head = head_for(data, experiment.process, missing[0][0].target, experiment.model)
    jobs = [Job(cell, slot, _starting_state(cell, slot, head, experiment)) for cell, slot in missing]
    total = experiment.training.steps
    with tqdm(total=total, initial=min(j.state.step for j in jobs), desc=label, unit="step", mininterval=5) as bar:
        while jobs:
            start = min(job.state.step for job in jobs)
            stop = min((job.state.step for job in jobs if job.state.step > start), default=total)
            group = [job for job in jobs if job.state.step == start]
            gone = _run(group, stop, experiment, data, head, device, should_stop, bar)
            jobs = [job for job in jobs if job not in gone]


def _run(
    group: list[Job],
    stop: int,
    experiment: Experiment,
    data: ToyData | ImageData,
    head: Head,
    device: torch.device,
    should_stop: Callable[[], bool],
    bar: tqdm,
) -> list[Job]:
    """Takes a group from its step to `stop`; returns the jobs that finished, diverged or failed."""
    training, gone, active = experiment.training, [], list(group)
    stack = StackedTrainer(head, training, [job.state for job in active], device)
    draws: Batches | None = None
    began = time.perf_counter()

    def leave(outcomes: dict[int, Outcome]) -> None:
        states, seconds = stack.states(), (time.perf_counter() - began) / len(group)
        for member, outcome in outcomes.items():
            _finish(active[member], states[member], outcome, device, seconds)
            gone.append(active[member])

    while active and stack.step < stop:
        try:
            if draws is None:
                draws = Batches([job.cell for job in active], experiment, data, device)
                stack.divergence = draws.divergence
            bad = dict.fromkeys(_advance(stack, draws.batch(stack.step), experiment), _diverged(stack.step))
        except CellsFailed as error:
            bad = {member: ("failed", reason) for member, reason in error.reasons.items()}
        if bad:
            leave(bad)
            good = [member for member in range(len(active)) if member not in bad]
            active, draws = [active[member] for member in good], None
            if active:
                stack.keep(good)
            continue
        bar.update(max(0, stack.step - bar.n))
        stopping = should_stop()
        if stopping or (stack.step < training.steps and (stack.step % training.save_every == 0 or stack.step == stop)):
            _save(active, stack)
        if stopping:
            raise InterruptedRun(f"stopped at step {stack.step} of {training.steps}; the state is saved, run again.")
    if active and stop == training.steps:
        leave(dict.fromkeys(range(len(active)), ("ok", "")))
    return gone


def _diverged(step: int) -> Outcome:
    return "diverged", f"loss or gradient not finite at step {step}; the state before it is kept"


def _advance(stack: StackedTrainer, batch: dict[str, Tensor], experiment: Experiment) -> list[int]:
    try:
        return stack.advance(batch)
    except torch.cuda.OutOfMemoryError as error:
        half = max(16, experiment.training.batch // 2)
        raise ReproflowError(
            f"out of GPU memory in experiment {experiment.name!r} with batch {experiment.training.batch} and "
            f"{len(stack.history)} cells;\nset a smaller shard_size, or training.batch: {half}."
        ) from error


def _starting_state(cell: Cell, slot: Slot, head: Head, experiment: Experiment) -> Checkpoint:
    stored = checkpoint.load(slot.folder, slot.fingerprint.value)
    if stored is not None:
        log.info("%s resumes at step %d", cell.key, stored.step)
        return stored
    network = initialise(head.architecture, [(head.kind, cell.dataset, cell.seed)])
    return fresh(network, experiment.training.steps)[0]


def _save(jobs: list[Job], stack: StackedTrainer) -> None:
    for job, state in zip(jobs, stack.states(), strict=True):
        job.state = state
        checkpoint.save(job.slot.folder, job.slot.fingerprint.value, state)


def _finish(job: Job, state: Checkpoint, outcome: Outcome, device: torch.device, seconds: float) -> None:
    """Stores the averaged and the raw weights and the history; the moments are no longer needed."""
    kept = {name: tensor for name, tensor in state.tensors.items() if name.startswith(("weights.", "ema.", "history"))}
    tensor_files.write_tensors(
        job.slot.folder / FINAL, kept, {"kind": "network", "cell": job.cell.key, "step": state.step}
    )
    status, reason = outcome
    about = {"cell": job.cell.key, "status": status, "step": state.step, "reason": reason, "device": device.type}
    job.slot.finish(about | {"seconds": seconds}, FINAL)
    checkpoint.clear(job.slot.folder)
