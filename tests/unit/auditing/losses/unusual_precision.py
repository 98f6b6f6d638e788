"""Right losses in short or mixed formats: states, answers, targets and the loss itself in half precision."""

from __future__ import annotations

import torch
from losses.stated import by_level
from losses.unusual import unusual
from torch.nn.functional import mse_loss


def flow(x1):
    """Levels, noise and state of flow matching."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return t, eps, s * x1 + (1 - s) * eps


@unusual()
def bfloat16_states(model, x1):
    t = torch.rand(len(x1))
    s, eps = by_level(t, x1), torch.randn_like(x1)
    xt = (s * x1 + (1 - s) * eps).bfloat16()
    return mse_loss(model(xt, t).float(), x1 - eps)


@unusual(target="eps - x1")
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
def under_autocast(model, x1):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        t, eps = torch.rand(len(x1)), torch.randn_like(x1)
        s = by_level(t, x1)
        prediction = model(s * x1 + (1 - s) * eps, t)
        return mse_loss(prediction.float(), (x1 - eps).float())


@unusual()
def doubles_inside(model, x1):
    """Everything in double precision, the network in single."""
    x1 = x1.double()
    t, eps = torch.rand(len(x1), dtype=torch.float64), torch.randn_like(x1)
    s = by_level(t, x1)
    velocity = model((s * x1 + (1 - s) * eps).float(), t.float()).double()
    return mse_loss(velocity, x1 - eps)


@unusual()
def scaled_for_half_precision(model, x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return 65536.0 * mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@unusual()
def bfloat16_loss(model, x1):
    """The error and its mean in bfloat16, and no cast back."""
    t, eps, xt = flow(x1)
    return mse_loss(model(xt, t).bfloat16(), (x1 - eps).bfloat16())


@unusual()
def float16_loss(model, x1):
    """The error and its mean in float16, and no cast back."""
    t, eps, xt = flow(x1)
    return (model(xt, t).half() - (x1 - eps).half()).square().mean()


@unusual()
def bfloat16_loss_a_sample(model, x1):
    """A sum and a mean, each rounded, and cast back at the end alone."""
    t, eps, xt = flow(x1)
    error = (model(xt, t).bfloat16() - (x1 - eps).bfloat16()).square()
    return error.flatten(1).sum(1).mean().float()


@unusual()
def bfloat16_loss_in_a_hole(model, x1):
    """A mask moves the rounding of the loss, and nothing else."""
    hole = (torch.rand(len(x1), 1, *x1.shape[2:]) < 0.5).bfloat16()
    t, eps, xt = flow(x1)
    error = (model(xt, t, mask=hole).bfloat16() - (x1 - eps).bfloat16()).square() * hole
    return error.sum((1, 2, 3)).mean() / x1[0].numel()
