"""Samples of trained cells, written to the store with the number of network evaluations a sample (NFE).

Points and Gaussian images follow `ode` or `sde`, tokens `ancestral`. Gaussian image cells answer with the nearest
level to E[x1|x], one more evaluation. All cells of a seed see the same noise, drawn in blocks, so that samples depend
neither on how many there are nor on how they are cut into chunks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from reproflow.foundation import seeds
from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, tensor_files
from reproflow.learning.networks.denoiser import Denoiser
from reproflow.learning.trained import load_denoiser

SAMPLES = "samples.safetensors"
CHUNK = 1024
BLOCK = 256
"""Rows of noise that one generator draws: samples depend neither on how many there are nor on `CHUNK`."""


log = logging.getLogger(__name__)


def sample(
    experiment: Experiment,
    work: Sequence[tuple[Cell, Slot, Slot]],
    data: ToyData | ImageData,
    device: torch.device,
    label: str = "sample",
) -> None:
    """Samples every cell whose sample slot is not finished: (cell, training slot, sample slot).

    A network that gives numbers which are not finite is recorded as failed, and so is a cell whose own function (a
    user's) fails; the other cells go on.
    """
    missing = [each for each in work if each[2].record(read=True) is None]
    for cell, trained, slot in tqdm(missing, desc=label, unit="cell", mininterval=5):
        with slot.locked():
            about = {"cell": cell.key, "solver": experiment.sampling.solver}
            try:
                denoiser = load_denoiser(cell, experiment, trained, data, device)
                tensors, nfe = draw(denoiser, data, cell, experiment)
            except (FloatingPointError, UserFunctionError) as error:
                slot.finish(about | {"status": "failed", "reason": str(error), "nfe": None})
                continue
            tensor_files.write_tensors(slot.folder / SAMPLES, tensors, {"kind": "samples", "cell": cell.key})
            slot.finish(about | {"status": "ok", "reason": "", "nfe": nfe}, SAMPLES)


@torch.inference_mode()
def draw(
    denoiser: Denoiser, data: ToyData | ImageData, cell: Cell, experiment: Experiment
) -> tuple[dict[str, Tensor], int]:
    """`samples` (n, D), levels as uint8 for images and float32 for toy data, with their `labels` (n,); and the NFE a
    sample.

    Labels go through the training set's in turn, so that every class has its share. All cells of a seed see the same
    noise.
    """
    settings, parts, nfe = experiment.sampling, [], 0
    scope = (cell.process, cell.dataset, cell.seed)
    y_all = (
        data.labels().repeat(settings.n // len(data.train) + 1)[: settings.n] if isinstance(data, ImageData) else None
    )
    sampler = SAMPLERS[cell.process]
    for start in range(0, settings.n, CHUNK):
        n = min(CHUNK, settings.n - start)
        y = None if y_all is None else y_all[start : start + n].to(denoiser.device)
        rows = Rows(scope, start, n, data.dim)
        part, nfe = sampler(denoiser, data, rows, y, settings, experiment.training.t_range)
        parts.append(part.cpu())
    return {"samples": torch.cat(parts)} | ({} if y_all is None else {"labels": y_all}), nfe


@dataclass(frozen=True)
class Rows:
    """Rows start .. start + n of the samples of a scope, of `dim` numbers, and their random numbers."""

    scope: Sequence[str | int]
    start: int
    n: int
    dim: int

    def normal(self, step: int) -> Tensor:
        """Standard normal noise of a step, (n, dim)."""
        return normal(self.scope, self.start, self.n, self.dim, step)

    def generator(self) -> Generator:
        """One generator for all of these rows."""
        return seeds.generator("sample", *self.scope, self.start)


SAMPLERS: ByProcess[Callable[..., tuple[Tensor, int]]] = ByProcess("sampler", __name__)
"""By process: `(denoiser, data, rows, y, settings, t_range)` gives samples of these rows (n, D), and the NFE."""


def normal(scope: Sequence[str | int], start: int, n: int, dim: int, step: int) -> Tensor:
    """Rows start .. start + n of the standard normal noise of a step, (n, dim), whatever the other rows."""
    first, last = start // BLOCK, -(-(start + n) // BLOCK)
    blocks = [
        torch.randn(BLOCK, dim, generator=seeds.generator("sample", *scope, step, block))
        for block in range(first, last)
    ]
    return torch.cat(blocks)[start - first * BLOCK :][:n]


def nearest_level(x1: Tensor, values: Tensor) -> Tensor:
    """The index of the nearest of the evenly spaced `values` (V,), as uint8."""
    first, last = float(values[0]), float(values[-1])
    return ((finite(x1) - first) / (last - first) * (len(values) - 1)).round().clamp(0, len(values) - 1).to(torch.uint8)


def finite(x: Tensor) -> Tensor:
    """x itself. Raises `FloatingPointError` where it is not finite."""
    if not torch.isfinite(x).all():
        raise FloatingPointError("samples are not finite: the network diverged or the solver's steps are too coarse")
    return x
