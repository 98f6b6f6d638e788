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
from reproflow.evaluation.likelihood.flow import FlowLikelihood, dequantised_nll, flow_nll, read_off_time
from reproflow.evaluation.likelihood.gaussian_bound import gaussian_bound
from reproflow.evaluation.likelihood.masked_bound import masked_bound
from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import InterruptedRun, ReproflowError, UserFunctionError
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, tensor_files
from reproflow.learning.networks.denoiser import GaussianDenoiser, MaskedDenoiser
from reproflow.learning.sampling.samples import SAMPLES
from reproflow.learning.trained import load_denoiser

MEASURES = "measures.safetensors"
COARSE_NATS = 0.1
COARSE_BITS = 0.05
SLICE = 128
"""Images whose flow is followed at a time: bounds the memory that an exact divergence takes."""

log = logging.getLogger(__name__)

Denoiser = GaussianDenoiser | MaskedDenoiser
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
    least, no_floor = _had("the loss floor", floor, cell, experiment, data)
    compared, no_fid = _had("FID and KID", reference.measures, drawn, data) if reference else ({}, "")
    return found, {
        "reason": "; ".join(filter(None, [found.reason, no_fid, no_floor])),
        "measures": {name: _plain(value) for name, value in (found.columns | (compared or {})).items()},
        "floor": _plain(least.value) if least else None,
        "floor_se": _plain(least.se) if least else None,
    }


def _had(name: str, measure: Callable[..., Value], *arguments: Any) -> tuple[Value | None, str]:
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


def likelihood(denoiser: Denoiser, experiment: Experiment, data: ToyData | ImageData) -> Likelihoods:
    """The likelihoods of one cell on held-out data.

    A point cell whose likelihood is refused has failed: it has no other measure. An image cell keeps its place in the
    comparisons, with an empty column and the reason.
    """
    if isinstance(data, ToyData):
        assert isinstance(denoiser, GaussianDenoiser)
        points, why = _had("nll_nats", _point_flow, denoiser, experiment, data)
        return points or Likelihoods({"split": "test"}, {}, "failed", why)
    had, why = _had("bound_bits_per_dim", _bound, denoiser, experiment, data)
    bound = had or Likelihoods({"split": "test"}, {}, reason=why)
    if isinstance(denoiser, MaskedDenoiser) or not experiment.likelihood.ode_points:
        return bound
    had, why = _had("ode_bits_per_dim", _image_flow, denoiser, experiment, data)
    flow = had or Likelihoods({}, {}, reason=why)
    reason = "; ".join(filter(None, [bound.reason, flow.reason]))
    return Likelihoods(bound.columns | flow.columns, bound.nats | flow.nats, bound.status, reason)


def _point_flow(denoiser: GaussianDenoiser, experiment: Experiment, data: ToyData) -> Likelihoods:
    settings = experiment.likelihood
    points = data.test[: settings.points].float()
    flow = flow_nll(denoiser, points, t_range=experiment.training.t_range, steps=settings.steps)
    nats = {"nll_nats": flow.nats, "nll_coarse": flow.coarse}
    error = abs(float(flow.nats.mean() - flow.coarse.mean()))
    reason = _refusal("nll", error, COARSE_NATS, "nats", settings.steps, "likelihood.steps")
    columns = {} if reason else {"nll_nats": float(flow.nats.mean()), "nll_nats_se": math.hypot(_se(flow.nats), error)}
    return Likelihoods(columns | {"split": "test"}, nats, "failed" if reason else "ok", reason)


def _image_flow(denoiser: GaussianDenoiser, experiment: Experiment, data: ImageData) -> Likelihoods:
    """The flow's bound at `ode_points` held-out images, with one draw of noise and the same probes for every cell."""
    settings, values = experiment.likelihood, data.values.float()
    tokens, y = data.tokens("test")[: settings.ode_points], data.labels("test")[: settings.ode_points]
    generator, probes = seeds.generator("dequantisation", data.name), _probes(experiment, data, len(tokens))
    options: dict[str, Any] = {"t_range": experiment.training.t_range, "steps": settings.ode_steps}
    parts = []
    for rows in torch.arange(len(tokens)).split(SLICE):
        options["probes"] = None if probes is None else probes[:, rows]
        parts.append(dequantised_nll(denoiser, tokens[rows], y[rows], generator, values, **options))
    flow = FlowLikelihood.joined(parts)
    bits, coarse = (bits_per_dim(nats, data.dim) for nats in (flow.nats, flow.coarse))
    error = abs(float(bits.mean() - coarse.mean()))
    reason = _refusal("ode_bits_per_dim", error, COARSE_BITS, "bits/dim", settings.ode_steps, "likelihood.ode_steps")
    nats = {"ode_nats": flow.nats, "ode_coarse": flow.coarse, "ode_probe_se": flow.probe_se}
    columns = {"ode_bits_per_dim": float(bits.mean()), "ode_bits_per_dim_se": math.hypot(_se(bits), error)}
    return Likelihoods({} if reason else columns, nats, reason=reason)


def _probes(experiment: Experiment, data: ImageData, n: int) -> Tensor | None:
    """Hutchinson's ±1 probes of n images, (probes, n, D), or None for the exact divergence."""
    if experiment.likelihood.divergence == "exact":
        return None
    signs = torch.randint(
        2, (n, experiment.likelihood.probes, data.dim), generator=seeds.generator("probes", data.name)
    )
    return (2 * signs - 1).movedim(1, 0)


def _refusal(name: str, error: float, limit: float, unit: str, steps: int, key: str) -> str:
    """Why a flow's likelihood is refused, or nothing."""
    if error <= limit:
        return ""
    return f"{name} refused: {steps} and {2 * steps} solver steps differ by {error:.3g} {unit}; raise {key}"


@torch.inference_mode()
def _bound(denoiser: Denoiser, experiment: Experiment, data: ImageData) -> Likelihoods:
    settings = experiment.likelihood
    tokens, y = data.tokens("test")[: settings.points], data.labels("test")[: settings.points]
    generator = seeds.generator("likelihood", data.name)
    if isinstance(denoiser, MaskedDenoiser):
        bound = masked_bound(denoiser, tokens, y, generator, repeats=settings.repeats)
    else:
        values, (low, high) = data.values.float(), experiment.training.t_range
        t_range = (low, read_off_time(denoiser.path, values, (low, high)))
        bound = gaussian_bound(denoiser, tokens, y, generator, values, t_range, repeats=settings.repeats)
    bits = bits_per_dim(bound.nats, data.dim)
    columns = {"bound_bits_per_dim": float(bits.mean()), "bound_bits_per_dim_se": _se(bits), "split": "test"}
    status, reason = ("ok", "") if bool(bits.isfinite().all()) else ("failed", "bound_bits_per_dim is not finite")
    return Likelihoods(columns, {"bound_nats": bound.nats}, status, reason)


def _se(values: Tensor) -> float:
    """The standard error of the mean over points."""
    return float(values.std() / math.sqrt(len(values)))


def _plain(value: Any) -> Any:
    """None for what is not a finite number: JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
