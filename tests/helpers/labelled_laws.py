"""Small labelled data whose law is known for each class, and denoisers that are exact for them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from reproflow.exact.mixture import Mixture
from reproflow.foundation import config
from reproflow.learning.data import ImageData
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.networks.exact_denoiser import ExactDenoiser
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

CPU = torch.device("cpu")


def images(dim: int, levels: int, classes: int) -> ImageData:
    """Images of which only shapes and labels are looked at: the labels go 0, 0, 1, 2, .. in the training set."""
    labels = torch.tensor([0, *range(classes)])
    pixels = torch.zeros(len(labels), dim, dtype=torch.uint8)
    return ImageData("labelled", (1, 1, dim), levels, classes, pixels, labels, pixels, labels)


def experiment(process: str, n: int, solver: str, steps: int, target: str = "velocity") -> config.Experiment:
    """One cell on digits, of which the sampler sees process, seed, times and its own settings."""
    written = {
        "name": "one",
        "process": process,
        "dataset": "digits8",
        "paths": ["cosine"],
        "weightings": ["elbo"],
        "seeds": [0],
        "sampling": {"solver": solver, "steps": steps, "n": n},
    } | ({"targets": [target]} if process == "gaussian" else {})
    return config.check({"name": "t", "experiments": [written]}).experiments[0]


@dataclass(frozen=True)
class ClassDenoiser(GaussianDenoiser):
    """E[target | x_t = x, y] for data that are `mixtures[y]`; `shift` answers for a neighbouring class."""

    mixtures: tuple[Mixture, ...]
    shift: int = 0

    def _own(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        assert y is not None
        c = self._coefficients(t)
        means = [mixture.target_mean(x, c, *self.target.coefficients(c)) for mixture in self.mixtures]
        return torch.stack(means)[(y + self.shift) % len(means), torch.arange(len(x))].to(x)


def on_cpu(denoiser: ExactDenoiser) -> ExactDenoiser:
    """The same, which tells where its network lies."""
    return replace(denoiser, network=cast(Any, SimpleNamespace(device=CPU)))


def class_denoiser(mixtures: tuple[Mixture, ...], target: str = "velocity", shift: int = 0) -> ClassDenoiser:
    network = cast(Any, SimpleNamespace(device=CPU))
    return ClassDenoiser(network, cast(Any, None), get_path("cosine"), get_target(target), mixtures, shift)


class TokenTable:
    """A masked denoiser that is exact for tokens whose joint law is `joint` (classes, V, .., V)."""

    def __init__(self, joint: Tensor, temperature: float = 1.0, shift: int = 0, path: str = "cosine") -> None:
        self.path, self.device, self.joint = get_path(path, "masked"), CPU, joint
        vocabulary, dim = joint.shape[1], joint.ndim - 1
        self.head = SimpleNamespace(vocabulary=vocabulary, dim=dim)
        self.temperature, self.shift = temperature, shift
        # By class and state, where the last value hides a token: the law of each token given the shown ones.
        states = list(itertools.product(range(vocabulary + 1), repeat=dim))
        rows = [[self._marginals(table, state) for state in states] for table in joint]
        self.conditionals = torch.stack([torch.stack(row) for row in rows])

    def _marginals(self, table: Tensor, state: tuple[int, ...]) -> Tensor:
        vocabulary = self.head.vocabulary
        shown = table
        for place, value in enumerate(state):
            keep = torch.arange(vocabulary) == value if value < vocabulary else torch.ones(vocabulary).bool()
            shape = [1] * table.ndim
            shape[place] = vocabulary
            shown = shown * keep.view(shape)
        axes = range(table.ndim)
        found = [shown.sum([axis for axis in axes if axis != place]) for place in axes]
        return torch.stack([each / each.sum() for each in found])

    def state(self, tokens: Tensor) -> Tensor:
        """The number of each row's state."""
        base = self.head.vocabulary + 1
        return (tokens * base ** torch.arange(self.head.dim - 1, -1, -1)).sum(-1)

    def logits(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        law = self.conditionals[(y + self.shift) % len(self.joint), self.state(tokens)]
        return law.log() / self.temperature

    def sampled_law(self, label: int, steps: int) -> Tensor:
        """The law of what `steps` ancestral steps end in, (V,)*dim flattened: every way to get there, added up."""
        vocabulary = self.head.vocabulary
        states = torch.tensor(list(itertools.product(range(vocabulary + 1), repeat=self.head.dim)))
        alpha = self.path(torch.linspace(0, 1, steps + 1, dtype=torch.float64))[0].tolist()
        law = torch.zeros(len(states), dtype=torch.float64)
        law[-1] = 1
        for before, after in itertools.pairwise([*alpha[:-1], 1.0]):
            shows, kernel = (after - before) / (1 - before), torch.ones(len(states), len(states), dtype=torch.float64)
            for place, value in enumerate(states.T):
                given = self.conditionals[label, :, place]
                drawn = torch.cat([shows * given, torch.full((len(states), 1), 1 - shows)], 1)[:, value]
                stays = (value[:, None] == value).double()
                kernel = kernel * torch.where(value[:, None] == vocabulary, drawn, stays)
            law = law @ kernel
        full = (states < vocabulary).all(1)
        return law[full] / law[full].sum()
