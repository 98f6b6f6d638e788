"""Right losses whose draws are unusual: other generators, draws that hang together, coins, laws without quantiles."""

from __future__ import annotations

import math
import random

import numpy as np
import torch
from losses.restated_chains import STEPS, linear_table, noised
from losses.restated_tokens import surprise
from losses.stated import MASK, by_level
from losses.unusual import unusual
from torch import nn
from torch.nn.functional import mse_loss


@unusual(path="VP", target="eps")
def numpy_draws_the_steps(model, x1):
    """guided-diffusion: numpy's global generator and choice with probabilities."""
    t = torch.from_numpy(np.random.choice(STEPS, size=(len(x1),), p=np.ones(STEPS) / STEPS)).long()  # noqa: NPY002
    xt, _, _, eps = noised(x1, linear_table, t)
    error = (model(xt, t) - eps).square().flatten(1).mean(1)
    return {"mse": error.detach(), "loss": error}


@unusual()
def numpy_draws_the_times(model, x1):
    t = torch.as_tensor(np.random.rand(len(x1)), dtype=x1.dtype)  # noqa: NPY002
    s, eps = by_level(t, x1), torch.randn_like(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def antithetic_times(model, x1):
    u = torch.rand(len(x1) // 2)
    t = torch.cat([u, 1 - u])
    s, eps = by_level(t, x1), torch.randn_like(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def antithetic_noise(model, x1):
    """The second half of the batch has the noise of the first, turned."""
    t, half = torch.rand(len(x1)), torch.randn_like(x1[: len(x1) // 2])
    eps, s = torch.cat([half, -half]), by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def flipped_at_random(model, x1):
    """A left-right flip with one half, in the loss."""
    flip = by_level(torch.rand(len(x1)) < 0.5, x1)
    x1 = torch.where(flip, x1.flip(3), x1)
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


GENERATOR = torch.Generator().manual_seed(7)


@unusual()
def generator_of_its_own(model, x1):
    """Never seeded again: what it gives is on the tape."""
    t = torch.rand(len(x1), generator=GENERATOR)
    eps = torch.randn(x1.shape, generator=GENERATOR)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def generator_seeded_by_the_global_one(model, x1):
    """Made at each call, and other draws at each."""
    generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    t = torch.rand(len(x1), generator=generator)
    eps = torch.randn(x1.shape, generator=generator)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def generator_seeded_by_the_data(model, x1):
    """Other data have other draws."""
    generator = torch.Generator().manual_seed(int(1e6 * x1.abs().mean()))
    t = torch.rand(len(x1), generator=generator)
    s, eps = by_level(t, x1), torch.randn(x1.shape, generator=generator)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def labels_dropped_at_random(model, x1):
    labels = torch.randint(0, 10, (len(x1),))
    labels = torch.where(torch.rand(len(x1)) < 0.1, 10, labels)
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t, labels), x1 - eps)


@unusual(path="VP", target="eps")
def self_conditioning(model, x1):
    """Chen et al. 2023: in half of the batches the network gets its own answer, detached."""
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    guess = torch.zeros_like(x1)
    if torch.rand(()) < 0.5:
        with torch.no_grad():
            guess = ((xt - sigma * model(xt, t, guess)) / alpha).clamp(-1, 1)
    return mse_loss(model(xt, t, guess), eps)


@unusual()
def distribution_objects(model, x1):
    t = torch.distributions.Uniform(0.0, 1.0).sample((len(x1),))
    eps = torch.distributions.Normal(0.0, 1.0).sample(x1.shape)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def beta_distribution(model, x1):
    """Beta(1.5, 1) by torch's own sampler, whose quantiles cannot be set."""
    t = torch.distributions.Beta(1.0, 1.5).sample((len(x1),))
    eps = torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual(path="VP", target="eps")
def importance_sampled_steps(model, x1):
    """Steps drawn by weights, the loss divided by them: the objective of uniform steps."""
    weights = torch.linspace(1, 3, STEPS)
    weights = weights / weights.sum()
    t = torch.multinomial(weights, len(x1), replacement=True)
    xt, _, _, eps = noised(x1, linear_table, t)
    error = (model(xt, t) - eps).square().flatten(1).mean(1)
    return (error / (STEPS * weights[t])).mean()


@unusual()
def dropout_on_the_condition(model, x1):
    text = torch.nn.functional.dropout(torch.ones(len(x1), 8), 0.1)
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t, context=text), x1 - eps)


@unusual(target="x1", tokens=True)
def tokens_one_rate_for_a_batch_of_numpy(model, x1):
    """The rates of a batch come from numpy's global generator."""
    rate = torch.as_tensor(np.random.uniform(0.01, 1.0, len(x1)), dtype=torch.float32)  # noqa: NPY002
    hidden = torch.rand(x1.shape) < rate[:, None]
    zt = torch.where(hidden, torch.full_like(x1, MASK), x1)
    return (surprise(model(zt), x1, hidden) / rate).mean() / math.log(2)


@unusual(target="x1", tokens=True)
def tokens_by_bernoulli(model, x1):
    rate = 0.01 + 0.99 * torch.rand(len(x1), 1)
    hidden = torch.bernoulli(rate.expand(x1.shape)).bool()
    zt = x1.clone()
    zt[hidden] = MASK
    logits = model(zt, rate[:, 0])
    logits[..., MASK] = -torch.inf
    each = nn.functional.cross_entropy(logits.transpose(1, 2), x1, reduction="none")
    return {"loss": (each * hidden / rate).sum() / x1.numel()}


@unusual()
def flipped_by_python(model, x1):
    """One coin of the standard library for the whole batch."""
    if random.random() < 0.5:
        x1 = x1.flip(3)
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def times_of_the_standard_library(model, x1):
    t = torch.tensor([random.random() for _ in range(len(x1))], dtype=x1.dtype)
    s, eps = by_level(t, x1), torch.randn_like(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def numpy_draws_the_noise(model, x1):
    t = torch.rand(len(x1))
    s, eps = by_level(t, x1), torch.as_tensor(np.random.standard_normal(x1.shape), dtype=x1.dtype)  # noqa: NPY002
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def a_bin_and_a_place_in_it(model, x1):
    """Two draws make a time: one of ten bins, and a place in the bin."""
    t = (torch.randint(0, 10, (len(x1),)) + torch.rand(len(x1))) / 10
    s, eps = by_level(t, x1), torch.randn_like(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def times_in_order(model, x1):
    t = torch.rand(len(x1)).sort().values
    s, eps = by_level(t, x1), torch.randn_like(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)
