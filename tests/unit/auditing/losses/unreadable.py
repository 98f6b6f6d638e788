"""Losses that an audit cannot read, for which it has one line with the reason and the way out.

`SAYS` has, by the function's name, the reason and the way out as they must be told. The file is a user's own: nothing
beside torch and numpy is imported.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.nn.functional import mse_loss

SAYS: dict[str, tuple[str, ...]] = {}


def says(*words):
    """The words that the line must have."""

    def put(loss):
        SAYS[loss.__name__] = words
        return loss

    return put


def flow(x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = t.view(-1, *[1] * (x1.ndim - 1))
    return t, s * x1 + (1 - s) * eps, eps


STEPS = [0]


@says("does not repeat", "keeps a state between calls", "Draw with torch")
def counts_its_calls(model, x1):
    """A weight that grows from call to call cannot be replayed."""
    STEPS[0] += 1
    t, xt, eps = flow(x1)
    return STEPS[0] * mse_loss(model(xt, t), x1 - eps)


@says("does not repeat", "default_rng", "Draw with torch")
def generator_unseen(model, x1):
    t = torch.as_tensor(np.random.default_rng().random(len(x1)), dtype=x1.dtype)
    s, eps = t.view(-1, 1, 1, 1), torch.randn_like(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@says("does not repeat", "Draw with torch")
def clock_as_seed(model, x1):
    torch.manual_seed(time.time_ns() % 2**31)
    noise = np.random.RandomState(time.time_ns() % 2**31).randn(*x1.shape)
    t = torch.rand(len(x1))
    s, eps = t.view(-1, 1, 1, 1), torch.as_tensor(noise, dtype=x1.dtype)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


OWN = torch.nn.Conv2d(3, 3, 1)


@says("never calls the network", "call `model(...)`")
def another_network(model, x1):
    _, xt, eps = flow(x1)
    return mse_loss(OWN(xt), x1 - eps)


@says("not finite", "division by 0")
def nan_returned(model, x1):
    t, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1 - eps) * torch.log(torch.zeros(()) - 1)


@says("not finite", "--data")
def logarithm_of_the_data(model, x1):
    t, xt, eps = flow(torch.log(x1.abs() * 0))
    return mse_loss(model(xt, t), x1 - eps)


@says("needs a GPU", "device = x1.device")
def on_the_gpu(model, x1):
    t = torch.rand(len(x1), device="cuda")
    s, eps = t.view(-1, 1, 1, 1), torch.randn_like(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)


@says("needs a GPU", "device = x1.device")
def network_to_the_gpu(model, x1):
    model.cuda()
    t, xt, eps = flow(x1)
    return mse_loss(model(xt, t), x1 - eps)


@says("none of them a batch like x1", "wrap `model`")
def batch_flattened(model, x1):
    """All numbers of the batch in one row: whose they are is lost."""
    t, xt, eps = flow(x1)
    return mse_loss(model(xt.flatten(), t), (x1 - eps).flatten())


@says("none of them a batch like x1", "wrap `model`")
def batch_doubled(model, x1):
    """With and without the condition, one batch after the other."""
    t, xt, eps = flow(x1)
    both = model(torch.cat([xt, xt]), torch.cat([t, t]))
    return mse_loss(both[: len(x1)], x1 - eps)


@says("returns nothing", "return it")
def nothing_returned(model, x1):
    t, xt, eps = flow(x1)
    mse_loss(model(xt, t), x1 - eps)


@says("`loss` is missing", "return it")
def dictionary_without_a_loss(model, x1):
    t, xt, eps = flow(x1)
    return {"mse": mse_loss(model(xt, t), x1 - eps)}


@says("returns a str", "return a tensor")
def text_returned(model, x1):
    return str(mse_loss(model(x1, torch.rand(len(x1))), x1))


@says("asks the network for `sigma_data`", "model.sigma_data = ...")
def attribute_missing(model, x1):
    return model.sigma_data * mse_loss(model(x1, torch.rand(len(x1))), x1)


@says("raised ZeroDivisionError", "unreadable.py:")
def raises(model, x1):
    return mse_loss(model(x1, torch.rand(len(x1))), x1) / 0 * (1 / 0)


@says("cannot be called as loss(model, x1)", "takes 1 positional argument")
def one_argument(model):
    return model.sum()


def never_ends(model, x1):
    """The limit of processor time stops it; that is the command's, in a child of its own."""
    t, xt, eps = flow(x1)
    while len(model(xt, t)):
        pass
    return mse_loss(model(xt, t), x1 - eps)


def sleeps_for_ever(model, x1):
    time.sleep(10_000)


def exits(model, x1):
    """As a script that checks its own arguments."""
    raise SystemExit(0)
