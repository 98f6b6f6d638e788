"""The training loss of a stack of cells on one batch."""

from __future__ import annotations

from torch import Tensor

from reproflow.learning.networks.heads import Head, mean_level
from reproflow.learning.networks.stacked_mlp import StackedMLP
from reproflow.theory.divergences import Divergence
from reproflow.theory.processes import gaussian, masked


def batch_loss(
    head: Head, network: StackedMLP, batch: dict[str, Tensor], divergence: Divergence | None = None
) -> Tensor:
    """The loss of each cell, (K,), in units of its objective's scale; the divergence is the squared error if None.

    Raises `TypeError` for another one on a head that is a posterior over levels or tokens.
    """
    coefficient, y = batch["coefficient"], batch.get("y")
    if divergence is not None and head.kind != "gaussian":
        raise TypeError(f"a {head.kind!r} head has no divergence but its own.")
    if head.kind == "masked":
        z = masked.mask(batch["x1"], batch["alpha"], batch["u"], head.vocabulary)
        return masked.loss(coefficient, batch["x1"], z, head.masked_logits(network, z, y), head.vocabulary)
    x = gaussian.blend(batch["alpha"], batch["x1"], batch["sigma"], batch["eps"])
    if head.kind == "levels":
        assert head.levels is not None
        logits = head.level_logits(network, x, batch["t"], y, batch["alpha"], batch["sigma"])
        return gaussian.loss(coefficient, batch["x1"], mean_level(logits, head.levels))
    wanted = gaussian.blend(batch["a"], batch["x1"], batch["b"], batch["eps"])
    prediction = head.gaussian(network, x, batch["t"], y)
    if divergence is None:
        return gaussian.loss(coefficient, wanted, prediction)
    return gaussian.divergence_loss(coefficient, wanted, prediction, batch["t"], x, divergence)
