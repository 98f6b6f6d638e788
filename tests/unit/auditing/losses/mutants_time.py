"""Bugs in time and path: what the network is told, shifts, reversals, wrong powers of alpha; noise of odd laws."""

from __future__ import annotations

import math

import torch
from losses.faulty import faulty
from losses.mutants_target import flow
from losses.restated_chains import STEPS, linear_table, noised
from losses.restated_diffusion import cosine_draw
from losses.stated import by_level
from torch.nn.functional import avg_pool2d, interpolate, mse_loss


def euler(model, n, shape=(3, 4, 4), steps=100, told=lambda t: t):
    """Follows dx = v dt from the noise at t = 0 to the data."""
    x = torch.randn(n, *shape)
    for index in range(steps):
        t = torch.full((n,), index / steps)
        x = x + model(x, told(t)) / steps
    return x


@faulty("time-not-level")
def fresh_time_told(model, x1):
    _, _, xt, eps = flow(x1)
    return mse_loss(model(xt, torch.rand(len(x1))), x1 - eps)


@faulty("time-not-level")
def times_sorted_for_the_network(model, x1):
    """Sorted times are told, the states keep their own."""
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t[torch.randperm(len(t))]), x1 - eps)


@faulty("time-constant", "not-velocity")
def time_forgotten(model, x1):
    """Zeros are told: a note, for a network need not know the level."""
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, torch.zeros_like(t)), x1 - eps)


@faulty("time-scaled")
def time_of_a_thousand(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, 1000 * t), x1 - eps)


@faulty("one-time-a-batch")
def one_time_for_all(model, x1):
    t, eps = torch.rand(1), torch.randn_like(x1)
    return mse_loss(model(t * x1 + (1 - t) * eps, t.expand(len(x1))), x1 - eps)


@faulty("time-shift", "not-velocity")
def shift_not_told(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    moved = by_level(t / (t + 3 * (1 - t)), x1)
    return mse_loss(model(moved * x1 + (1 - moved) * eps, t), x1 - eps)


@faulty("time-reversed")
def reversed_time_told(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, 1 - t), x1 - eps)


@faulty("sampler-mismatch", "time-reversed", sampler=euler)
def reversed_time_and_the_sampler_not(model, x1):
    return reversed_time_told(model, x1)


@faulty("sampler-mismatch", sampler=lambda model, n: euler(lambda x, t: -model(x, t), n))
def sampler_with_the_sign_turned(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1 - eps)


@faulty("sampler-mismatch", sampler=euler)
def data_predicted_velocity_sampled(model, x1):
    t, _, xt, _ = flow(x1)
    return mse_loss(model(xt, t), x1)


@faulty("path-unnamed", "target-degenerate", "not-velocity")
def root_forgotten_on_the_data(model, x1):
    """alpha squared for alpha."""
    t = torch.randint(0, STEPS, (len(x1),))
    bars, eps = torch.as_tensor(linear_table()).float()[t], torch.randn_like(x1)
    return mse_loss(model(by_level(bars, x1) * x1 + by_level((1 - bars).sqrt(), x1) * eps, t), eps)


@faulty("path-unnamed")
def root_forgotten_on_the_noise(model, x1):
    """1 - alpha² for its root: as on the sub-VP path, which has no such steps."""
    t = torch.randint(0, STEPS, (len(x1),))
    bars, eps = torch.as_tensor(linear_table()).float()[t], torch.randn_like(x1)
    return mse_loss(model(by_level(bars.sqrt(), x1) * x1 + by_level(1 - bars, x1) * eps, t), eps)


@faulty("not-as-stated", expect={"weighting": "uniform", "path": "linear", "time": "logit_normal"})
def uniform_for_logit_normal(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1 - eps)


@faulty("not-as-stated", expect={"weighting": "elbo", "path": "cosine"})
def slope_of_the_log_snr_forgotten(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1, 0.01)
    return mse_loss(model(alpha * x1 + sigma * eps, s), eps)


