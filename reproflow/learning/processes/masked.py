"""How a masked process is trained and sampled: logits over the vocabulary at tokens of which some are hidden."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from reproflow.foundation.config import Model, Sampling
from reproflow.foundation.specs import Spec
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.networks.base import Network
from reproflow.learning.networks.builders import StackedNetwork
from reproflow.learning.networks.denoiser import DENOISERS, MaskedDenoiser
from reproflow.learning.networks.heads import HEADS, Head, architecture
from reproflow.learning.sampling.ancestral import sample_masked
from reproflow.learning.sampling.samples import SAMPLERS, Rows
from reproflow.learning.training.batches import ENCODINGS, LOSSES, NOISES
from reproflow.theory.admission import midpoints
from reproflow.theory.couplings import Coupling
from reproflow.theory.divergences import Divergence
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path
from reproflow.theory.processes import masked


@HEADS.register("masked")
def head(data: ToyData | ImageData, target: str, model: Model) -> Head:
    """The levels' values and which are shown in, logits out; no time (BIL-10)."""
    levels = data.values if isinstance(data, ImageData) else None
    vocabulary = len(levels) if levels is not None else 0
    shape = architecture(data, model, "masked", inputs=2 * data.dim, outputs=data.dim * vocabulary, timed=False)
    return Head("masked", shape, data.dim, loss, levels)


def loss(head: Head, network: Network, batch: dict[str, Tensor], divergence: Divergence | None) -> Tensor:
    """The cross-entropy of the hidden tokens of each cell, (K,). Raises `TypeError` for a divergence."""
    if divergence is not None:
        raise TypeError(f"a {head.kind!r} head has no divergence but its own.")
    z = masked.mask(batch["x1"], batch["alpha"], batch["u"], head.vocabulary)
    logits = head.masked_logits(network, z, batch.get("y"))
    return masked.loss(batch["coefficient"], batch["x1"], z, logits, head.vocabulary)


@dataclass(frozen=True)
class MaskedLoss:
    """What a masked cell minimises: an objective at times within `t_range`; `vocabulary` is V, without the mask."""

    objective: Objective
    vocabulary: int
    t_range: tuple[float, float]

    @functools.cached_property
    def scale(self) -> float:
        """s: the loss per token of the uniform guess, E[c(t) sigma_t] log V."""
        t = midpoints(self.objective.time, self.t_range)
        sigma = self.objective.path(t)[1]
        return float((self.objective.coefficient(t) * sigma).mean()) * math.log(self.vocabulary)

    def at(self, u: Tensor) -> dict[str, Tensor]:
        """t, alpha and the coefficient of the cross-entropy (over the scale), float32 of u's shape, at quantiles u."""
        t = self.objective.time.draw(u.double().flatten(), self.t_range)
        factor = self.objective.coefficient(t) / self.scale
        columns = {"t": t, "alpha": self.objective.path(t)[0], "coefficient": factor}
        return {name: column.float().view(u.shape) for name, column in columns.items()}


@LOSSES.register("masked")
def training_loss(
    objective: Objective, target: str | Spec, vocabulary: int, t_range: tuple[float, float]
) -> MaskedLoss:
    """What a cell minimises, for a vocabulary of this size."""
    return MaskedLoss(objective, vocabulary, t_range)


@ENCODINGS.register("masked")
def tokens(data: ImageData) -> Tensor:
    """Training images as int64 levels, (N, D)."""
    return data.tokens()


@NOISES.register("masked")
def noise(
    drawn: dict[str, Tensor], generator: Generator, coupling: Coupling, rule: Callable[[], Generator]
) -> dict[str, Tensor]:
    """`u` (B, D): a token is hidden where its uniform exceeds alpha."""
    return {"u": torch.rand(drawn["x1"].shape, generator=generator)}


@DENOISERS.register("masked")
def denoiser(network: StackedNetwork, head: Head, path: Path, target: str | Spec) -> MaskedDenoiser:
    """One network as samplers and measures see it."""
    return MaskedDenoiser(network, head, path)


@SAMPLERS.register("masked")
def sample(
    denoiser: MaskedDenoiser,
    data: ImageData,
    rows: Rows,
    y: Tensor | None,
    settings: Sampling,
    t_range: tuple[float, float],
) -> tuple[Tensor, int]:
    """Tokens (n, D) as uint8 and the NFE, by ancestral steps from all hidden."""
    found, nfe = sample_masked(denoiser, rows.n, y, settings.steps, rows.generator())
    return found.to(torch.uint8), nfe
