r"""Samplers: from noise to data with a trained denoiser, counting every network evaluation (NFE).

Gaussian cells follow the probability flow dx/dt = u(x, t) from N(0, I) at t_min to t_max with fixed steps. Euler, Heun
and RK4 are explicit Runge-Kutta methods, written as their tableau. Image cells then answer with the nearest level to
E[x1|x], one more evaluation. Masked cells unmask by ancestral sampling: in a step from s to t each hidden token is
shown with probability (alpha_t - alpha_s) / (1 - alpha_s), its value drawn from the network.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment, Sampling
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, prepared
from reproflow.learning.models.denoiser import GaussianDenoiser, MaskedDenoiser
from reproflow.learning.models.heads import head_for
from reproflow.learning.models.stacked import stack
from reproflow.learning.training.shard import FINAL
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

SAMPLES = "samples.safetensors"
CHUNK = 1024

Field = Callable[[Tensor, float], Tensor]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: stage times c, stage coefficients a (lower triangle), weights b."""

    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]


TABLEAUS = {
    "euler": Tableau((0.0,), ((),), (1.0,)),
    "heun": Tableau((0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2)),
    "rk4": Tableau(
        (0.0, 1 / 2, 1 / 2, 1.0), ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
    ),
}


def integrate(field: Field, x: Tensor, times: Sequence[float], solver: str) -> tuple[Tensor, int]:
    """x at the last of `times`, and the number of evaluations of `field(x, t)`; x (B, D), t a number."""
    tableau = TABLEAUS[solver]
    for start, stop in itertools.pairwise(times):
        step = stop - start
        slopes: list[Tensor] = []
        for c, row in zip(tableau.c, tableau.a, strict=True):
            shift = sum((a * slope for a, slope in zip(row, slopes, strict=True)), torch.zeros_like(x))
            slopes.append(field(x + step * shift, start + c * step))
        x = x + step * sum((b * slope for b, slope in zip(tableau.b, slopes, strict=True)), torch.zeros_like(x))
    return x, (len(times) - 1) * len(tableau.b)


def sample_gaussian(
    denoiser: GaussianDenoiser, x0: Tensor, y: Tensor | None, t_range: tuple[float, float], solver: str, steps: int
) -> tuple[Tensor, int]:
    """x at t_max from noise x0 (B, D) at t_min, and the NFE.

    Where the velocity is converted from another target it grows like 1/(1 - t), and a method that evaluates it at t_max
    would overshoot there: the last step is then Euler's, which near t = 1 goes to the prediction of x1 itself.
    """

    def field(x: Tensor, t: float) -> Tensor:
        return denoiser.velocity(x, x.new_full((1,), t).expand(len(x)), y)

    times = torch.linspace(*t_range, steps + 1, dtype=torch.float64).tolist()
    if denoiser.target.name == "velocity":
        return integrate(field, x0, times, solver)
    x, nfe = integrate(field, x0, times[:-1], solver)
    x, last = integrate(field, x, times[-2:], "euler")
    return x, nfe + last


def sample_masked(
    denoiser: MaskedDenoiser, n: int, y: Tensor | None, steps: int, generator: Generator
) -> tuple[Tensor, int]:
    """Tokens (n, D) from all masked in `steps` ancestral steps, and the NFE; uniforms come from the CPU generator."""
    vocabulary, device = denoiser.head.vocabulary, denoiser.device
    z = torch.full((n, denoiser.head.dim), vocabulary, device=device)
    alpha = denoiser.path(torch.linspace(0, 1, steps + 1, dtype=torch.float64))[0].tolist()
    alpha[-1] = 1.0
    for before, after in itertools.pairwise(alpha):
        u, choice = torch.rand(2, *z.shape, generator=generator).to(device)
        shown = (z == vocabulary) & (u < (after - before) / (1 - before))
        cumulative = denoiser.logits(z, y)[shown].softmax(-1).cumsum(-1)
        drawn = (choice[shown][:, None] * cumulative[:, -1:] >= cumulative).sum(-1).clamp(max=vocabulary - 1)
        z = z.masked_scatter(shown, drawn)
    return z, steps


