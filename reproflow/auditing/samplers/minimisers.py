r"""The exact minimiser of a measured loss of squared errors, for data whose numbers are drawn apart from one law.

With the state S = A x1 + B eps + k and the target T = a x1 + b eps + k_T the best answer is the mean of T given S,

.. math:: y = a\, E[x_1 | S] + b\, E[\epsilon | S] + k_T,

and where x1 is the mixture of N(m_j, s^2), with V = A^2 s^2 + B^2, R = S - k and m the mean of the m_j by their odds
given S,

.. math:: E[x_1 | S] = m + A s^2 (R - A m)/V, \qquad E[\epsilon | S] = B (R - A m)/V.

For two means c +- h, the upper one of probability p, :math:`m = c + h \tanh(A h (R - A c)/V + artanh(2p - 1))`. The
width s is above 0 there, too: between two points the velocity has a pole at the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from reproflow.auditing.samplers.levels import Coefficients, Levels
from reproflow.foundation.errors import UsageError


@dataclass(frozen=True)
class Statistic:
    """A number that the samples must have: its name, its value under the law, its standard error times sqrt(n).

    `floor` is what is allowed besides; errors are large or small by `size`.
    """

    name: str
    of: Callable[[Tensor], Tensor]
    wanted: float
    spread: float
    floor: float
    size: float


class Law(Protocol):
    """A law of the data's numbers, drawn apart."""

    @property
    def name(self) -> str: ...

    def means(self, state: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
        """E[x1 | S] and E[eps | S] of the state without its offset."""
        ...

    def statistics(self, unit: float) -> list[Statistic]:
        """What samples must have; `unit` is half of the data's range."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """N(mean, std^2)."""

    mean: float
    std: float

    @property
    def name(self) -> str:
        return f"N({self.mean:g}, {self.std:g}²)"

    def means(self, state: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
        return _posterior(state, A, B, torch.full_like(state, self.mean), self.std)

    def statistics(self, unit: float) -> list[Statistic]:
        return [
            Statistic("mean", torch.mean, self.mean, self.std, 0.01 * unit, 0.3 * unit),
            Statistic("std", torch.std, self.std, self.std / math.sqrt(2), 0.03 * self.std, self.std),
        ]


@dataclass(frozen=True)
class TwoLumps:
    """N(centre + half, width^2) with probability `share`, else N(centre - half, width^2)."""

    centre: float
    half: float
    share: float
    width: float

    @property
    def name(self) -> str:
        low, high = self.centre - self.half, self.centre + self.half
        return f"two lumps ({100 * self.share:g} % at {high:g}, the rest at {low:g})"

    def means(self, state: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
        odds = A * self.half * (state - A * self.centre) / (A**2 * self.width**2 + B**2)
        mean = self.centre + self.half * torch.tanh(odds + math.atanh(2 * self.share - 1))
        return _posterior(state, A, B, mean, self.width)

    def statistics(self, unit: float) -> list[Statistic]:
        def share(x: Tensor) -> Tensor:
            return (x > self.centre).double().mean()

        def distance(x: Tensor) -> Tensor:
            return (x - self.centre).abs().mean()

        spread = math.sqrt(self.share * (1 - self.share))
        return [
            Statistic("share of the upper point", share, self.share, spread, 0.02, self.share),
            Statistic("distance from the middle", distance, self.half, self.width, 0.03 * self.half, self.half),
        ]


def _posterior(state: Tensor, A: Tensor, B: Tensor, mean: Tensor, std: float) -> tuple[Tensor, Tensor]:
    """E[x1 | S] and E[eps | S] where x1 is N(mean, std^2)."""
    rest = (state - A * mean) / (A**2 * std**2 + B**2)
    return mean + A * std**2 * rest, B * rest


class ExactNetwork(nn.Module):
    """Called as the loss calls its network, it gives the best answer for a law of the data.

    `state` and `time` are the names of these arguments in the graded call; where a sampler calls otherwise, the first
    argument of the state's shape and the first other number (or one a sample) are taken. Any attribute may be set.
    Raises `UsageError` for a call without a state or a time.
    """

    def __init__(self, levels: Levels, law: Law, shape: tuple[int, ...], state: str, time: str) -> None:
        super().__init__()
        self.dummy = nn.Parameter(torch.zeros(1))
        self._levels, self._law = levels, law
        self._shape, self._names = shape, (state, time)
        self.calls = 0

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The mean of the target given the state at the level that the time says."""
        self.calls += 1
        named = {**{f"arg{place}": value for place, value in enumerate(args)}, **kwargs}
        key, state = _state(named, self._shape, self._names[0])
        given = time_given(named, key, len(state), self._names[1])
        levels = _columns(self._levels.at(given), state)
        x1, eps = self._law.means(state.double() - levels["offset"], levels["A"], levels["B"])
        return (levels["a"] * x1 + levels["b"] * eps + levels["target_offset"]).to(state.dtype)


def _columns(levels: Coefficients, state: Tensor) -> dict[str, Tensor]:
    """The coefficients as float64 tensors that multiply a state sample by sample."""
    size = (-1, *[1] * (state.ndim - 1))
    return {
        key: torch.tensor(np.asarray(value, dtype=float), device=state.device).reshape(size)
        for key, value in vars(levels).items()
    }


def _state(named: dict[str, Any], shape: tuple[int, ...], known: str) -> tuple[str, Tensor]:
    """The argument that holds the state, and it: of the sample's shape, or its first channels."""
    keys = [known, *(key for key in named if key != known)]
    tensors = {key: named[key] for key in keys if isinstance(named.get(key), Tensor)}
    for key, value in tensors.items():
        if tuple(value.shape[1:]) == shape and value.is_floating_point():
            return key, value
    for key, value in tensors.items():
        rest = tuple(value.shape[1:])
        if len(rest) == len(shape) and rest[0] > shape[0] and rest[1:] == shape[1:]:
            return key, value[:, : shape[0]]
    shapes = ", ".join(str(tuple(value.shape)) for value in tensors.values()) or "none"
    raise UsageError(f"it calls the network without a state of shape (n, {', '.join(map(str, shape))}): {shapes}")


def time_given(named: dict[str, Any], state: str, count: int, known: str) -> np.ndarray:
    """The numbers that are given for the time, one a sample: those of `known`, else of the first argument that fits.

    Raises `UsageError` where there are none.
    """
    for key in (known, *named):
        value = named.get(key)
        if key == state or value is None or isinstance(value, bool | str):
            continue
        if not isinstance(value, int | float | np.generic | np.ndarray | Tensor):
            continue
        numbers = torch.as_tensor(value).detach().double().reshape(-1).cpu().numpy()
        if len(numbers) in (1, count):
            return np.broadcast_to(numbers, (count,))
        per_sample = numbers.reshape(count, -1) if len(numbers) % count == 0 else None
        if per_sample is not None and len(numbers) and (per_sample == per_sample[:, :1]).all():
            return per_sample[:, 0]
    raise UsageError("it calls the network without a time: a number, or one a sample")
