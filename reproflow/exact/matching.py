r"""Generator matching on finitely many (t, x, z): the conditional and the marginal loss of any process, enumerated.

A process supplies, at nodes (t_n, x_n), the joint weights p_t(x|z) q(z) of every z (times the quadrature weight of the
node, 1 where x is enumerated) and the conditional target F_t^z(x), in the coordinates that are matched: a velocity, the
clean point, the rates to other states, a tangent vector. Then, with any loss l(a, b; t, x) and any weight c(t, x),

.. math:: L_{cgm} = \sum_n c_n \sum_z J_{nz}\, l(F_{nz}, \hat F_n), \qquad
          L_{gm} = \sum_n c_n \Big(\sum_z J_{nz}\Big)\, l(\bar F_n, \hat F_n), \qquad
          \bar F_n = \frac{\sum_z J_{nz} F_{nz}}{\sum_z J_{nz}}

(000, Theorem 4.8; the marginal target is the posterior mean of the conditional ones). Everything is float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""l(a, b, t, x) of target and prediction: (B, D), (B, D), (B,), (B, D) -> (B,), as divergences are."""


@dataclass(frozen=True)
class Problem:
    """Nodes of a process: t (N,), x (N, D) as losses see the state, joint (N, Z) and target (N, Z, D).

    `domain` says where targets live: `real`, or `positive` (rates). Raises `ValueError` where the shapes do not fit,
    or a joint weight is negative, or a node has none.
    """

    process: str
    domain: str
    t: Tensor
    x: Tensor
    joint: Tensor
    target: Tensor

    def __post_init__(self) -> None:
        n, z, d = self.target.shape
        if self.t.shape != (n,) or self.x.shape != (n, d) or self.joint.shape != (n, z):
            shapes = [tuple(each.shape) for each in (self.t, self.x, self.joint, self.target)]
            raise ValueError(f"a problem takes t (N,), x (N, D), joint (N, Z), target (N, Z, D); got {shapes}")
        if bool((self.joint < 0).any()) or bool((self.joint.sum(1) == 0).any()):
            raise ValueError("joint weights must not be negative, and every node needs some")

    @property
    def marginal(self) -> Tensor:
        """The marginal target, the posterior mean of F^z given (t, x), (N, D)."""
        return torch.einsum("nz,nzd->nd", self.joint, self.target) / self.joint.sum(1, keepdim=True)

    def conditional_loss(self, prediction: Tensor, loss: Loss, weight: Tensor) -> Tensor:
        """L_cgm of a prediction (N, D) with the weight (N,), or (N, Z) where it (wrongly) depends on z; a scalar."""
        n, z, d = self.target.shape
        each = loss(
            self.target.reshape(n * z, d),
            prediction[:, None].expand(n, z, d).reshape(n * z, d),
            self.t[:, None].expand(n, z).reshape(n * z),
            self.x[:, None].expand(n, z, d).reshape(n * z, d),
        ).view(n, z)
        return (weight.reshape(n, -1) * torch.where(self.joint > 0, self.joint * each, 0.0)).sum()

    def marginal_loss(self, prediction: Tensor, loss: Loss, weight: Tensor) -> Tensor:
        """L_gm of a prediction (N, D) with the weight (N,), or (N, Z), then averaged over the posterior; a scalar."""
        averaged = (self.joint * weight.reshape(len(self.t), -1)).sum(1)
        return (averaged * loss(self.marginal, prediction, self.t, self.x)).sum()
