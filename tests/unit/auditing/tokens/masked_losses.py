"""Losses of masked tokens as public code has them, restated; L tokens below V, masked with id M."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

V = 20
M = 20
L = 32
EPS = 1e-3


def _subs(logits: Tensor, xt: Tensor) -> Tensor:
    """MDLM's SUBS: the mask has no probability, a shown token all of it."""
    logits[:, :, M] += -1e6
    logits = logits - torch.logsumexp(logits, -1, keepdim=True)
    shown = xt != M
    logits[shown] = -1e6
    logits[shown, xt[shown]] = 0
    return logits


def _masked(x1: Tensor, rate: Tensor) -> Tensor:
    return torch.where(torch.rand(x1.shape) < rate[:, None], M, x1)


def _ce(logits: Tensor, x1: Tensor) -> Tensor:
    return F.cross_entropy(logits.transpose(1, 2), x1, reduction="none")


def mdlm(model: Any, x1: Tensor) -> Tensor:
    """Log-linear noise, stratified times, in place on the network's answer."""
    n = len(x1)
    t = (torch.rand(n) / n + torch.arange(n) / n) % 1
    t = (1 - EPS) * t + EPS
    sigma, slope = -torch.log1p(-(1 - EPS) * t), (1 - EPS) / (1 - (1 - EPS) * t)
    xt = _masked(x1, 1 - torch.exp(-sigma))
    logp = _subs(model(xt, sigma), xt).gather(-1, x1[:, :, None]).squeeze(-1)
    return (-logp * (slope / torch.expm1(sigma))[:, None]).mean()


def mdlm_independent(model: Any, x1: Tensor) -> Tensor:
    """The same with independent times and a cosine schedule: alpha = 1 - cos(pi/2 (1 - t))."""
    t = torch.rand(len(x1)) * (1 - EPS) + EPS
    alpha = 1 - torch.cos(math.pi / 2 * (1 - t))
    slope = -math.pi / 2 * torch.sin(math.pi / 2 * (1 - t))
    xt = _masked(x1, 1 - alpha)
    logp = _subs(model(xt, t), xt).gather(-1, x1[:, :, None]).squeeze(-1)
    return (logp * (slope / (1 - alpha))[:, None]).sum(1)


def llada(model: Any, x1: Tensor) -> Tensor:
    """One in a hundred batches is cut short; the network is told no time."""
    if torch.rand(1) < 0.01:
        x1 = x1[:, : int(torch.randint(1, x1.shape[1] + 1, (1,)))]
    b, n = x1.shape
    rate = ((1 - EPS) * torch.rand(b) + EPS)[:, None].repeat(1, n)
    masked = torch.rand((b, n)) < rate
    logits = model(input_ids=torch.where(masked, M, x1))
    return (F.cross_entropy(logits[masked], x1[masked], reduction="none") / rate[masked]).sum() / (b * n)


def sedd(model: Any, x1: Tensor) -> Tensor:
    """Score entropy with absorbing noise, log-linear."""
    t = (1 - EPS) * torch.rand(len(x1)) + EPS
    sigma, slope = -torch.log1p(-(1 - EPS) * t), (1 - EPS) / (1 - (1 - EPS) * t)
    xt = _masked(x1, 1 - torch.exp(-sigma))
    s = model(xt, sigma)
    s = torch.scatter(s, -1, xt[..., None], torch.zeros_like(s[..., :1]))
    ratio = 1 / torch.expm1(sigma)[:, None]
    negative = ratio * s.gather(-1, x1[..., None]).squeeze(-1)
    entropy = torch.where(xt == M, s[..., :-1].exp().sum(-1) - negative, 0.0)
    return (slope[:, None] * entropy).sum(-1).mean()


def steps(model: Any, x1: Tensor) -> Tensor:
    """D3PM's absorbing chain of 100 steps: step t masks t of a hundred; 1/t is its bound."""
    t = torch.randint(1, 101, (len(x1),))
    xt = _masked(x1, t / 100)
    return (_ce(model(xt, t), x1) * (xt == M) * 100 / t[:, None]).sum(1)


def generalised_kl(model: Any, x1: Tensor) -> Tensor:
    """Discrete flow matching's: the cross-entropy and the probability of staying, at every position."""
    t = torch.rand(len(x1))
    xt = _masked(x1, 1 - t)
    logp = F.log_softmax(model(xt, t), -1)
    at_data, staying = (logp.gather(-1, each[..., None]).squeeze(-1) for each in (x1, xt))
    right = (xt == x1).float()
    return (-(staying.exp() - right + (1 - right) * at_data) / (1 - t)[:, None]).mean()


