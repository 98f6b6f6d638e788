r"""Samplers: from noise to data with a trained denoiser, counting every network evaluation (NFE).

Gaussian cells start from N(0, s² I) at t_min, s² = alpha² + sigma², which is what data of unit variance have become
there, and go to t_max in fixed steps. Euler, Heun and RK4 follow the probability flow dx/dt = u(x, t): explicit
Runge-Kutta methods, written as their tableau. `sde` adds noise, which by PATH-8 keeps the marginals at any strength if
the score pays for it (002, "Recall the SDE"):

.. math:: dX = [u + \tfrac{g^2}{2} \nabla \log p_t] dt + g\, dW, \qquad g^2 = \eta^2 \sigma^2 \dot\lambda

With the network's x1 and eps held over a step from s to t its linear part is solved exactly (Ho et al. 2020 for
eta = 1, the ancestral step; Song et al. 2021, DDIM, eq. 12 and 16; eta = 0 is the flow again):

.. math:: x_t = \alpha_t \hat x_1 + \sqrt{\sigma_t^2 - v^2}\, \hat\epsilon + v z, \qquad
          v = \eta \sigma_t \sqrt{1 - e^{\lambda_s - \lambda_t}}

The score is -eps/sigma only where noise and data were paired independently. Image cells answer with the nearest level
to E[x1|x], one more evaluation. Masked cells unmask by ancestral sampling: in a step from s to t each hidden token is
shown with probability (alpha_t - alpha_s) / (1 - alpha_s), its value drawn from the network.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment, Sampling
from reproflow.foundation.errors import GuestError
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, prepared
from reproflow.learning.models.denoiser import GaussianDenoiser, MaskedDenoiser
from reproflow.learning.models.heads import head_for
from reproflow.learning.models.stacked import stack
from reproflow.learning.training.shard import FINAL
from reproflow.theory.paths import Path, get_path
from reproflow.theory.reverse import quick_path
from reproflow.theory.targets import get_target

SAMPLES = "samples.safetensors"
CHUNK = 1024
BLOCK = 256
"""Rows of noise that one generator draws: samples depend neither on how many there are nor on `CHUNK`."""

Field = Callable[[Tensor, float], Tensor]
Noise = Callable[[int], Tensor]

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
    """x at t_max from standard normal x0 (B, D), scaled to the base at t_min, and the NFE.

    Where the velocity is converted from another target it grows like 1/(1 - t), and a method that evaluates it at t_max
    would overshoot there: the last step is then Euler's, which near t = 1 goes to the prediction of x1 itself.
    """

    def field(x: Tensor, t: float) -> Tensor:
        return denoiser.velocity(x, x.new_full((1,), t).expand(len(x)), y)

    times = torch.linspace(*t_range, steps + 1, dtype=torch.float64).tolist()
    x0 = base_scale(denoiser.path, t_range[0]) * x0
    if denoiser.target.name == "velocity":
        return integrate(field, x0, times, solver)
    x, nfe = integrate(field, x0, times[:-1], solver)
    x, last = integrate(field, x, times[-2:], "euler")
    return x, nfe + last


def base_scale(path: Path, t_min: float) -> float:
    """s: the standard deviation of the samplers' base at t_min, sqrt(alpha² + sigma²)."""
    alpha, sigma = path(torch.tensor(t_min, dtype=torch.float64))
    return math.hypot(float(alpha), float(sigma))


def sample_sde(
    denoiser: GaussianDenoiser, noise: Noise, y: Tensor | None, t_range: tuple[float, float], steps: int, eta: float
) -> tuple[Tensor, int]:
    """x at t_max, and the NFE, one a step; `noise(k)` is standard normal (B, D): the base for k = 0, then each step's.

    eta in [0, 1] is the share of the ancestral noise.
    """
    times = torch.linspace(*t_range, steps + 1, dtype=torch.float64)
    alpha, sigma = (each.tolist() for each in denoiser.path(times))
    x = base_scale(denoiser.path, t_range[0]) * noise(0)
    for k, (now, after) in enumerate(itertools.pairwise(zip(alpha, sigma, strict=True))):
        x1 = denoiser.x1(x, x.new_full((1,), float(times[k])).expand(len(x)), y)
        eps = (x - now[0] * x1) / now[1]
        kept, fresh = sde_shares(now, after, eta)
        x = after[0] * x1 + kept * eps + fresh * noise(k + 1)
    return x, steps


def sde_shares(now: tuple[float, float], after: tuple[float, float], eta: float) -> tuple[float, float]:
    """Of the noise after a step from one (alpha, sigma) to the next: the share kept from eps, and the fresh one, v."""
    fresh = eta * after[1] * math.sqrt(1 - (now[0] * after[1] / (now[1] * after[0])) ** 2)
    return math.sqrt(after[1] ** 2 - fresh**2), fresh


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
    path = quick_path(get_path(cell.path, cell.process))
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
            except (FloatingPointError, GuestError) as error:
                slot.finish(about | {"status": "failed", "reason": str(error), "nfe": None})
                continue
            prepared.write_tensors(slot.folder / SAMPLES, tensors, {"kind": "samples", "cell": cell.key})
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
