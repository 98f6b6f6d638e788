"""How a Gaussian process is trained and sampled.

A network puts out its target, D numbers; on image data with target x1 it puts out logits over the grey levels, which
log N(x_t; alpha v_k, sigma²) makes a posterior.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from reproflow.foundation.config import Model, Sampling
from reproflow.foundation.specs import Spec
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.networks.base import Network
from reproflow.learning.networks.builders import StackedNetwork
from reproflow.learning.networks.denoiser import DENOISERS, GaussianDenoiser
from reproflow.learning.networks.heads import HEADS, Head, architecture, mean_level
from reproflow.learning.sampling.ode import sample_gaussian
from reproflow.learning.sampling.samples import SAMPLERS, Rows, finite, nearest_level
from reproflow.learning.sampling.sde import sample_sde
from reproflow.learning.training.batches import ENCODINGS, LOSSES, NOISES
from reproflow.theory.admission import midpoints
from reproflow.theory.couplings import Coupling, couple
from reproflow.theory.divergences import Divergence
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path
from reproflow.theory.processes import gaussian
from reproflow.theory.targets import Target, get_target


@HEADS.register("gaussian")
def head(data: ToyData | ImageData, target: str, model: Model) -> Head:
    """The target itself, or on image data with target x1 a posterior over the levels."""
    levels = data.values if isinstance(data, ImageData) else None
    if levels is not None and target == "x1":
        shape = architecture(data, model, "gaussian", inputs=data.dim, outputs=data.dim * len(levels), timed=True)
        return Head("levels", shape, data.dim, levels_loss, levels)
    shape = architecture(data, model, "gaussian", inputs=data.dim, outputs=data.dim, timed=True)
    return Head("gaussian", shape, data.dim, target_loss, levels)


def levels_loss(head: Head, network: Network, batch: dict[str, Tensor], divergence: Divergence | None) -> Tensor:
    """The squared error of the posterior's mean, (K,). Raises `TypeError` for another divergence."""
    if divergence is not None:
        raise TypeError(f"a {head.kind!r} head has no divergence but its own.")
    assert head.levels is not None
    x = gaussian.blend(batch["alpha"], batch["x1"], batch["sigma"], batch["eps"])
    logits = head.level_logits(network, x, batch["t"], batch.get("y"), batch["alpha"], batch["sigma"])
    return gaussian.loss(batch["coefficient"], batch["x1"], mean_level(logits, head.levels))


def target_loss(head: Head, network: Network, batch: dict[str, Tensor], divergence: Divergence | None) -> Tensor:
    """The squared error of the target, or the divergence that takes its place, (K,)."""
    x = gaussian.blend(batch["alpha"], batch["x1"], batch["sigma"], batch["eps"])
    target = gaussian.blend(batch["a"], batch["x1"], batch["b"], batch["eps"])
    prediction = head.gaussian(network, x, batch["t"], batch.get("y"))
    if divergence is None:
        return gaussian.loss(batch["coefficient"], target, prediction)
    return gaussian.divergence_loss(batch["coefficient"], target, prediction, batch["t"], x, divergence)


@dataclass(frozen=True)
class GaussianLoss:
    """What a Gaussian cell minimises: an objective on the network's output `target`, at times within `t_range`."""

    objective: Objective
    target: Target
    t_range: tuple[float, float]

    @functools.cached_property
    def scale(self) -> float:
        """s: the loss per dimension of the linear denoiser of N(0, I) data, by a midpoint rule in the law's quantiles.

        Its eps error is alpha² / (alpha² + sigma²).
        """
        t = midpoints(self.objective.time, self.t_range)
        c = self.objective.path.at(t)
        error = gaussian.linear_error(c.alpha, c.sigma)
        return float((self.objective.coefficient(t) * error).mean())

    def at(self, u: Tensor) -> dict[str, Tensor]:
        """t, alpha, sigma, a, b and the output's coefficient (over the scale), float32 of u's shape, at quantiles u."""
        t = self.objective.time.draw(u.double().flatten(), self.t_range)
        c = self.objective.path.at(t)
        a, b = self.target.coefficients(c)
        factor = self.objective.coefficient(t) / self.target.error_factor(c) / self.scale
        columns = {"t": t, "alpha": c.alpha, "sigma": c.sigma, "a": a, "b": b, "coefficient": factor}
        return {name: column.float().view(u.shape) for name, column in columns.items()}


@LOSSES.register("gaussian")
def training_loss(
    objective: Objective, target: str | Spec, vocabulary: int, t_range: tuple[float, float]
) -> GaussianLoss:
    """What a cell minimises whose network puts out `target`."""
    return GaussianLoss(objective, get_target(target), t_range)


@ENCODINGS.register("gaussian")
def points(data: ImageData) -> Tensor:
    """Training images as values in [-1, 1], (N, D)."""
    return data.points()


@NOISES.register("gaussian")
def noise(
    drawn: dict[str, Tensor], generator: Generator, coupling: Coupling, rule: Callable[[], Generator]
) -> dict[str, Tensor]:
    """`eps` (B, D), standard normal, paired with the data by the coupling."""
    eps = torch.randn(drawn["x1"].shape, generator=generator)
    return {"eps": couple(coupling, eps, drawn["x1"], drawn.get("y"), rule())}


@DENOISERS.register("gaussian")
def denoiser(network: StackedNetwork, head: Head, path: Path, target: str | Spec) -> GaussianDenoiser:
    """One network as samplers and measures see it."""
    return GaussianDenoiser(network, head, path, get_target(target))


@SAMPLERS.register("gaussian")
def sample(
    denoiser: GaussianDenoiser,
    data: ToyData | ImageData,
    rows: Rows,
    y: Tensor | None,
    settings: Sampling,
    t_range: tuple[float, float],
) -> tuple[Tensor, int]:
    """Points (n, D), or the levels nearest to E[x1|x] as uint8, and the NFE: along the flow, or by the SDE."""

    def noise(step: int) -> Tensor:
        return rows.normal(step).to(denoiser.device)

    if settings.solver == "sde":
        x, nfe = sample_sde(denoiser, noise, y, t_range, settings.steps, settings.eta)
    else:
        x, nfe = sample_gaussian(denoiser, noise(0), y, t_range, settings.solver, settings.steps)
    if isinstance(data, ToyData):
        return finite(x), nfe
    x1 = denoiser.x1(x, x.new_full((1,), t_range[1]).expand(len(x)), y)
    return nearest_level(x1, data.values), nfe + 1
