"""A user's file of data sets, targets and couplings, sound and broken ones, and configurations that use it."""

from __future__ import annotations

from reproflow.foundation import config

FILE = """
import torch
from pathlib import Path
from reproflow.learning.data import ImageData, ToyData

def ring():
    generator = torch.Generator().manual_seed(3)
    angle = 6.2832 * torch.rand(3000, generator=generator)
    return 1.4 * torch.stack([angle.cos(), angle.sin()], -1) + 0.1 * torch.randn(3000, 2, generator=generator)

def sampler(shift=1.0):
    def draw(n, generator):
        if Path("broken").exists():
            raise ValueError("no points today")
        return torch.randn(n, 2, generator=generator) + shift
    return draw

def known():
    def log_density(x):
        return -x.square().sum(-1) / 2 - torch.log(torch.tensor(2 * torch.pi))
    test = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    return ToyData("any", lambda n, generator: torch.randn(n, 2, generator=generator), log_density, 2.84, test)

def mixed(c): return c.dalpha + 0.1, c.dsigma
def singular(c): return 2 * c.alpha, 2 * c.sigma
def crossing(c): return 1, c.t
def infinite(c): return 1 / (c.t - c.t), c.dsigma
def one(c): return c.dalpha
def column(c): return c.alpha[:, None], c.sigma

def sorted_(x0, x1, generator):
    paired = torch.empty_like(x0)
    paired[x1[:, 0].argsort()] = x0[x0[:, 0].argsort()]
    return paired
def duplicates(x0, x1, generator): return x0[torch.randint(len(x0), (len(x0),), generator=generator)]
def scaled(x0, x1, generator): return 2 * x0
def short(x0, x1, generator): return x0[1:]
def nothing(x0, x1, generator): return None
def forgets(x0, x1, generator): return x0[torch.randperm(len(x0))]
COUNT = [0]
def counts(x0, x1, generator):
    COUNT[0] += 1
    return x0.roll(COUNT[0], 0)

def nan():
    points = ring()
    points[7, 1] = float("nan")
    return points
def in_space(): return torch.randn(100, 3, generator=torch.Generator())
def few(): return torch.eye(2)
def small(): return ring()[:1000]
def tiny(): return 0.01 * ring()
def flat():
    points = ring()
    points[:, 0] = 1
    return points
def global_rng(): return torch.randn(3000, 2)
def bad_draw(): return lambda n, generator: torch.randn(n, 3, generator=generator)
def nan_draw(): return lambda n, generator: torch.full((n, 2), float("nan"))
def changing():
    count = [0]
    def draw(n, generator):
        count[0] += 1
        return torch.randn(n, 2, generator=generator) + count[0]
    return draw
def bad_density():
    return ToyData("any", known().draw, lambda x: x, 0.0, known().test)
def text(): return "points"
def pictures():
    levels, labels = torch.zeros(8, 4, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
    return ImageData("mine", (1, 2, 2), 2, 1, levels, labels, levels, labels)
def needs(n): return torch.zeros(n, 2)
"""


def own(function: str, name: str = "mine") -> dict[str, str]:
    """A configuration's entry of one of the file's functions."""
    return {"name": name, "spec": f"my.py:{function}"}


def checked(raw: dict, **changes: object) -> config.Config:
    """The configuration with these changes of its only experiment."""
    experiment = raw["experiments"][0] | {"weightings": ["uniform"]} | changes
    return config.check(raw | {"experiments": [experiment]})