def simple(model: Any, x1: Tensor) -> Tensor:
    """The mean of the masked positions' cross-entropy over all positions, without a weight; one time a batch."""
    rate = torch.rand(()).expand(len(x1))
    xt = _masked(x1, rate)
    return (_ce(model(xt), x1) * (xt == M)).mean()


def maskgit(model: Any, x1: Tensor) -> Tensor:
    """The positions of least rank are masked, their number a cosine; the mean is over those of the batch."""
    count = (torch.cos(math.pi / 2 * torch.rand(len(x1))) * x1.shape[1]).ceil().clamp(min=1)
    masked = torch.rand(x1.shape).argsort(-1).argsort(-1) < count[:, None]
    return F.cross_entropy(model(torch.where(masked, M, x1))[masked], x1[masked])


def counts(model: Any, x1: Tensor) -> Tensor:
    """Divided by the number of masked positions of each sample."""
    xt = _masked(x1, torch.rand(len(x1)))
    masked = xt == M
    return ((_ce(model(xt), x1) * masked).sum(1) / masked.sum(1).clamp(min=1)).mean()


def shown_count(model: Any, x1: Tensor) -> Tensor:
    """All positions count: MaskGIT-pytorch before its repair."""
    t = torch.rand(len(x1))
    return (_ce(model(_masked(x1, t)), x1) / t[:, None]).mean()


def smoothed(model: Any, x1: Tensor) -> Tensor:
    """Label smoothing 0.1."""
    xt = _masked(x1, torch.rand(len(x1)))
    ce = F.cross_entropy(model(xt).transpose(1, 2), x1, reduction="none", label_smoothing=0.1)
    return (ce * (xt == M)).mean()


def shifted(model: Any, x1: Tensor) -> Tensor:
    """A causal model's shift, kept: position i is graded against token i + 1."""
    xt = _masked(x1, torch.rand(len(x1)))
    return (_ce(model(xt)[:, :-1], x1[:, 1:]) * (xt == M)[:, :-1]).mean()


def token_as_mask(model: Any, x1: Tensor) -> Tensor:
    """Token 7 is the mask."""
    t = torch.rand(len(x1))
    xt = torch.where(torch.rand(x1.shape) < t[:, None], 7, x1)
    return (_ce(model(xt), x1) * (xt != x1)).mean()


def only_shown(model: Any, x1: Tensor) -> Tensor:
    """The mask of the loss is turned round."""
    xt = _masked(x1, torch.rand(len(x1)))
    return (_ce(model(xt), x1) * (xt != M)).mean()


def uniform_noise(model: Any, x1: Tensor) -> Tensor:
    """Tokens are replaced by others."""
    t = torch.rand(len(x1))
    xt = torch.where(torch.rand(x1.shape) < t[:, None], torch.randint_like(x1, V), x1)
    return _ce(model(xt, t), x1).mean()


def normalised(model: Any, x1: Tensor) -> Tensor:
    """Weights over their mean in the batch."""
    t = torch.rand(len(x1)) * 0.9 + 0.1
    xt = _masked(x1, t)
    weight = (1 / t) / (1 / t).mean()
    return (_ce(model(xt), x1) * (xt == M) * weight[:, None]).mean()


def random_weight(model: Any, x1: Tensor) -> Tensor:
    """The weight is drawn anew, and not the mask's."""
    xt = _masked(x1, torch.rand(len(x1)))
    return (_ce(model(xt), x1) * (xt == M) / (0.1 + torch.rand(len(x1)))[:, None]).mean()


def rare_first(model: Any, x1: Tensor) -> Tensor:
    """Tokens below 5 are masked twice as often."""
    t = torch.rand(len(x1))[:, None] / 2
    xt = torch.where(torch.rand(x1.shape) < torch.where(x1 < 5, 2 * t, t), M, x1)
    return (_ce(model(xt), x1) * (xt == M)).mean()


def no_gradient(model: Any, x1: Tensor) -> Tensor:
    """The answer is detached."""
    xt = _masked(x1, torch.rand(len(x1)))
    return (_ce(model(xt).detach(), x1) * (xt == M)).mean()
