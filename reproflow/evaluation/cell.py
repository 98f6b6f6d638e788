"""Evaluating a shard's cells: FID and KID of their samples, likelihood of held-out data, and the loss they cannot beat.

Evaluation noise is drawn from the data set alone, so all cells are measured with the same noise and comparisons between
them are paired. The references' features are extracted once a shard.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from reproflow.evaluation import fid
from reproflow.evaluation.features import Extractor, digits_extractor
from reproflow.evaluation.floor import floor
from reproflow.evaluation.flow_likelihood import flow_nll
from reproflow.evaluation.likelihood import Bound, bits_per_dim, gaussian_bound, masked_bound
from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, prepared
from reproflow.learning.models.denoiser import GaussianDenoiser, MaskedDenoiser
from reproflow.learning.sampling import SAMPLES, load_denoiser

MEASURES = "measures.safetensors"
COARSE_NATS = 0.1

log = logging.getLogger(__name__)

Denoiser = GaussianDenoiser | MaskedDenoiser


class Reference:
    """The features of an image data set's train and held-out split, for one feature network."""

    def __init__(self, data: ImageData, weights: Path, device: torch.device) -> None:
        self.extractor: Extractor = digits_extractor(weights, data)
        self.device = str(device)
        self.train, self.test = (
            fid.extract(data.images(data.tokens(split)), self.extractor) for split in ("train", "test")
        )

    def measures(self, samples: Tensor, labels: Tensor, data: ImageData) -> dict[str, Any]:
        """FID against both splits and KID against the train split, of samples (N, D) of levels with labels (N,)."""
        features = fid.extract(data.images(samples), self.extractor)
        train = fid.fid_kid(features, self.train, self.extractor, labels=labels)
        test = fid.fid_kid(features, self.test, self.extractor, labels=labels, kid=False)
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

    A measure that is refused (too coarse a solver, too few samples) leaves its column empty and says why.
    """
    missing = [each for each in work if each[3].record() is None]
    reference = Reference(data, features, device) if missing and features and isinstance(data, ImageData) else None
    for cell, trained, sampled, slot in tqdm(missing, desc=label, unit="cell", mininterval=5):
        with slot.locked():
            began = time.perf_counter()
            denoiser = load_denoiser(cell, experiment, trained, data, device)
            values, status, reason = likelihood(denoiser, experiment, data, slot)
            if reference is not None and isinstance(data, ImageData):
                tensors, _ = prepared.read_tensors(sampled.folder / SAMPLES)
                values |= reference.measures(tensors["samples"], tensors["labels"], data)
            slot.finish(
                {
                    "cell": cell.key,
                    "status": status,
                    "reason": reason,
                    "measures": {name: _plain(value) for name, value in values.items()},
                    "floor": _plain(floor(cell, experiment, data)),
                    "seconds": time.perf_counter() - began,
                }
            )


def likelihood(
    denoiser: Denoiser, experiment: Experiment, data: ToyData | ImageData, slot: Slot
) -> tuple[dict[str, Any], str, str]:
    """The likelihood columns of one cell, its status, and why one is empty; per-point nats go into the slot."""
    t_range = experiment.training.t_range
    if isinstance(data, ImageData):
        if denoiser.head.kind == "gaussian":
            return {"split": "test"}, "ok", "no likelihood bound: on images it needs the target x1"
        bound = _bound(denoiser, experiment, data)
        bits = bits_per_dim(bound.nats, data.dim)
        prepared.write_tensors(slot.folder / MEASURES, {"bound_nats": bound.nats}, {"kind": "measures"})
        return {"bound_bits_per_dim": float(bits.mean()), "bound_bits_per_dim_se": _se(bits), "split": "test"}, "ok", ""
    assert isinstance(denoiser, GaussianDenoiser)
    points = data.test[: experiment.likelihood.points].float()
    flow = flow_nll(denoiser, points, t_range=t_range, steps=experiment.likelihood.steps)
    prepared.write_tensors(
        slot.folder / MEASURES, {"nll_nats": flow.nats, "nll_coarse": flow.coarse}, {"kind": "measures"}
    )
    error = abs(float(flow.nats.mean() - flow.coarse.mean()))
    if not error <= COARSE_NATS:
        n = experiment.likelihood.steps
        refusal = f"nll refused: {n} and {2 * n} solver steps differ by {error:.3g} nats; raise likelihood.steps"
        return {"split": "test"}, "failed", refusal
    values = {"nll_nats": float(flow.nats.mean()), "nll_nats_se": math.hypot(_se(flow.nats), error), "split": "test"}
    return values, "ok", ""


@torch.inference_mode()
def _bound(denoiser: Denoiser, experiment: Experiment, data: ImageData) -> Bound:
    settings = experiment.likelihood
    tokens, y = data.tokens("test")[: settings.points], data.labels("test")[: settings.points]
    generator = seeds.generator("likelihood", data.name)
    if isinstance(denoiser, MaskedDenoiser):
        return masked_bound(denoiser, tokens, y, generator, repeats=settings.repeats)
    values = data.values.float()
    return gaussian_bound(denoiser, tokens, y, generator, values, experiment.training.t_range, repeats=settings.repeats)


def _se(values: Tensor) -> float:
    """The standard error of the mean over points."""
    return float(values.std() / math.sqrt(len(values)))


def _plain(value: Any) -> Any:
    """None for what is not a finite number: JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
