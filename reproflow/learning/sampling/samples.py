"""Samples of trained cells, written to the store with the number of network evaluations a sample (NFE).

Points and Gaussian images follow `ode` or `sde`, tokens `ancestral`. Gaussian image cells answer with the nearest
level to E[x1|x], one more evaluation. All cells of a seed see the same noise, drawn in blocks, so that samples depend
neither on how many there are nor on how they are cut into chunks.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment, Sampling
from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, tensor_files
from reproflow.learning.networks.denoiser import GaussianDenoiser, MaskedDenoiser
from reproflow.learning.sampling.ancestral import sample_masked
from reproflow.learning.sampling.ode import sample_gaussian
from reproflow.learning.sampling.sde import Noise, sample_sde
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
    denoiser: GaussianDenoiser | MaskedDenoiser, data: ToyData | ImageData, cell: Cell, experiment: Experiment
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
    for start in range(0, settings.n, CHUNK):
        n = min(CHUNK, settings.n - start)
        y = None if y_all is None else y_all[start : start + n].to(denoiser.device)
        if isinstance(denoiser, MaskedDenoiser):
            generator = seeds.generator("sample", *scope, start)
            tokens, nfe = sample_masked(denoiser, n, y, settings.steps, generator)
            parts.append(tokens.to(torch.uint8).cpu())
        else:
            rows = functools.partial(normal, scope, start, n, data.dim)
            part, nfe = _draw_chunk(denoiser, data, rows, y, settings, experiment.training.t_range)
            parts.append(part.cpu())
    return {"samples": torch.cat(parts)} | ({} if y_all is None else {"labels": y_all}), nfe


def _draw_chunk(
    denoiser: GaussianDenoiser,
    data: ToyData | ImageData,
    rows: Noise,
    y: Tensor | None,
    settings: Sampling,
    t_range: tuple[float, float],
) -> tuple[Tensor, int]:
    def noise(step: int) -> Tensor:
        return rows(step).to(denoiser.device)

    if settings.solver == "sde":
        x, nfe = sample_sde(denoiser, noise, y, t_range, settings.steps, settings.eta)
    else:
        x, nfe = sample_gaussian(denoiser, noise(0), y, t_range, settings.solver, settings.steps)
    if isinstance(data, ToyData):
        return finite(x), nfe
    x1 = denoiser.x1(x, x.new_full((1,), t_range[1]).expand(len(x)), y)
    return nearest_level(x1, data.values), nfe + 1


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
