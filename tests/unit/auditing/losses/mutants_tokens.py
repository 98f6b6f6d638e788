"""Bugs of masked losses: which tokens count, which label, which id hides them, and how a level is weighted."""

from __future__ import annotations

import math

import torch
from losses.faulty import faulty
from losses.restated_tokens import corrupted, surprise
from losses.stated import MASK, VOCABULARY
from torch.nn.functional import cross_entropy


def every_surprise(logits, x1):
    return cross_entropy(logits[..., :MASK].transpose(1, 2), x1, reduction="none")


@faulty("shown-tokens-count", tokens=True, source="valeoai/MaskGIT-pytorch pull 16")
def loss_on_all_tokens(model, x1):
    t = 0.01 + 0.99 * torch.rand(len(x1))
    zt, _ = corrupted(x1, t)
    return (every_surprise(model(zt, t), x1).mean(1) / t).mean()


@faulty("no-gradient-masked", "shown-tokens-count", tokens=True)
def loss_on_shown_tokens_only(model, x1):
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (every_surprise(model(zt, t), x1) * ~hidden).mean()


@faulty("label-smoothing", tokens=True)
def labels_smoothed(model, x1):
    t = 0.01 + 0.99 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    logits = model(zt, t)[..., :MASK].transpose(1, 2)
    each = cross_entropy(logits, x1, reduction="none", label_smoothing=0.1)
    return ((each * hidden).sum(1) / t).mean()


@faulty("wrong-label", tokens=True)
def causal_shift_kept(model, x1):
    """Logits at a position are graded on the token after it."""
    t = 0.01 + 0.99 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    each = every_surprise(model(zt, t)[:, :-1], x1[:, 1:])
    return ((each * hidden[:, 1:]).sum(1) / t).mean()


@faulty("mask-in-data", "not-absorbing", tokens=True)
def mask_is_a_word(model, x1):
    t = 0.01 + 0.99 * torch.rand(len(x1))
    hidden = torch.rand(x1.shape) < t[:, None]
    zt = x1.masked_fill(hidden, VOCABULARY - 1)
    return ((every_surprise(model(zt, t), x1) * hidden).sum(1) / t).mean()


@faulty("not-absorbing", tokens=True)
def uniform_noise_on_tokens(model, x1):
    t = 0.01 + 0.98 * torch.rand(len(x1))
    changed = torch.rand(x1.shape) < t[:, None]
    zt = torch.where(changed, torch.randint(0, VOCABULARY, x1.shape), x1)
    return (every_surprise(model(zt, t), x1).mean(1) / t).mean()


@faulty("counts", tokens=True)
def divided_by_the_count(model, x1):
    t = 0.01 + 0.99 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (surprise(model(zt, t), x1, hidden) / hidden.sum(1).clamp(min=1)).mean()


@faulty("mask-by-data", "counts", tokens=True)
def frequent_words_masked_more(model, x1):
    t = 0.01 + 0.49 * torch.rand(len(x1))
    rate = t[:, None] * torch.where(x1 < VOCABULARY // 2, 2.0, 1.0)
    hidden = torch.rand(x1.shape) < rate
    zt = x1.masked_fill(hidden, MASK)
    return (surprise(model(zt, t), x1, hidden) / t).mean()


@faulty("not-as-stated", tokens=True, expect={"weighting": "elbo", "path": "linear"})
def other_end_of_time(model, x1):
    """1/(1 - t) for 1/t: a bound all the same, not this one."""
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (surprise(model(zt, t), x1, hidden) / (1 - t)).mean()


@faulty("counts", tokens=True, expect={"weighting": "elbo", "path": "linear"})
def divided_by_count_and_rate(model, x1):
    """No coefficient by rate, so that whether it is the bound cannot be told."""
    t = 0.01 + 0.99 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (surprise(model(zt, t), x1, hidden) / hidden.sum(1).clamp(min=1) / t).mean()


@faulty("no-gradient", tokens=True)
def words_chosen(model, x1):
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return ((model(zt, t).argmax(-1) != x1).float() * hidden).mean().requires_grad_()


@faulty("mask-logit", tokens=True)
def mask_among_the_answers(model, x1):
    """The mask's logit competes: a note."""
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    each = cross_entropy(model(zt, t).transpose(1, 2), x1, reduction="none")
    return ((each * hidden).sum(1) / t).mean()


@faulty("time-not-level", tokens=True)
def rate_not_told(model, x1):
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (surprise(model(zt, torch.rand(len(x1))), x1, hidden) / t).mean()


@faulty("weight-neighbours", tokens=True)
def weights_of_another_sentence(model, x1):
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (surprise(model(zt, t), x1, hidden) / t.flip(0)).mean()


@faulty("negative-weight", tokens=True)
def logarithm_of_the_rate(model, x1):
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (torch.log(math.e * 0.5 * t) * surprise(model(zt, t), x1, hidden)).mean()


def unmasking(temperature=1.0):
    """Places are unmasked in a random order, four at a time."""

    def sample(model, n, length=32):
        x = torch.full((n, length), MASK)
        order = torch.rand(n, length).argsort(1)
        for done in range(0, length, 4):
            law = (model(x, torch.full((n,), 1 - done / length))[..., :MASK] / temperature).softmax(-1)
            drawn = torch.multinomial(law.reshape(-1, MASK), 1).reshape(n, length)
            places = order[:, done : done + 4]
            x.scatter_(1, places, drawn.gather(1, places))
        return x

    return sample


@faulty("sampler-sharper", tokens=True, sampler=unmasking(0.5))
def likely_words_favoured(model, x1):
    """A right loss, whose sampler has a temperature of one half."""
    t = 0.01 + 0.98 * torch.rand(len(x1))
    zt, hidden = corrupted(x1, t)
    return (surprise(model(zt, t), x1, hidden) / t).mean()
