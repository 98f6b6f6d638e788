"""Bugs in the target: other noise, wrong signs and scales, clamps, losses that are not squares, lost gradients."""

from __future__ import annotations

import torch
from losses.faulty import faulty
from losses.restated_chains import STEPS, linear_table, noised, per_sample
from losses.restated_diffusion import cosine_draw
from losses.stated import by_level
from torch.nn.functional import huber_loss, l1_loss, mse_loss


def flow(x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return t, s, s * x1 + (1 - s) * eps, eps


@faulty("noise-mismatch")
def target_draws_its_own_noise(model, x1):
    t, _, xt, _ = flow(x1)
    return mse_loss(model(xt, t), x1 - torch.randn_like(x1))


@faulty("noise-mismatch")
def eps_drawn_anew(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, _ = noised(x1, linear_table, t)
    noise = torch.randn(x1.shape)
    return mse_loss(model(xt, t), noise)


@faulty("no-gradient")
def prediction_detached(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t).detach(), x1 - eps)


@faulty("no-gradient")
def network_in_no_grad(model, x1):
    t, _, xt, eps = flow(x1)
    with torch.no_grad():
        velocity = model(xt, t)
    return mse_loss(velocity, x1 - eps)


@faulty("no-gradient")
def prediction_rounded(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(torch.round(model(xt, t) * 127.5) / 127.5, x1 - eps)


@faulty("target-degenerate", "target-unnamed")
def v_with_the_wrong_sign(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    return mse_loss(model(alpha * x1 + sigma * eps, s), alpha * eps + sigma * x1)


@faulty("target-scaled", "not-velocity", "target-near", "target-unnamed")
def epsilon_in_a_division(model, x1):
    t, s, xt, _ = flow(x1)
    return mse_loss(model(xt, t), (x1 - xt) / (1 - s + 1e-2))


@faulty("target-near", "target-unnamed", "not-velocity", "target-scaled")
def sigma_min_in_the_target_alone(model, x1):
    """The state is that of sigma_min = 0, the target that of 0.01."""
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1 - 0.99 * eps)


@faulty("target-unnamed", "not-velocity")
def target_of_two_halves(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t), 0.3 * x1 - eps)


@faulty("target-empty")
def target_is_the_input(model, x1):
    t, _, xt, _ = flow(x1)
    return mse_loss(model(xt, t), xt)


@faulty("target-empty")
def target_is_the_scaled_input(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    xt = alpha * x1 + sigma * eps
    return mse_loss(model(xt, s), xt * sigma)


@faulty("target-neighbours")
def contrastive_flow(model, x1):
    """Stoica et al. 2025: away from another sample's velocity."""
    t, _, xt, eps = flow(x1)
    velocity = x1 - eps
    guess = model(xt, t)
    return mse_loss(guess, velocity) - 0.05 * mse_loss(guess, velocity.roll(1, 0))


@faulty("not-velocity")
def straight_velocity_on_the_cosine_path(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    return mse_loss(model(alpha * x1 + sigma * eps, 1 - s), x1 - eps)


@faulty("not-affine")
def huber(model, x1):
    t, _, xt, eps = flow(x1)
    return huber_loss(model(xt, t), x1 - eps, delta=0.1)


@faulty("not-affine")
def absolute_error(model, x1):
    t, _, xt, eps = flow(x1)
    return l1_loss(model(xt, t), x1 - eps)


@faulty("not-affine", "value-gradient")
def adaptive_and_detached(model, x1):
    """Geng et al. 2025: the square over a power of itself, no gradient through the divisor."""
    t, _, xt, eps = flow(x1)
    error = (model(xt, t) - (x1 - eps)).square().flatten(1).sum(1)
    return (error / (error.detach() + 1e-3) ** 0.75).mean()


@faulty("clamp", "not-affine")
def data_clamped_in_the_loss(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    x0 = ((xt - sigma * model(xt, t)) / alpha).clamp(-1, 1)
    return mse_loss((xt - alpha * x0) / sigma, eps)


@faulty("value-gradient")
def value_with_a_detached_part(model, x1):
    t, _, xt, eps = flow(x1)
    velocity = model(xt, t)
    return mse_loss(velocity, x1 - eps) + 0.5 * velocity.detach().square().mean()


@faulty("value-gradient")
def detached_part_in_bfloat16(model, x1):
    """Rounding explains a hundredth of the value, and no more."""
    t, _, xt, eps = flow(x1)
    velocity = model(xt, t).bfloat16()
    return mse_loss(velocity, (x1 - eps).bfloat16()) + 0.5 * velocity.detach().square().mean()


@faulty("mutates-batch", "path-unnamed", "target-unnamed")
def batch_noised_in_place(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    xt = x1.mul_(s).add_((1 - s) * eps)
    return mse_loss(model(xt, t), x1 - eps)


@faulty("not-as-stated", expect={"weighting": "min_snr", "on": "x1", "path": "vp"})
def maximum_for_minimum(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    snr = ((alpha / sigma) ** 2).flatten()
    return (snr.clamp(min=5) / snr * per_sample(model(xt, t) - eps)).mean()


@faulty("weight-conversion")
def divisor_of_v_on_eps(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    snr = ((alpha / sigma) ** 2).flatten()
    return (snr.clamp(max=5) / (snr + 1) * per_sample(model(xt, t) - eps)).mean()


@faulty("weight-conversion")
def weight_of_eps_on_v(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    snr = ((alpha / sigma) ** 2).flatten()
    return (snr.clamp(max=5) / snr * per_sample(model(xt, t) - (alpha * eps - sigma * x1))).mean()


@faulty("weight-conversion", source="huggingface/diffusers issue 5654")
def one_added_before_the_minimum(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    snr = ((alpha / sigma) ** 2).flatten() + 1
    return (snr.clamp(max=5) / snr * per_sample(model(xt, t) - (alpha * eps - sigma * x1))).mean()


@faulty("weight-conversion")
def weight_of_x1_on_eps(model, x1):
    """min(SNR, 5) on the error of the noise, where min(SNR, 5)/SNR was meant."""
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    snr = ((alpha / sigma) ** 2).flatten()
    return (snr.clamp(max=5) * per_sample(model(xt, t) - eps)).mean()


@faulty("noise-mismatch", "no-noise")
def clean_batch_given(model, x1):
    """The network is given the batch where its noised copy was meant."""
    t, _, _, eps = flow(x1)
    return mse_loss(model(x1, t), x1 - eps)


@faulty("target-neighbours")
def data_of_another_sample(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1[torch.randperm(len(x1))] - eps)


@faulty("not-affine", "value-gradient")
def weight_by_the_own_error(model, x1):
    """A focal weight: samples that are far off count more."""
    t, _, xt, eps = flow(x1)
    error = per_sample(model(xt, t) - (x1 - eps))
    return (error.detach() * error).mean()
