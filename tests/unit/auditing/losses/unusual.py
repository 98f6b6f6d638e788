"""Right losses of unusual shape: an audit accuses none, and asks nothing beyond what is listed with a reason."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from losses.restated_chains import STEPS, linear_table, noised
from losses.restated_karras import karras
from losses.restated_tokens import surprise
from losses.stated import MASK, by_level
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Unusual:
    """`questions` may be asked, by their ids, for the reasons given."""

    key: str
    loss: Callable[..., Any]
    questions: dict[str, str] = field(default_factory=dict)
    tokens: bool = False
    options: dict[str, Any] = field(default_factory=dict)


UNUSUAL: dict[str, Unusual] = {}


def unusual(**facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts the loss into the catalogue under its own name."""

    def put(loss: Callable[..., Any]) -> Callable[..., Any]:
        UNUSUAL[loss.__name__] = Unusual(loss.__name__, loss, **facts)
        return loss

    return put


@unusual()
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
def in_place_throughout(model, x1):
    t, eps = torch.rand(len(x1)), torch.empty_like(x1).normal_()
    xt = x1.clone().mul_(by_level(t, x1)).addcmul_(by_level(1 - t, x1), eps)
    error = model(xt, t)
    error.sub_(x1).add_(eps)
    return error.pow_(2).mean()


@unusual()
def bfloat16_states(model, x1):
    t = torch.rand(len(x1))
    s, eps = by_level(t, x1), torch.randn_like(x1)
    xt = (s * x1 + (1 - s) * eps).bfloat16()
    return mse_loss(model(xt, t).float(), x1 - eps)


@unusual()
def bfloat16_latents(model, x1):
    """Everything but the final error in bfloat16."""
    latents = x1.to(torch.bfloat16)
    noise = torch.randn_like(latents)
    u = torch.normal(mean=0.0, std=1.0, size=(len(x1),)).sigmoid()
    sigmas = by_level(u, x1).to(torch.bfloat16)
    noisy = (1 - sigmas) * latents + sigmas * noise
    prediction = model(noisy, (sigmas.flatten() * 1000))
    return ((prediction.float() - (noise - latents).float()) ** 2).flatten(1).mean(1).mean()


@unusual()
def a_dictionary_of_losses(model, x1):
    t = torch.rand(len(x1))
    s, eps = by_level(t, x1), torch.randn_like(x1)
    error = (model(s * x1 + (1 - s) * eps, t) - (x1 - eps)) ** 2
    return {"loss": error.flatten(1).mean(1), "largest": error.max(), "t": t}


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
def under_autocast(model, x1):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        t, eps = torch.rand(len(x1)), torch.randn_like(x1)
        s = by_level(t, x1)
        prediction = model(s * x1 + (1 - s) * eps, t)
        return mse_loss(prediction.float(), (x1 - eps).float())


@unusual()
def tables_of_numpy(model, x1):
    """Tables as arrays in double precision, read at the steps and then cast."""
    table = np.sqrt(linear_table()), np.sqrt(1 - linear_table())
    t = torch.randint(0, STEPS, (len(x1),))
    alpha, sigma = (torch.from_numpy(each)[t].float().view(-1, 1, 1, 1).expand(x1.shape) for each in table)
    eps = torch.randn_like(x1)
    return (eps - model(alpha * x1 + sigma * eps, t)).square().mean((1, 2, 3))


