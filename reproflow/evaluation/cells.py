"""Evaluating a shard's cells: FID and KID of their samples, likelihood of held-out data, and the loss they cannot beat.

Evaluation noise is drawn from the data set alone, so all cells are measured with the same noise and comparisons between
them are paired. The references' features are extracted once a shard. Images have two likelihoods, both upper bounds in
bits/dim: the variational one, of the SDE's model (or the masked one), and that of the probability flow; both stop where
the levels are read off (`flow_likelihood`), so that any target has them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from reproflow.evaluation.features import fid_kid
from reproflow.evaluation.features.extractors import Extractor, digits_extractor
from reproflow.evaluation.irreducible_loss import floor
from reproflow.evaluation.likelihood.bound import bits_per_dim
from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import InterruptedRun, ReproflowError, UserFunctionError
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, tensor_files
from reproflow.learning.networks.denoiser import Denoiser
from reproflow.learning.sampling.samples import SAMPLES
from reproflow.learning.trained import load_denoiser

MEASURES = "measures.safetensors"

log = logging.getLogger(__name__)

Value = TypeVar("Value")


class Reference:
    """The features of an image data set's train and held-out split, for one feature network."""

    def __init__(self, data: ImageData, weights: Path, device: torch.device) -> None:
        self.extractor: Extractor = digits_extractor(weights, data)
        self.device = str(device)
        self.train, self.test = (
            fid_kid.extract(data.images(data.tokens(split)), self.extractor) for split in ("train", "test")
        )

    def measures(self, drawn: Mapping[str, Tensor], data: ImageData) -> dict[str, Any]:
        """FID against both splits and KID against the train split, of `samples` (N, D) of levels with `labels` (N,)."""
        samples, labels = drawn["samples"], drawn["labels"]
        features = fid_kid.extract(data.images(samples), self.extractor)
        train = fid_kid.fid_kid(features, self.train, self.extractor, labels=labels)
        test = fid_kid.fid_kid(features, self.test, self.extractor, labels=labels, kid=False)
        return {
            "fid_train": train.fid,
            "fid_train_se": train.fid_se,
            "fid_test": test.fid,
            "fid_test_se": test.fid_se,
            "fid_n": train.n,
            "fid_features": train.features,
            "kid": train.kid,
            "kid_se": train.kid_se,
        }


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
) -> tuple[Likelihoods, dict[str, Any]]:
    """Writes the nats of every point, and gives a cell's likelihoods with what its record holds of its measures."""
    cell, trained, sampled, slot = work
    drawn = tensor_files.read_tensors(sampled.folder / SAMPLES)[0] if reference else {}
    found = likelihood(load_denoiser(cell, experiment, trained, data, device), experiment, data)
    tensor_files.write_tensors(slot.folder / MEASURES, found.nats, {"kind": "measures"})
    least, no_floor = attempt("the loss floor", floor, cell, experiment, data)
    compared, no_fid = attempt("FID and KID", reference.measures, drawn, data) if reference else ({}, "")
    return found, {
        "reason": "; ".join(filter(None, [found.reason, no_fid, no_floor])),
        "measures": {name: _plain(value) for name, value in (found.columns | (compared or {})).items()},
        "floor": _plain(least.value) if least else None,
        "floor_se": _plain(least.se) if least else None,
    }


def attempt(name: str, measure: Callable[..., Value], *arguments: Any) -> tuple[Value | None, str]:
    """A measure, or None and why it cannot be had of this cell: its other measures and the other cells go on.

    A stop, a fault of the disk and too little memory are no cell's outcome, and end the job; a user's function that
    fails is the whole cell's.
    """
    try:
        return measure(*arguments), ""
    except (UserFunctionError, InterruptedRun, OSError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        known = isinstance(error, ReproflowError)
        log.warning("%s cannot be had", name, exc_info=not known)
        said = " ".join((str(error) if known else f"{type(error).__name__}: {error}").split())
        return None, f"{name} cannot be had: {said}"


@dataclass(frozen=True)
class Likelihoods:
    """A cell's likelihood columns, the nats of every point behind them, and why a column is empty."""

    columns: dict[str, Any]
    nats: dict[str, Tensor]
    status: str = "ok"
    reason: str = ""


LIKELIHOODS: ByProcess[Callable[..., Likelihoods]] = ByProcess("likelihood", __name__)
"""By process: the likelihoods of `(denoiser, experiment, data)` on held-out data."""


def likelihood(denoiser: Denoiser, experiment: Experiment, data: ToyData | ImageData) -> Likelihoods:
    """The likelihoods of one cell on held-out data.

    A point cell whose likelihood is refused has failed: it has no other measure. An image cell keeps its place in the
    comparisons, with an empty column and the reason.
    """
    return LIKELIHOODS[experiment.process](denoiser, experiment, data)


def bound_likelihood(
    measure: Callable[..., Tensor], denoiser: Denoiser, experiment: Experiment, data: ImageData
) -> Likelihoods:
    """`bound_bits_per_dim` from the nats of `measure(denoiser, experiment, data)` (N,), or why it cannot be had."""
    had, why = attempt("bound_bits_per_dim", _bound, measure, denoiser, experiment, data)
    return had or Likelihoods({"split": "test"}, {}, reason=why)


@torch.inference_mode()
def _bound(measure: Callable[..., Tensor], denoiser: Denoiser, experiment: Experiment, data: ImageData) -> Likelihoods:
    nats = measure(denoiser, experiment, data)
    bits = bits_per_dim(nats, data.dim)
    columns = {"bound_bits_per_dim": float(bits.mean()), "bound_bits_per_dim_se": se(bits), "split": "test"}
    status, reason = ("ok", "") if bool(bits.isfinite().all()) else ("failed", "bound_bits_per_dim is not finite")
    return Likelihoods(columns, {"bound_nats": nats}, status, reason)


def se(values: Tensor) -> float:
    """The standard error of the mean over points."""
    return float(values.std() / math.sqrt(len(values)))


def _plain(value: Any) -> Any:
    """None for what is not a finite number: JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
