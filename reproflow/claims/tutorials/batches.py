"""Tutorials on batches: clipping biases the mean gradient (TUT-6); its variance falls as 1/B (TUT-10)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim, worst
from reproflow.exact import three_gaussians
from reproflow.foundation import seeds
from reproflow.numerics import gauss_rules
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import get_target
from reproflow.theory.time_sampling import SCHEMES

BOUNDED = "norm at most 1"
MEAN = "E clip(g) = clip(E g)"
KEPT = "LOSS-1 survives"
UNCLIPPED = "not clipped"
SYMMETRIC = "gradient without bias"
AFTER = "clipped after averaging"
FAR = "threshold 1e6"
CLIP_CONTROLS = {BOUNDED: (UNCLIPPED,), MEAN: (SYMMETRIC, FAR), KEPT: (AFTER, FAR)}


@claim(
    "TUT-6",
    title="clipping bounds each step, moves the mean gradient and breaks FM = CFM",
    source="003, Complete Training Script; Best Practices",
    kind="exact",
    tolerance=lambda case: 1.0 if case == BOUNDED else 1e-9,
    cases=(BOUNDED, MEAN, KEPT),
    controls=lambda case: CLIP_CONTROLS[case],
    expected={MEAN: REFUTED, KEPT: REFUTED},
)
def clipping(case: str, variant: str, context: Context) -> Measurement:
    """|clip(g)| <= 1 always, but E clip(g) is not clip(E g): .435 against 1 for g ~ N(1.2, variance 4).

    Statement: g min(1, 1/|g|) prevents a blow-up. That it leaves the mean gradient, or the equality of flow matching
        and conditional flow matching (LOSS-1), as they were is false: the last two cases.
    Assumptions: clipping at 1, of gradients that are random from step to step; sample by sample in the last case.
    Proof idea: clipping is not affine, so it does not commute with averages (Jensen); a clipped squared loss has the
        gradient of a Huber-like one, which is no Bregman divergence in its target (BIL-4).
    Computed: `norm`: torch's clip_grad_norm_ on ten random gradients of norms 1e-3 to 1e6, largest norm left.
        `E clip(g)`: Gauss-Legendre on each piece of g ~ N(1.2, 4), the variance being 4. `LOSS-1`: on the toy network
        at t = 0.5, the mean of the clipped gradients of single samples, for the conditional target by Gauss-Hermite
        over (component, z, eps), for the marginal one by the trapezoid rule in x; relative gap (the kink limits these
        quadratures, but not to the size of the gap). Controls, which must be supported: a gradient of mean 0; clipping
        the mean gradient; a threshold out of reach.
    Source: 003, `clip_grad_norm_(.., 1.0)`; "Clip gradients to prevent instability".
    Refuted by: a norm above 1; a relative gap above 1e-9.
    """
    if case == BOUNDED:
        return Measurement(worst(_norm_left(10.0**k, variant == UNCLIPPED) for k in range(-3, 7)))
    threshold = 1e6 if variant == FAR else 1.0
    if case == MEAN:
        mean = 0.0 if variant == SYMMETRIC else 1.2
        inside, outside = mean_clipped(mean, 2.0, threshold), max(-threshold, min(threshold, mean))
        return Measurement(abs(inside - outside), detail=f"E clip(g) = {inside:.3f}, clip(E g) = {outside:.3f}")
    gradients = [_mean_gradient(*side, threshold, variant == AFTER) for side in _sides()]
    gap = float((gradients[0] - gradients[1]).norm() / gradients[1].norm())
    return Measurement(gap, detail=f"relative gap of the mean clipped gradients {gap:.2g}")


def _norm_left(norm: float, unclipped: bool) -> float:
    """The norm of a random gradient of that norm after torch's clipping at 1."""
    parameter = nn.Parameter(torch.zeros(7, dtype=torch.float64))
    direction = torch.randn(7, generator=seeds.generator("TUT-6", str(norm)), dtype=torch.float64)
    parameter.grad = norm * direction / direction.norm()
    if not unclipped:
        nn.utils.clip_grad_norm_([parameter], 1.0)
    return float(parameter.grad.norm())


