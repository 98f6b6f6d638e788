"""The training loss of a stack of cells on one batch."""

from __future__ import annotations

from torch import Tensor

from reproflow.learning.networks.base import Network
from reproflow.learning.networks.heads import Head
from reproflow.theory.divergences import Divergence


def batch_loss(head: Head, network: Network, batch: dict[str, Tensor], divergence: Divergence | None = None) -> Tensor:
    """The loss of each cell, (K,), in units of its objective's scale; the divergence is the squared error if None.

    Raises `TypeError` for another one on a head that is a posterior over levels or tokens.
    """
    return head.loss(head, network, batch, divergence)
