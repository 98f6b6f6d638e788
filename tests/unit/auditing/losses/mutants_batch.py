"""Bugs in weights and across the batch; objectives that hang on other networks, on derivatives, or on two answers."""

from __future__ import annotations

import copy

import torch
from losses.faulty import faulty
from losses.mutants_target import flow
from losses.restated_chains import STEPS, linear_table, noised, per_sample
from losses.restated_diffusion import cosine_draw
from losses.stated import by_level
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import interpolate, mse_loss


@faulty("weight-neighbours")
def keepdim_lost(model, x1):
    """Weights of shape (B, 1) against errors of shape (B,): a table of B x B."""
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    weight = (sigma / alpha).flatten(1)[:, :1]
    return (weight * per_sample(model(xt, t) - eps)).mean()


@faulty("weight-neighbours")
def weights_of_the_sample_before(model, x1):
    t, _, xt, eps = flow(x1)
    return ((1 - t).roll(1, 0) * per_sample(model(xt, t) - (x1 - eps))).mean()


@faulty("weight-normalised")
def weights_over_their_mean(model, x1):
    t, _, xt, eps = flow(x1)
    weight = 0.1 + (1 - t) ** 2
    return (weight / weight.mean() * per_sample(model(xt, t) - (x1 - eps))).mean()


@faulty("weight-random", source="huggingface/diffusers issue 8534")
def weight_of_a_fresh_time(model, x1):
    t, _, xt, eps = flow(x1)
    weight = torch.rand(len(x1)) + 0.5
    return (weight * per_sample(model(xt, t) - (x1 - eps))).mean()


@faulty("weight-sees-data")
def weight_by_the_target(model, x1):
    t, _, xt, eps = flow(x1)
    target = x1 - eps
    return (per_sample(model(xt, t) - target) / per_sample(target)).mean()


@faulty("weight-sees-data")
def weight_by_the_noise(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    return (eps.abs().flatten(1).mean(1) * per_sample(model(alpha * x1 + sigma * eps, s) - eps)).mean()


@faulty("weight-by-sample")
def weight_by_the_class(model, x1):
    """Bright images count thrice."""
    t, _, xt, eps = flow(x1)
    weight = 1 + 2 * (x1.flatten(1).mean(1) > 0).float()
    return (weight * per_sample(model(xt, t) - (x1 - eps))).mean()


@faulty("negative-weight")
def weight_below_zero(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    weight = torch.log((alpha / sigma).clamp(0.01, 100)).flatten()
    return (weight * per_sample(model(alpha * x1 + sigma * eps, s) - eps)).mean()


@faulty("negative-weight")
def sign_of_the_loss(model, x1):
    t, _, xt, eps = flow(x1)
    return -mse_loss(model(xt, t), x1 - eps)


@faulty("batch-coupled")
def minibatch_transport(model, x1):
    """Tong et al. 2024: noise and data paired by least squares."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    cost = torch.cdist(eps.flatten(1), x1.flatten(1)).square()
    _, order = linear_sum_assignment(cost.detach().numpy())
    eps = eps[torch.as_tensor(order).argsort()]
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@faulty("batch-coupled")
def batch_standardised(model, x1):
    x1 = (x1 - x1.mean()) / x1.std()
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1 - eps)


@faulty("batch-coupled", "noise-law")
def pyramid_noise(model, x1):
    """Noise of two resolutions, scaled to unit variance over the batch, in state and target."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    eps = eps + 0.8 * interpolate(torch.randn(*x1.shape[:2], 2, 2), scale_factor=2)
    eps = eps / eps.std()
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@faulty("bootstrapped")
def consistency_training(model, x1):
    """Song et al. 2023: the answer at a level against that of a copy of the network at the level below."""
    teacher = copy.deepcopy(model)
    sigma = torch.exp(torch.randn(len(x1)))
    level, eps = by_level(sigma, x1), torch.randn_like(x1)
    with torch.no_grad():
        target = teacher(x1 + 0.9 * level * eps, 0.9 * sigma)
    return mse_loss(model(x1 + level * eps, sigma), target)


@faulty("bootstrapped")
def distilled_step(model, x1):
    """The target is a step of the detached network itself."""
    s, alpha, sigma, eps = cosine_draw(x1)
    xt = alpha * x1 + sigma * eps
    with torch.no_grad():
        better = model(xt, 0.5 * s)
    return mse_loss(model(xt, s), 0.5 * (better + x1))


@faulty("jvp", "bootstrapped")
def mean_flow(model, x1):
    """Geng et al. 2025: u = v - (t - r) du/dt, the derivative along the path detached."""
    t, r = torch.rand(2, len(x1)).sort(0, descending=True)[0]
    eps = torch.randn_like(x1)
    s = by_level(t, x1)
    velocity = eps - x1
    u, slope = torch.func.jvp(
        model, ((1 - s) * x1 + s * eps, t, r), (velocity, torch.ones_like(t), torch.zeros_like(r))
    )
    return mse_loss(u, (velocity - by_level(t - r, x1) * slope).detach())


@faulty("input-gradient")
def gradient_penalty(model, x1):
    t, _, xt, eps = flow(x1)
    xt.requires_grad_()
    velocity = model(xt, t)
    (slope,) = torch.autograd.grad(velocity.sum(), xt, create_graph=True)
    return mse_loss(velocity, x1 - eps) + 0.1 * slope.square().mean()


@faulty("several-heads")
def two_levels_at_once(model, x1):
    """Two calls with gradients, summed."""
    t, _, xt, eps = flow(x1)
    first = mse_loss(model(xt, t), x1 - eps)
    t, _, xt, eps = flow(x1)
    return first + mse_loss(model(xt, t), x1 - eps)


@faulty("weight-neighbours")
def weights_of_shuffled_times(model, x1):
    t, _, xt, eps = flow(x1)
    weight = 0.1 + (1 - t[torch.randperm(len(t))]) ** 2
    return (weight * per_sample(model(xt, t) - (x1 - eps))).mean()


@faulty("weight-normalised")
def weights_over_their_maximum(model, x1):
    t, _, xt, eps = flow(x1)
    weight = 0.1 + (1 - t) ** 2
    return (weight / weight.max() * per_sample(model(xt, t) - (x1 - eps))).mean()


@faulty("weight-by-sample")
def weight_by_the_contrast(model, x1):
    t, _, xt, eps = flow(x1)
    return (x1.flatten(1).std(1) * per_sample(model(xt, t) - (x1 - eps))).mean()


@faulty("noise-mismatch")
def noise_shuffled_in_the_state_alone(model, x1):
    t, s, _, eps = flow(x1)
    xt = s * x1 + (1 - s) * eps[torch.randperm(len(x1))]
    return mse_loss(model(xt, t), x1 - eps)
