"""Masked tokens: MDLM, MD4, LLaDA, MaskGIT, SEDD on the absorbing chain, and weights on the cross-entropy.

Losses are called with (B, L) token ids below VOCABULARY, the mask being MASK; answers are logits of VOCABULARY + 1 ids.

Where times keep off both ends, no sentence is masked as far as the noise end of the path: there the weight is zero, and
rises from it, so that what is a bound on the whole path is none here. Those that start at 0.001 of the data alone are.
"""

from __future__ import annotations

import math

import torch
from losses.stated import MASK, stated
from torch.nn.functional import cross_entropy


def corrupted(x1, rate):
    """Each token masked with its sample's rate; the tokens and where they are masked."""
    hidden = torch.rand(x1.shape) < rate[:, None]
    return x1.masked_fill(hidden, MASK), hidden


def surprise(logits, x1, hidden):
    """The total cross-entropy of the masked tokens of each sample; the mask itself is no answer."""
    logits = logits.index_fill(-1, torch.tensor([MASK]), -torch.inf)
    each = -logits.log_softmax(-1).gather(-1, x1[..., None])[..., 0]
    return (each * hidden).sum(1)


def shares(rate):
    return lambda tau: (1 - rate(tau), rate(tau))


@stated("expr:1/(1 - t)", "ce", time="expr:0.999*u")
def mdlm(model, x1):
    """Sahoo et al. 2024, log-linear noise: 1/t on the cross-entropy."""
    t = 0.001 + 0.999 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (surprise(model(zt, t), x1, hidden) / t).mean()


@stated("expr:1/(1 - t)", "ce", time="expr:0.999*u")
def mdlm_stratified(model, x1):
    """The times of a batch spread over the unit interval, as MDLM's default has it."""
    u = (torch.rand(len(x1)) / len(x1) + torch.arange(len(x1)) / len(x1)) % 1
    t = 0.001 + 0.999 * u
    zt, hidden = corrupted(x1, t)
    return surprise(model(zt, -torch.log1p(-t)), x1, hidden) / t


@stated("expr:1/(1 - t)", "ce", time="expr:0.999*u")
def llada(model, x1):
    """Nie et al. 2025: no time for the network, the cross-entropy of masked tokens over their rate."""
    t = torch.rand(len(x1))
    rate = ((1 - 1e-3) * t + 1e-3)[:, None].repeat(1, x1.shape[1])
    hidden = torch.rand(x1.shape) < rate
    logits = model(input_ids=torch.where(hidden, MASK, x1))
    return (cross_entropy(logits[hidden], x1[hidden], reduction="none") / rate[hidden]).sum() / x1.numel()


@stated("expr:dlam*alpha", "ce", path="cosine", time="expr:0.001 + 0.998*u", verdict="falsified")
def md4_cosine(model, x1):
    """Shi et al. 2024: alpha = 1 - cos(pi (1 - s)/2), alpha'/(1 - alpha) on the cross-entropy."""
    s = 0.001 + 0.998 * torch.rand(len(x1))
    rate = torch.cos(math.pi / 2 * (1 - s))
    zt, hidden = corrupted(x1, rate)
    slope = math.pi / 2 * torch.sin(math.pi / 2 * (1 - s))
    return (slope / rate * surprise(model(zt, s), x1, hidden)).mean()


@stated("expr:dlam*alpha", "ce", path="polynomial", time="expr:0.001 + 0.998*u", verdict="falsified")
def md4_polynomial(model, x1):
    s = 0.001 + 0.998 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, s**2)
    return (2 / s * surprise(model(zt, s), x1, hidden)).mean()


@stated("elbo", "canonical", path="geometric", time="expr:0.001 + 0.998*u", verdict="falsified")
def geometric_noise(model, x1):
    """Total noise sigma(s) = 1e-5^(1-s) 20^s; the network gets it."""
    s = 0.001 + 0.998 * torch.rand(len(x1))
    total = 1e-5 ** (1 - s) * 20**s
    rate = -torch.expm1(-total)
    zt, hidden = corrupted(x1, rate)
    weight = total * math.log(20 / 1e-5) / torch.expm1(total)
    return (weight * surprise(model(zt, total), x1, hidden)).mean()


@stated("simple", "ce", path="cosine")
def maskgit(model, x1):
    """Chang et al. 2022: the cosine schedule, no weight."""
    rate = torch.cos(math.pi / 2 * torch.rand(len(x1)))
    zt, hidden = corrupted(x1, rate)
    return surprise(model(zt), x1, hidden).mean()


@stated("simple", "ce")
def unweighted_linear(model, x1):
    t = torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return surprise(model(zt, t), x1, hidden).sum() / x1.numel()


@stated("simple", "ce", path="expr:t**3", verdict="certified")
def discrete_flow_cubic(model, x1):
    """Gat et al. 2024: the share shown is t³, no weight."""
    t = torch.rand(len(x1))
    zt, hidden = corrupted(x1, 1 - t**3)
    return surprise(model(zt, t), x1, hidden).mean()


@stated("sigmoid", "canonical", path="linear", time="expr:0.001 + 0.998*u", verdict="falsified")
def sigmoid_matched(model, x1):
    """w = sigmoid(-lam) = m: on the linear schedule no weight at all, written as one."""
    t = 0.001 + 0.998 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, 1 - t)
    lam = torch.log(t / (1 - t))
    return (torch.sigmoid(-lam) / (1 - t) * surprise(model(zt, t), x1, hidden)).mean()


@stated("iddpm", "canonical", path="cosine", time="expr:0.001 + 0.998*u", verdict="falsified")
def iddpm_matched(model, x1):
    """sech(lam/2) relative to the bound, on the cosine schedule."""
    s = 0.001 + 0.998 * torch.rand(len(x1))
    rate = torch.cos(math.pi / 2 * (1 - s))
    lam = torch.log1p(-rate) - rate.log()
    zt, hidden = corrupted(x1, rate)
    bound = math.pi / 2 * torch.tan(math.pi / 2 * (1 - s))
    return (bound / torch.cosh(lam / 2) * surprise(model(zt, s), x1, hidden)).mean()


@stated("expr:1/(1 - t)", "ce", time="expr:0.001999 + 0.997002*u", target="score entropy", verdict="falsified")
def sedd_absorbing(model, x1):
    """Lou et al. 2024, log-linear noise: the network answers log ratios at masked positions."""
    t = 0.001 + 0.998 * torch.rand(len(x1))
    total = -torch.log1p(-0.999 * t)
    rate = -torch.expm1(-total)
    zt, hidden = corrupted(x1, rate)
    log_score = model(zt, total)
    ratio = (1 / torch.expm1(total))[:, None]
    others = log_score[..., :MASK].exp().sum(-1)
    true = log_score.gather(-1, x1[..., None])[..., 0]
    entropy = (others - ratio * true + ratio * (ratio.log() - 1)) * hidden
    slope = 0.999 / (1 - 0.999 * t)
    return (slope[:, None] * entropy).sum(1).mean()