def mean_clipped(mean: float, std: float, threshold: float) -> float:
    """E clip(g) for g ~ N(mean, std²), by quadrature on each side of the two kinks."""
    low, high = mean - 12 * std, mean + 12 * std
    ends = [low, *(end for end in (-threshold, threshold) if low < end < high), high]
    total = 0.0
    for a, b in itertools.pairwise(ends):
        g, weights = gauss_rules.legendre_on(a, b, 60)
        density = torch.exp(-(((g - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
        total += float((weights * density * g.clamp(-threshold, threshold)).sum())
    return total


def _sides() -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], ...]:
    """Points x, targets, weights and the time of the conditional and of the marginal quadrature at t = 0.5."""
    c = forward_path("linear").at(torch.tensor(0.5, dtype=torch.float64))
    nodes, weights = gauss_rules.tensors(gauss_rules.hermite(48))
    z = three_gaussians.MIXTURE.means + three_gaussians.MIXTURE.stds[:, None] * nodes
    x1, eps = torch.broadcast_tensors(z[:, :, None], nodes)
    joint = three_gaussians.MIXTURE.weights[:, None, None] * weights[:, None] * weights
    x = c.alpha * x1 + c.sigma * eps
    conditional = (x.flatten(), get_target("velocity").of(x1, eps, c).flatten(), joint.flatten(), c.t)
    points, spacing = three_gaussians.line(401)
    u, density = (
        three_gaussians.MIXTURE.marginal_velocity(points, c)[:, 0],
        three_gaussians.MIXTURE.log_density(points, c).exp(),
    )
    return conditional, (points[:, 0], u, spacing * density, c.t)


def _mean_gradient(x: Tensor, target: Tensor, weights: Tensor, t: Tensor, threshold: float, after: bool) -> Tensor:
    """The mean over samples of the gradients of |u_theta(x) - target|², each clipped, or clipped as a mean; (31,)."""
    gradients = sample_gradients(x, target, t)
    return _clip(weights @ gradients, threshold) if after else weights @ _clip(gradients, threshold)


def sample_gradients(x: Tensor, target: Tensor, t: Tensor) -> Tensor:
    """The gradient of (u_theta(x, t) - target)² of every sample at a random toy network, x's shape and (31,).

    The network's Jacobian by hand: vmap over autograd takes seconds to import.
    """
    theta = three_gaussians.parameters(0)
    weight, bias, out, _ = theta.split([3 * three_gaussians.HIDDEN, three_gaussians.HIDDEN, three_gaussians.HIDDEN, 1])
    features = torch.stack(torch.broadcast_tensors(x, t, t**2), -1)
    h = torch.tanh(features @ weight.view(three_gaussians.HIDDEN, 3).T + bias)
    slope = out * (1 - h**2)
    inner = (slope[..., None] * features[..., None, :]).flatten(-2)
    jacobian = torch.cat([inner, slope, h, torch.ones_like(h[..., :1])], -1)
    return 2 * (three_gaussians.network(theta, x, t) - target)[..., None] * jacobian


def _clip(gradients: Tensor, threshold: float) -> Tensor:
    return gradients * (threshold / gradients.norm(dim=-1, keepdim=True)).clamp(max=1.0)


SHARED = "one t for the whole batch"
STRATIFIED = "stratified t"
SIZES = (1, 2, 3, 4)


@claim(
    "TUT-10",
    title="the variance of a batch's gradient is that of one sample over B",
    source="003, Batch Size and Learning Rate; Best Practices",
    kind="exact",
    tolerance=1e-10,
    controls=(SHARED, STRATIFIED),
)
def batch_variance(case: str, variant: str, context: Context) -> Measurement:
    """tr Var of the gradient of a mean over B samples = tr Var(one)/B: slope -1 in B, for i.i.d. t, data and noise.

    Statement: "larger is better" holds of the gradient's noise, exactly and without a threshold: 32 is no special
        number, and doubling B halves the variance wherever one starts.
    Assumptions: the samples of a batch are independent, their times too. With stratified times the part of the variance
        that t explains falls faster (TUT-1), with one t for all of the batch it does not fall at all; data drawn
        without replacement from N points lower their own part by the factor (N-B)/(N-1).
    Proof idea: the variance of a sum of independent terms is the sum of their variances.
    Computed: by enumeration, without that formula: t at 3 Gauss nodes, x1 and eps at 2 each make 12 samples, and every
        batch of B = 1, 2, 3, 4 of them (up to 20736) has its gradient of the batch loss at a random toy network, on the
        linear path. The statistic is the largest |B Var_B / Var_1 - 1|; the detail gives the slope of log Var in
        log B. That a network trained on larger batches is better and one on "tiny (<32)" ones bad, lr 1e-4 to 5e-4,
        warm-up of 1000 to 5000 steps (absent from the page's own script) and 100 to 500 epochs are protocol, without
        metric or data: nothing in them can be refuted as printed.
    Source: 003, "Batch Size and Learning Rate", "Best Practices", "Key Hyperparameters".
    Refuted by: a statistic above 1e-10. One t for the batch and stratified t must have another slope.
    """
    variances = [gradient_variance(size, variant) for size in SIZES]
    gap = worst(abs(size * value / variances[0] - 1) for size, value in zip(SIZES, variances, strict=True))
    slope = math.log(variances[-1] / variances[0]) / math.log(SIZES[-1])
    return Measurement(gap, detail=f"slope {slope:.4f} from B = 1 to {SIZES[-1]}")


def gradient_variance(size: int, variant: str = STATEMENT) -> float:
    """tr Var of the gradient of the batch loss over all batches of that size, each with its probability."""
    nodes, weights = gauss_rules.legendre_on(0.0, 1.0, 3)
    signs = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    u, z, eps = (axis.flatten() for axis in torch.meshgrid(nodes, 0.5 + signs, signs, indexing="ij"))
    batches = torch.cartesian_prod(*[torch.arange(len(u))] * size).view(-1, size)
    probability = (weights.repeat_interleave(4) / 4)[batches].prod(1)
    c = forward_path("linear").at(_times(u[batches], variant))
    x1, noise = z[batches], eps[batches]
    target = get_target("velocity").of(x1[..., None], noise[..., None], c)[..., 0]
    gradients = sample_gradients(c.alpha * x1 + c.sigma * noise, target, c.t).mean(1)
    centred = gradients - probability @ gradients
    return float(probability @ centred.square().sum(1))


def _times(u: Tensor, variant: str) -> Tensor:
    """Times in `toy.T_RANGE` of every batch (batches, B), by the drawing scheme of the variant."""
    scheme = SCHEMES["stratified" if variant == STRATIFIED else "iid"]
    quantiles = u[:, :1].expand_as(u) if variant == SHARED else scheme(u.T).T
    low, high = three_gaussians.T_RANGE
    return low + (high - low) * quantiles