@faulty("levels-inside")
def a_level_a_row(model, x1):
    """Diffusion forcing: a time of its own for each row."""
    t, eps = torch.rand(len(x1), 1, x1.shape[2], 1), torch.randn_like(x1)
    return mse_loss(model(t * x1 + (1 - t) * eps, t.flatten(1)), x1 - eps)


@faulty("state-not-linear")
def state_clamped(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt.clamp(-1, 1), t), x1 - eps)


@faulty("state-not-linear")
def state_squashed(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(torch.tanh(xt), t), x1 - eps)


@faulty("noise-shared")
def one_noise_for_the_batch(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1[0])
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@faulty("noise-law")
def uniform_noise(model, x1):
    t, eps = torch.rand(len(x1)), torch.rand_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@faulty("offset-noise", "more-noise")
def offset_noise_in_the_state(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    source = eps + 0.1 * torch.randn(*x1.shape[:2], 1, 1)
    return mse_loss(model(s * x1 + (1 - s) * source, t), x1 - eps)


@faulty("more-noise")
def input_perturbed(model, x1):
    """Ning et al. 2023: a tenth of further noise in the input."""
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, sigma, eps = noised(x1, linear_table, t)
    return mse_loss(model(xt + 0.1 * sigma * torch.randn_like(x1), t), eps)


@faulty("no-noise", "path-unnamed", "target-unnamed")
def blurred_without_noise(model, x1):
    """Bansal et al. 2022: from the image to its blur."""
    t = torch.rand(len(x1))
    s = by_level(t, x1)
    blur = interpolate(avg_pool2d(x1, 2), scale_factor=2)
    return mse_loss(model((1 - s) * x1 + s * blur, t), x1)


@faulty("not-as-stated", expect={"weighting": "expr:1", "on": "eps", "path": "cosine"})
def angle_of_a_quarter(model, x1):
    """pi/4 for pi/2."""
    s, eps = torch.rand(len(x1)), torch.randn_like(x1)
    angle = by_level(s, x1) * math.pi / 4
    return mse_loss(model(angle.cos() * x1 + angle.sin() * eps, s), eps)


@faulty("levels-inside")
def times_along_the_width(model, x1):
    """A dimension too few: the times of a batch of four meet the four columns of an image."""
    t, eps = torch.rand(x1.shape[-1]), torch.randn_like(x1)
    return mse_loss(model(t * x1 + (1 - t) * eps, t.mean().expand(len(x1))), x1 - eps)


@faulty("path-unnamed", "target-degenerate")
def alpha_of_the_step_before(model, x1):
    t = torch.randint(1, STEPS, (len(x1),))
    bars, eps = torch.as_tensor(linear_table()).float(), torch.randn_like(x1)
    alpha, sigma = by_level(bars[t - 1].sqrt(), x1), by_level((1 - bars[t]).sqrt(), x1)
    return mse_loss(model(alpha * x1 + sigma * eps, t), eps)


@faulty("time-constant")
def whole_division_of_the_step(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return mse_loss(model(xt, t // STEPS), eps)


@faulty("time-reversed")
def negated_time_told(model, x1):
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, -t), x1 - eps)


@faulty("path-unnamed", "not-velocity", "target-degenerate")
def noise_forgotten_by_half(model, x1):
    """The source of the state is eps/2, that of the target eps."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * 0.5 * eps, t), x1 - eps)


@faulty("path-unnamed", "time-shift", "not-velocity")
def square_on_the_noise(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) ** 2 * eps, t), x1 - eps)


@faulty("offset-noise")
def one_number_of_noise_a_sample(model, x1):
    """randn(len(x1), 1, 1, 1) for randn_like(x1)."""
    t, eps = torch.rand(len(x1)), torch.randn(len(x1), 1, 1, 1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), (x1 - eps).expand_as(x1))


@faulty("draws-repeated")
def seeded_inside(model, x1):
    """Each step has the same times and the same noise."""
    torch.manual_seed(0)
    t, _, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1 - eps)


@faulty("draws-repeated")
def generator_seeded_at_each_call(model, x1):
    """The noise is the same at each step, the times are not."""
    generator = torch.Generator().manual_seed(42)
    eps, t = torch.randn(x1.shape, generator=generator), torch.rand(len(x1))
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)