@unusual()
def gradient_checkpointed(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    velocity = checkpoint(lambda x, level: 1.0 * model(x, level), s * x1 + (1 - s) * eps, t, use_reentrant=False)
    return mse_loss(velocity, x1 - eps)


@unusual()
def times_of_four_dimensions(model, x1):
    t = torch.rand(x1.shape[0], 1, 1, 1)
    eps = torch.randn_like(x1)
    return mse_loss(model(t * x1 + (1 - t) * eps, t), x1 - eps)


@unusual()
def doubles_inside(model, x1):
    """Everything in double precision, the network in single."""
    x1 = x1.double()
    t, eps = torch.rand(len(x1), dtype=torch.float64), torch.randn_like(x1)
    s = by_level(t, x1)
    velocity = model((s * x1 + (1 - s) * eps).float(), t.float()).double()
    return mse_loss(velocity, x1 - eps)


@unusual()
def a_tuple_returned(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    loss = mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)
    return loss, {"grad_norm": 0.0}


@unusual()
def backward_inside(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps).backward()


@unusual()
def accumulated_backward(model, x1):
    """A few samples at a time, each part's gradient taken inside; every sample has a call of its own."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    prediction = model(s * x1 + (1 - s) * eps, t)
    parts = [mse_loss(p, y) / 4 for p, y in zip(prediction.chunk(4), (x1 - eps).chunk(4), strict=True)]
    sum(parts).backward()
    return sum(parts).detach()


@unusual()
def arguments_by_name(model, x1):
    t, noise = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    prediction = model(
        hidden_states=(1 - s) * x1 + s * noise, timestep=t * 1000, encoder_hidden_states=None, return_dict=False
    )
    return mse_loss(prediction, noise - x1)


@unusual()
def namespace_returned(model, x1):
    """A network that answers an object with `.sample`, a loss that returns one with `.loss`."""

    def unet(x, t):
        return SimpleNamespace(sample=model(x, t))

    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return SimpleNamespace(loss=mse_loss(unet(xt, t).sample, eps))


@unusual()
def labels_dropped_at_random(model, x1):
    labels = torch.randint(0, 10, (len(x1),))
    labels = torch.where(torch.rand(len(x1)) < 0.1, 10, labels)
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t, labels), x1 - eps)


@unusual()
def self_conditioning(model, x1):
    """Chen et al. 2023: in half of the batches the network gets its own answer, detached."""
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    guess = torch.zeros_like(x1)
    if torch.rand(()) < 0.5:
        with torch.no_grad():
            guess = ((xt - sigma * model(xt, t, guess)) / alpha).clamp(-1, 1)
    return mse_loss(model(xt, t, guess), eps)


@unusual(options={"data": (0.0, 1.0)})
def data_of_the_unit_interval(model, x1):
    """Images in [0, 1] are brought to [-1, 1] in the loss."""
    x1 = 2 * x1 - 1
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return mse_loss(model(xt, t), eps)


@unusual()
def latents_scaled(model, x1):
    latents = 0.18215 * x1
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(latents, linear_table, t)
    return mse_loss(model(xt, t), eps)


@unusual()
def vmapped_error(model, x1):
    """The network's answer is compared sample by sample under vmap."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    answer = model(s * x1 + (1 - s) * eps, t)
    return torch.vmap(lambda p, y: (p - y).square().mean())(answer, x1 - eps).mean()


@unusual()
def a_module_around_the_network(model, x1):
    """The preconditioned network is a module that is built once and owns the probe."""
    return karras(preconditioned(model), x1).mean()


@functools.lru_cache(1)
def preconditioned(model):
    class Precond(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, sigma):
            total = sigma**2 + 0.25
            inner = self.model(x / total.sqrt(), (sigma.log() / 4).flatten(), class_labels=None)
            return 0.25 * x / total + 0.5 * sigma / total.sqrt() * inner

    return Precond()


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


@unusual()
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


@unusual()
def state_among_further_channels(model, x1):
    """Inpainting: the masked image and the mask are concatenated to the state."""
    hole = torch.rand(len(x1), 1, *x1.shape[2:]).round()
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return mse_loss(model(torch.cat([xt, hole, x1 * (1 - hole)], 1), t), eps)


@unusual()
def angles_of_the_path(model, x1):
    """TrigFlow: the time is the angle, the target its derivative, sigma_data = 1."""
    angle = torch.atan(torch.exp(torch.randn(len(x1)) * 1.6 - 1.0))
    a, z = by_level(angle, x1), torch.randn_like(x1)
    xt = a.cos() * x1 + a.sin() * z
    return (model(xt, angle) - (a.cos() * z - a.sin() * x1)).square().mean()


@unusual(tokens=True)
def tokens_one_rate_for_a_batch_of_numpy(model, x1):
    """The rates of a batch come from numpy's global generator."""
    rate = torch.as_tensor(np.random.uniform(0.01, 1.0, len(x1)), dtype=torch.float32)  # noqa: NPY002
    hidden = torch.rand(x1.shape) < rate[:, None]
    zt = torch.where(hidden, torch.full_like(x1, MASK), x1)
    return (surprise(model(zt), x1, hidden) / rate).mean() / math.log(2)


@unusual(tokens=True)
def tokens_by_bernoulli(model, x1):
    rate = 0.01 + 0.99 * torch.rand(len(x1), 1)
    hidden = torch.bernoulli(rate.expand(x1.shape)).bool()
    zt = x1.clone()
    zt[hidden] = MASK
    logits = model(zt, rate[:, 0])
    logits[..., MASK] = -torch.inf
    each = nn.functional.cross_entropy(logits.transpose(1, 2), x1, reduction="none")
    return {"loss": (each * hidden / rate).sum() / x1.numel()}
