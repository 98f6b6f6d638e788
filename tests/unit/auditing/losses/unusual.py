"""Right losses of unusual shape: an audit accuses none, and asks nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from losses.restated_chains import STEPS, linear_table, noised
from losses.restated_karras import karras
from losses.stated import by_level
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Unusual:
    """`path` and `target` are the names that must come out."""

    key: str
    loss: Callable[..., Any]
    path: str = "linear"
    target: str = "x1 - eps"
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
def in_place_throughout(model, x1):
    t, eps = torch.rand(len(x1)), torch.empty_like(x1).normal_()
    xt = x1.clone().mul_(by_level(t, x1)).addcmul_(by_level(1 - t, x1), eps)
    error = model(xt, t)
    error.sub_(x1).add_(eps)
    return error.pow_(2).mean()


@unusual()
def a_dictionary_of_losses(model, x1):
    t = torch.rand(len(x1))
    s, eps = by_level(t, x1), torch.randn_like(x1)
    error = (model(s * x1 + (1 - s) * eps, t) - (x1 - eps)) ** 2
    return {"loss": error.flatten(1).mean(1), "largest": error.max(), "t": t}


@unusual(path="VP", target="eps")
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


@unusual(target="eps - x1")
def arguments_by_name(model, x1):
    t, noise = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    prediction = model(
        hidden_states=(1 - s) * x1 + s * noise, timestep=t * 1000, encoder_hidden_states=None, return_dict=False
    )
    return mse_loss(prediction, noise - x1)


@unusual(path="VP", target="eps")
def namespace_returned(model, x1):
    """A network that answers an object with `.sample`, a loss that returns one with `.loss`."""

    def unet(x, t):
        return SimpleNamespace(sample=model(x, t))

    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return SimpleNamespace(loss=mse_loss(unet(xt, t).sample, eps))


@unusual(path="VP", target="eps", options={"data": (0.0, 1.0)})
def data_of_the_unit_interval(model, x1):
    """Images in [0, 1] are brought to [-1, 1] in the loss."""
    x1 = 2 * x1 - 1
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return mse_loss(model(xt, t), eps)


@unusual(path="VE, scaled by 1/sqrt(sigma² + 5.49²)", target="eps")
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


@unusual(path="VE, scaled by 1/sqrt(sigma² + 0.5²)", target="EDM's F, sigma_data 0.5")
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


@unusual(path="VP", target="eps")
def state_among_further_channels(model, x1):
    """Inpainting: the masked image and the mask are concatenated to the state."""
    hole = torch.rand(len(x1), 1, *x1.shape[2:]).round()
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return mse_loss(model(torch.cat([xt, hole, x1 * (1 - hole)], 1), t), eps)


@unusual(path="VP", target="v = A eps - B x1")
def angles_of_the_path(model, x1):
    """TrigFlow: the time is the angle, the target its derivative, sigma_data = 1."""
    angle = torch.atan(torch.exp(torch.randn(len(x1)) * 1.6 - 1.0))
    a, z = by_level(angle, x1), torch.randn_like(x1)
    xt = a.cos() * x1 + a.sin() * z
    return (model(xt, angle) - (a.cos() * z - a.sin() * x1)).square().mean()


@unusual()
def graded_where_a_mask_says(model, x1):
    """Inpainting: the network gets the mask, and the error counts in the hole, divided by its size."""
    hole = (torch.rand(len(x1), 1, *x1.shape[2:]) < 0.5).float()
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    error = (model(s * x1 + (1 - s) * eps, t, mask=hole) - (x1 - eps)) ** 2 * hole
    return (error.sum((1, 2, 3)) / hole.sum((1, 2, 3)).clamp(min=1)).mean()


@unusual(path="VP", target="eps")
def channels_standardised(model, x1):
    """Each channel by constants of the data set, at the cost of a scale that the audit cannot know."""
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in ([0.1, 0.0, -0.1], [0.9, 1.0, 1.1]))
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised((x1 - mean) / std, linear_table, t)
    return mse_loss(model(xt, t), eps)


@unusual()
def in_patches(model, x1):
    """The network is given and answers 2 x 2 patches in a row."""

    def patches(x):
        return x.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(patches(s * x1 + (1 - s) * eps), t), patches(x1 - eps))
