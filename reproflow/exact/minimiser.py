r"""What minimises a conditional loss when nothing restricts the prediction, node by node, and whether alone.

With a free value b_n at every node of a matching problem the loss splits into one function of b_n a node. Newton's
method finds its stationary point without knowing the posterior mean, and the eigenvalues of its Hessian there say
whether that is a minimum (all positive), a maximum, or one of many (a zero).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.exact.matching import Loss, Problem


def minimise(problem: Problem, loss: Loss, weight: Tensor, start: Tensor, steps: int = 8) -> Tensor:
    """The prediction (N, D) that Newton's method reaches from `start` (N, D) on the conditional loss; weight (N,).

    Where the weight is zero, and along directions that the loss does not see, the start stays. A positive prediction
    loses at most nine tenths in a step.
    """
    prediction = start
    for _ in range(steps):
        gradient, hessian = loss_derivatives(problem, loss, weight, prediction)
        step = (torch.linalg.pinv(hessian, rtol=1e-10, hermitian=True) @ gradient[..., None]).squeeze(-1)
        moved = prediction - step
        prediction = torch.maximum(moved, 0.1 * prediction) if problem.domain == "positive" else moved
    return prediction


def of_quadratic(total: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Where a quadratic function of the coordinates of `start`, none of which meets another, is least.

    From two gradients, so that nothing about the minimum is used. A coordinate that `total` does not see, or in which
    it is not convex, stays.
    """

    def gradient(value: Tensor) -> Tensor:
        value = value.detach().clone().requires_grad_()
        return torch.autograd.grad(total(value), value)[0]

    first = gradient(start)
    curvature = gradient(start + 1) - first
    return torch.where(curvature > 0, start - first / curvature, start)


def derivatives(total: Callable[[Tensor], Tensor], value: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (N, D) and Hessians (N, D, D), at (N, D), of a sum of one function a node.

    Row by row: differentiating all rows at once imports torch's compiler, four seconds.
    """
    value = value.detach().requires_grad_()
    gradient = torch.autograd.grad(total(value), value, create_graph=True)[0]
    rows = []
    for column in gradient.unbind(1):
        row = None
        if column.requires_grad:
            row = torch.autograd.grad(column.sum(), value, retain_graph=True, allow_unused=True)[0]
        rows.append(torch.zeros_like(value) if row is None else row)
    return gradient.detach(), torch.stack(rows, 1)


def loss_derivatives(problem: Problem, loss: Loss, weight: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient and Hessians of the conditional loss in the prediction at every node."""
    return derivatives(lambda value: problem.conditional_loss(value, loss, weight), prediction)


def curvature(problem: Problem, loss: Loss, weight: Tensor, prediction: Tensor) -> Tensor:
    """The least eigenvalue of each node's Hessian over the largest size of one, (N,) in [-1, 1]; 0 for a zero Hessian.

    The prediction is an isolated minimum where it is positive; `not identified` where it is zero, or below.
    """
    values = torch.linalg.eigvalsh(loss_derivatives(problem, loss, weight, prediction)[1])
    largest = values.abs().amax(1)
    return values[:, 0] / torch.where(largest > 0, largest, 1.0)