def load_denoiser(
    cell: Cell,
    experiment: Experiment,
    slot: Slot,
    data: ToyData | ImageData,
    device: torch.device,
    weights: str = "ema",
) -> GaussianDenoiser | MaskedDenoiser:
    """The trained network of a cell: its averaged weights, or the raw ones with `weights="weights"`."""
    tensors, _ = prepared.read_tensors(slot.folder / FINAL)
    state = {
        name.removeprefix(f"{weights}."): tensor for name, tensor in tensors.items() if name.startswith(f"{weights}.")
    }
    head = head_for(data, cell.process, cell.target, experiment.model)
    network = stack(head.architecture, [state]).to(device).eval().requires_grad_(False)
    path = get_path(cell.path, cell.process)
    if cell.process == "masked":
        return MaskedDenoiser(network, head, path)
    return GaussianDenoiser(network, head, path, get_target(cell.target))


def sample(
    experiment: Experiment,
    work: Sequence[tuple[Cell, Slot, Slot]],
    data: ToyData | ImageData,
    device: torch.device,
    label: str = "sample",
) -> None:
    """Samples every cell whose sample slot is not finished: (cell, training slot, sample slot).

    A network that gives numbers which are not finite is recorded as failed; the other cells go on.
    """
    for cell, trained, slot in tqdm([w for w in work if w[2].record() is None], desc=label, unit="cell", mininterval=5):
        with slot.locked():
            denoiser = load_denoiser(cell, experiment, trained, data, device)
            about = {"cell": cell.key, "solver": experiment.sampling.solver}
            try:
                tensors, nfe = draw(denoiser, data, cell, experiment)
            except FloatingPointError as error:
                slot.finish(about | {"status": "failed", "reason": str(error), "nfe": None})
                continue
            prepared.write_tensors(slot.folder / SAMPLES, tensors, {"kind": "samples", "cell": cell.key})
            slot.finish(about | {"status": "ok", "reason": "", "nfe": nfe})


@torch.inference_mode()
def draw(
    denoiser: GaussianDenoiser | MaskedDenoiser, data: ToyData | ImageData, cell: Cell, experiment: Experiment
) -> tuple[dict[str, Tensor], int]:
    """`samples` (n, D), levels as uint8 for images and float32 for toy data, with their `labels` (n,); and the NFE a
    sample.

    Labels go through the training set's in turn, so that every class has its share. All cells of a seed start from the
    same noise.
    """
    settings, parts, nfe = experiment.sampling, [], 0
    y_all = (
        data.labels().repeat(settings.n // len(data.train) + 1)[: settings.n] if isinstance(data, ImageData) else None
    )
    for start in range(0, settings.n, CHUNK):
        n = min(CHUNK, settings.n - start)
        y = None if y_all is None else y_all[start : start + n].to(denoiser.device)
        generator = seeds.generator("sample", cell.process, cell.dataset, cell.seed, start)
        part, nfe = _draw_chunk(denoiser, data, n, y, settings, experiment.training.t_range, generator)
        parts.append(part.cpu())
    return {"samples": torch.cat(parts)} | ({} if y_all is None else {"labels": y_all}), nfe


def _draw_chunk(
    denoiser: GaussianDenoiser | MaskedDenoiser,
    data: ToyData | ImageData,
    n: int,
    y: Tensor | None,
    settings: Sampling,
    t_range: tuple[float, float],
    generator: Generator,
) -> tuple[Tensor, int]:
    if isinstance(denoiser, MaskedDenoiser):
        tokens, nfe = sample_masked(denoiser, n, y, settings.steps, generator)
        return tokens.to(torch.uint8), nfe
    x0 = torch.randn(n, data.dim, generator=generator).to(denoiser.device)
    x, nfe = sample_gaussian(denoiser, x0, y, t_range, settings.solver, settings.steps)
    if isinstance(data, ToyData):
        return finite(x), nfe
    x1 = denoiser.x1(x, x.new_full((1,), t_range[1]).expand(n), y)
    return nearest_level(x1, data.values), nfe + 1


def nearest_level(x1: Tensor, values: Tensor) -> Tensor:
    """The index of the nearest of the evenly spaced `values` (V,), as uint8."""
    first, last = float(values[0]), float(values[-1])
    return ((finite(x1) - first) / (last - first) * (len(values) - 1)).round().clamp(0, len(values) - 1).to(torch.uint8)


def finite(x: Tensor) -> Tensor:
    """x itself. Raises `FloatingPointError` where it is not finite."""
    if not torch.isfinite(x).all():
        raise FloatingPointError("samples are not finite: the network diverged or the solver's steps are too coarse")
    return x
