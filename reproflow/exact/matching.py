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

from reproflow.foundation import seeds

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""l(a, b, t, x) of target and prediction: (B, D), (B, D), (B,), (B, D) -> (B,), as divergences are."""

HIDDEN = 6


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

    def conditional_terms(self, prediction: Tensor, loss: Loss, weight: Tensor) -> Tensor:
        """The terms of L_cgm, one a node, (N,); arguments as `conditional_loss`.

        A latent that cannot have led to a node does not show its target there: the loss may not be finite at it.
        """
        n, z, d = self.target.shape
        possible = self.joint > 0
        target = torch.where(possible[..., None], self.target, self.marginal[:, None])
        each = loss(
            target.reshape(n * z, d),
            prediction[:, None].expand(n, z, d).reshape(n * z, d),
            self.t[:, None].expand(n, z).reshape(n * z),
            self.x[:, None].expand(n, z, d).reshape(n * z, d),
        ).view(n, z)
        return (weight.reshape(n, -1) * torch.where(possible, self.joint * each, 0.0)).sum(1)

    def marginal_terms(self, prediction: Tensor, loss: Loss, weight: Tensor) -> Tensor:
        """The terms of L_gm, one a node, (N,); arguments as `marginal_loss`."""
        averaged = (self.joint * weight.reshape(len(self.t), -1)).sum(1)
        return averaged * loss(self.marginal, prediction, self.t, self.x)

    def conditional_loss(self, prediction: Tensor, loss: Loss, weight: Tensor) -> Tensor:
        """L_cgm of a prediction (N, D) with the weight (N,), or (N, Z) where it (wrongly) depends on z; a scalar."""
        return self.conditional_terms(prediction, loss, weight).sum()

    def marginal_loss(self, prediction: Tensor, loss: Loss, weight: Tensor) -> Tensor:
        """L_gm of a prediction (N, D) with the weight (N,), or (N, Z), then averaged over the posterior; a scalar."""
        return self.marginal_terms(prediction, loss, weight).sum()


def parameters(problem: Problem, seed: int) -> Tensor:
    """A random network for a problem: theta (P,), standard deviation 0.7, float64; see `predict`."""
    d = problem.x.shape[1]
    size = HIDDEN * (d + 3) + (HIDDEN + 1) * d
    return 0.7 * torch.randn(size, generator=seeds.generator("matching network", seed), dtype=torch.float64)


def predict(problem: Problem, theta: Tensor) -> Tensor:
    """The network's prediction at every node, (N, D): V tanh(W (t, t², x) + b) + c in the units of the targets.

    Centre and scale are those of the marginal targets over all nodes, so that predictions fall among the targets, where
    losses differ. Positive targets get the exponential of the network.
    """
    d = problem.x.shape[1]
    weight, bias, out, constant = theta.split([HIDDEN * (d + 2), HIDDEN, HIDDEN * d, d])
    features = torch.cat([problem.t[:, None], problem.t[:, None] ** 2, problem.x], 1)
    value = torch.tanh(features @ weight.view(-1, HIDDEN) + bias) @ out.view(HIDDEN, d) + constant
    if problem.domain == "positive":
        return problem.marginal.log().mean(0).exp() * value.exp()
    return problem.marginal.mean(0) + problem.marginal.std(0) * value


Network = Callable[[Problem, Tensor], Tensor]
"""The prediction (N, D) of a problem's nodes from parameters theta (P,)."""


@dataclass(frozen=True)
class Comparison:
    """The two losses at one theta, time by time: values (K,) and gradients (K, P) at the K distinct times.

    `floor` (K,) is the conditional loss of the marginal target itself, E D(F^Z, E[F^Z|x]), the Jensen gap of phi.
    """

    conditional: Tensor
    marginal: Tensor
    floor: Tensor
    conditional_gradient: Tensor
    marginal_gradient: Tensor

    def gradient_gaps(self, weights: Tensor) -> Tensor:
        """|grad L_gm - grad L_cgm| / |grad L_cgm| for every row of weights in time (W, K), (W,)."""
        difference = weights @ (self.marginal_gradient - self.conditional_gradient)
        return difference.norm(dim=1) / (weights @ self.conditional_gradient).norm(dim=1)

    def constant_gaps(self, weights: Tensor) -> Tensor:
        """|L_cgm - L_gm - floor| / L_cgm for every row of weights in time (W, K), (W,): is the constant theta-free?"""
        off = weights @ (self.conditional - self.marginal - self.floor)
        return off.abs() / (weights @ self.conditional).abs()


def compare(
    problem: Problem, loss: Loss, theta: Tensor, weight: Tensor | None = None, predict: Network = predict
) -> Comparison:
    """Both losses and their gradients in theta, for each distinct time of a problem in ascending order.

    `weight` is a further weight (N,) or (N, Z) of the nodes, `predict` another network. Losses are linear in a weight
    in time, so what comes back serves all of them.
    """
    weight = torch.ones_like(problem.t) if weight is None else weight
    theta = theta.detach().requires_grad_()
    prediction = predict(problem, theta)
    times, place = problem.t.unique(return_inverse=True)
    sides = [problem.conditional_terms, problem.marginal_terms]
    values = torch.cat([_by_time(side(prediction, loss, weight), place, len(times)) for side in sides])
    rows = torch.eye(len(values), dtype=values.dtype)
    gradients = torch.autograd.grad(values, theta, rows, is_grads_batched=True)[0]
    floor = _by_time(problem.conditional_terms(problem.marginal, loss, weight), place, len(times))
    conditional, marginal = values.detach().chunk(2)
    return Comparison(conditional, marginal, floor, *gradients.chunk(2))


def _by_time(terms: Tensor, place: Tensor, times: int) -> Tensor:
    return torch.zeros(times, dtype=terms.dtype).index_add(0, place, terms)
