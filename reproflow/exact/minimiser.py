r"""What minimises a conditional loss when nothing restricts the prediction, node by node, and whether alone.

With a free value b_n at every node of a matching problem the loss splits into one function of b_n a node. Newton's
method finds its stationary point without knowing the posterior mean, and the eigenvalues of its Hessian there say
whether that is a minimum (all positive), a maximum, or one of many (a zero).
"""

from __future__ import annotations

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
        gradient, hessian = derivatives(problem, loss, weight, prediction)
        step = (torch.linalg.pinv(hessian, rtol=1e-10, hermitian=True) @ gradient[..., None]).squeeze(-1)
        moved = prediction - step
        prediction = torch.maximum(moved, 0.1 * prediction) if problem.domain == "positive" else moved
    return prediction


def derivatives(problem: Problem, loss: Loss, weight: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (N, D) and Hessian (N, D, D) of the conditional loss in the prediction at every node."""
    prediction = prediction.detach().requires_grad_()
    value = problem.conditional_loss(prediction, loss, weight)
    gradient = torch.autograd.grad(value, prediction, create_graph=True)[0]
    n, d = gradient.shape
    rows = torch.eye(d, dtype=gradient.dtype)[:, None, :].expand(d, n, d)
    if gradient.requires_grad:
        hessian = torch.autograd.grad(gradient, prediction, rows, is_grads_batched=True, materialize_grads=True)[0]
    else:
        hessian = torch.zeros(d, n, d, dtype=gradient.dtype)
    return gradient.detach(), hessian.transpose(0, 1)


def curvature(problem: Problem, loss: Loss, weight: Tensor, prediction: Tensor) -> Tensor:
    """The least eigenvalue of each node's Hessian over the largest size of one, (N,) in [-1, 1]; 0 for a zero Hessian.

    The prediction is an isolated minimum where it is positive; `not identified` where it is zero, or below.
    """
    values = torch.linalg.eigvalsh(derivatives(problem, loss, weight, prediction)[1])
    largest = values.abs().amax(1)
    return values[:, 0] / torch.where(largest > 0, largest, 1.0)
