"""Points in the plane, of the registered laws with an exact density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from reproflow.exact.mixture import Mixture
from reproflow.learning.data.tensor_digest import digest


@dataclass(frozen=True)
class ToyData:
    """Points in the plane of about unit variance, without labels.

    `draw(n, generator)` gives float64 points (n, 2); `log_density(x)` maps (..., 2) to (...), in nats, exactly, and is
    None where it is not known (of a user's points); `entropy` is -E log p in nats, by quadrature or in closed form,
    else NaN; `test` holds fixed evaluation points (N, 2), float64; `mixture` is set where the law is a mixture of round
    Gaussians, so that exact posteriors exist.
    """

    name: str
    draw: Callable[[int, Generator], Tensor]
    log_density: Callable[[Tensor], Tensor] | None
    entropy: float
    test: Tensor
    mixture: Mixture | None = None

    dim = 2
    classes = 0

    def sample(self, n: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """n independent points (n, 2) of `dtype`; the draw itself is made in float64."""
        return self.draw(n, generator).to(dtype)

    def arrays(self) -> dict[str, Tensor]:
        """The tensors that a prepared file holds."""
        return {"test": self.test}

    @property
    def sha256(self) -> str:
        return digest(self.arrays())
