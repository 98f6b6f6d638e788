"""Networks by name: builders are registered, and K networks of one shape are built as one module.

A builder is a function `(architecture, K) -> StackedNetwork`. Training, sampling and measuring build whatever a
configuration's `model.network` names through `initialise` and `stack`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from reproflow.foundation import registry, seeds
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec, parse


class StackedNetwork(nn.Module, abc.ABC):
    """K networks of one shape: every parameter and buffer has a leading dimension K, and nothing mixes the K slices."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @abc.abstractmethod
    def forward(self, x: Tensor, t: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """x (K, B, *D), t (K, B) in [0, 1] or None, y (K, B) class labels or None -> (K, B, *E)."""

    @abc.abstractmethod
    def initialise(self, member: int, generator: Generator) -> None:
        """Draws the weights of one of the K networks from the generator alone."""


@dataclass(frozen=True)
class Architecture:
    """What a head asks of a network: `inputs` numbers in, `outputs` out, and what `build` is to make of them.

    `width` and `depth` are the configuration's; `classes` is 0 for data without labels, `timed` says whether the
    network is called with times, `waves` whether it sees sinusoids of its inputs.
    """

    build: Builder
    inputs: int
    outputs: int
    width: int
    depth: int
    classes: int = 0
    timed: bool = True
    waves: bool = False


Builder = Callable[[Architecture, int], StackedNetwork]
"""(architecture, K) -> K networks, whose weights `initialise` or a stored state then sets."""


def network(name: str, *, process: str | Iterable[str] = "gaussian", cite: str = "") -> Callable[[Builder], Builder]:
    """Decorator: registers a function `(architecture, K) -> StackedNetwork` for the processes it serves."""
    return registry.register("network", name, process=process, cite=cite)


def get_network(spec: str | Spec, process: str = "gaussian") -> Builder:
    """The builder that a spec names.

    Raises `UsageError` for a name unknown to that process, and for a user's own network, which cannot be trained yet.
    """
    parsed = parse(spec, "network")
    if not parsed.registered:
        raise not_trained_yet(parsed)
    return registry.get("network", parsed.name, process).function


def not_trained_yet(spec: Spec) -> UsageError:
    """Why a user's network is refused, however sound it is."""
    return UsageError(
        f"network {spec.name!r} is one of your own: your own networks cannot be trained yet; leave model.network out."
    )


def initialise(architecture: Architecture, names: Sequence[tuple[str | int, ...]]) -> StackedNetwork:
    """One network for each name, drawn from the seed of that name."""
    made = architecture.build(architecture, len(names))
    for member, name in enumerate(names):
        made.initialise(member, seeds.generator("weights", *name))
    return made


def member_state(stacked: StackedNetwork, member: int) -> dict[str, Tensor]:
    """The tensors of one network, without the leading dimension."""
    return {name: tensor[member] for name, tensor in stacked.state_dict().items()}


def stack(architecture: Architecture, states: Sequence[dict[str, Tensor]]) -> StackedNetwork:
    """The networks of these states as one module."""
    made = architecture.build(architecture, len(states))
    made.load_state_dict({name: torch.stack([state[name] for state in states]) for name in states[0]})
    return made
