"""Evaluating a shard's cells: every measure of their samples and networks, and the loss they cannot beat.

Evaluation noise is drawn from the data set alone, so all cells are measured with the same noise and comparisons between
them are paired. The references' features are extracted once a shard. Which measures there are is registered
(`evaluation.measures`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from reproflow.evaluation.irreducible_loss import floor
from reproflow.evaluation.measures import Denoiser, Outcome, Reference, Subject, attempt, compute
from reproflow.foundation import measures
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.grid import Cell
from reproflow.foundation.measures import Measure
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, tensor_files
from reproflow.learning.sampling.samples import SAMPLES
from reproflow.learning.trained import load_denoiser

MEASURES = "measures.safetensors"

log = logging.getLogger(__name__)


def evaluate(
    experiment: Experiment,
    work: Sequence[tuple[Cell, Slot, Slot, Slot]],
    data: ToyData | ImageData,
    device: torch.device,
    features: Path | None = None,
    label: str = "evaluate",
) -> None:
    """Measures every cell whose slot is not finished: (cell, training, sample, evaluation slot).

    A measure that is refused (too coarse a solver) or cannot be had leaves its column empty and says why. A user's
    function that fails is its cell's outcome; the other cells go on.
    """
    missing = [each for each in work if each[3].record(read=True) is None]
    reference = Reference(data, features, device) if missing and features and isinstance(data, ImageData) else None
    for cell, trained, sampled, slot in tqdm(missing, desc=label, unit="cell", mininterval=5):
        with slot.locked():
            began = time.perf_counter()
            try:
                found, values = _measures((cell, trained, sampled, slot), experiment, data, device, reference)
            except UserFunctionError as error:
                slot.finish({"cell": cell.key, "status": "failed", "reason": str(error), "measures": {}})
                continue
            about = {"cell": cell.key, "status": found.status}
            slot.finish(about | values | {"seconds": time.perf_counter() - began}, MEASURES)


def _measures(
    work: tuple[Cell, Slot, Slot, Slot],
    experiment: Experiment,
    data: ToyData | ImageData,
    device: torch.device,
    reference: Reference | None,
) -> tuple[Outcome, dict[str, Any]]:
    """Writes the nats of every point, and gives a cell's likelihoods with what its record holds of its measures."""
    cell, trained, sampled, slot = work
    drawn = tensor_files.read_tensors(sampled.folder / SAMPLES)[0] if reference else {}
    subject = Subject(load_denoiser(cell, experiment, trained, data, device), experiment, data, drawn, reference)
    found = compute(subject, _chosen(experiment, data, "network"))
    tensor_files.write_tensors(slot.folder / MEASURES, found.nats, {"kind": "measures"})
    least, why = attempt("the loss floor", floor, cell, experiment, data)
    no_floor = f"the loss floor cannot be had: {why}" if why else ""
    compared = compute(subject, _chosen(experiment, data, "samples") if reference else ())
    columns = {"split": "test"} | found.columns | compared.columns
    return found, {
        "reason": "; ".join(filter(None, [found.reason, compared.reason, no_floor])),
        "measures": {name: _plain(value) for name, value in columns.items()},
        "floor": _plain(least.value) if least else None,
        "floor_se": _plain(least.se) if least else None,
    }


def likelihood(denoiser: Denoiser, experiment: Experiment, data: ToyData | ImageData) -> Outcome:
    """The likelihoods of one network on held-out data.

    A point cell whose likelihood is refused has failed: it has no other measure. An image cell keeps its place in the
    comparisons, with an empty column and the reason.
    """
    return compute(Subject(denoiser, experiment, data), _chosen(experiment, data, "network"))


def _chosen(experiment: Experiment, data: ToyData | ImageData, of: str) -> tuple[Measure, ...]:
    chosen = measures.chosen(experiment.process, isinstance(data, ImageData), experiment.measures)
    return tuple(each for each in chosen if each.facts.of == of)


def _plain(value: Any) -> Any:
    """None for what is not a finite number: JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
