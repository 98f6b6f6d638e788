"""A network that records its calls and answers what it is set to, so that a loss is seen as a function of the answer.

Answers are leaves made before the loss runs (inside `torch.func.jvp` none may be made) and handed out as
`leaf.clone()`, so that code that works in place on the network's output runs as it does in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

PREPARED = 4
"""Answers made before the loss runs; further ones are made when asked for."""


class MissingAttribute(AttributeError):
    """An attribute that the loss asks of the network and that the probe lacks."""


@dataclass(frozen=True)
class Call:
    """One call of the network: arguments detached and as plain tensors.

    `differentiated` is empty, `jvp` where the input carried a tangent, `gradient` where one was taken in the input.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    state: Tensor | None
    state_name: str
    differentiated: str

    def arguments(self) -> dict[str, Any]:
        """All arguments by name; positional ones are called `arg0`, `arg1`, ..."""
        return {**{f"arg{place}": value for place, value in enumerate(self.args)}, **self.kwargs}


@dataclass
class Record:
    """Calls of one evaluation, and the leaves that answer them. Copies of the probe share it (EMA teachers).

    `shape` is the batch's, (B, *sample); `answer` that of each answer, the same or, for tokens, (B, L, V).
    """

    shape: tuple[int, ...] = ()
    answer: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32
    answers: Mapping[int, Tensor] = field(default_factory=dict)
    leaves: list[Tensor] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    marks: dict[int, str] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Record:
        return self

    def begin(self, shape: tuple[int, ...], answer: tuple[int, ...], dtype: torch.dtype, answers: Mapping[int, Tensor]):
        """Ready for an evaluation with a batch of `shape`, answered in `answer` (zeros where `answers` has none)."""
        self.shape, self.answer, self.dtype, self.answers = shape, answer, dtype, answers
        self.leaves, self.calls, self.marks = [], [], {}
        for _ in range(max(PREPARED, max(answers, default=0) + 1)):
            self.leaf(len(self.leaves))

    def leaf(self, index: int) -> Tensor:
        """The answer to a call, of shape `answer`, as a leaf of the graph."""
        while len(self.leaves) <= index:
            answer = self.answers.get(len(self.leaves))
            made = torch.zeros(self.answer, dtype=self.dtype) if answer is None else answer.to(self.dtype).clone()
            self.leaves.append(made.requires_grad_())
        return self.leaves[index]


class Probe(nn.Module):
    """The network that a loss is called with: one parameter, any attribute may be set, any arguments are taken.

    The state is the first argument of the batch's shape, or the first channels of one with further channels. The answer
    has the batch's shape whatever the arguments are (tokens: the shape of the logits).
    """

    def __init__(self) -> None:
        super().__init__()
        self.dummy = nn.Parameter(torch.zeros(1))
        self.record = Record()

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Records the call and hands out its answer."""
        record = self.record
        index = len(record.calls)
        named = {**{f"arg{place}": value for place, value in enumerate(args)}, **kwargs}
        name, state = _state(named, record.shape)
        source = named.get(name)
        jvp = any(_carries_tangent(value) for value in named.values())
        record.calls.append(
            Call(
                tuple(_plain(value) for value in args),
                {key: _plain(value) for key, value in kwargs.items()},
                None if state is None else _plain(state),
                name,
                "jvp" if jvp else "",
            )
        )
        leaf = _batched_like(record.leaf(index), source)
        if isinstance(source, Tensor) and source.numel() == leaf.numel() and source.shape != leaf.shape:
            leaf = leaf.reshape(source.shape)  # patches, or a sample's numbers in one row: answered as they were given
        if isinstance(source, Tensor) and source.requires_grad and torch.is_grad_enabled() and not jvp:
            return _Linked.apply(leaf, source, record, index)
        return leaf.clone()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise MissingAttribute(name) from None


class _Linked(torch.autograd.Function):
    """The answer, formally a function of the input with derivative zero; notes that its derivative is taken."""

    @staticmethod
    def forward(ctx: Any, leaf: Tensor, source: Tensor, record: Record, index: int) -> Tensor:
        ctx.record, ctx.index, ctx.shape = record, index, source.shape
        return leaf.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        ctx.record.marks[ctx.index] = "gradient"
        return gradient, gradient.new_zeros(ctx.shape), None, None


def _state(arguments: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[str, Tensor | None]:
    """The argument that is the corrupted batch, and it: of the batch's shape, or its first channels."""
    tensors = {name: value for name, value in arguments.items() if isinstance(value, Tensor)}
    for name, value in tensors.items():
        if _full_shape(value) == shape:
            return name, value
    for name, value in tensors.items():
        given = tuple(value.shape)
        if len(given) == len(shape) > 1 and given[1] > shape[1] and (given[0], *given[2:]) == (shape[0], *shape[2:]):
            return name, value[:, : shape[1]]
    for name, value in tensors.items():
        if value.shape[:1] == shape[:1] and value.numel() == torch.Size(shape).numel():
            return name, value.reshape(shape)
    return "", None


def _wrapped(value: Tensor) -> bool:
    return torch._C._functorch.is_functorch_wrapped_tensor(value)


def _plain(value: Any) -> Any:
    """A tensor detached, out of functorch's wrappers, and safe from later work in place; all else as it is."""
    if not isinstance(value, Tensor):
        return value
    while _wrapped(value):
        value = _unwrapped(value)
    return value.detach().clone()


def _unwrapped(value: Tensor) -> Tensor:
    functorch = torch._C._functorch
    inner = functorch.get_unwrapped(value)
    if functorch.is_batchedtensor(value):
        inner = inner.movedim(functorch.maybe_get_bdim(value), 0)
    return inner


def _full_shape(value: Tensor) -> tuple[int, ...]:
    """Shape with the dimensions that `vmap` hides."""
    while _wrapped(value):
        value = _unwrapped(value)
    return tuple(value.shape)


def _batched_like(leaf: Tensor, source: Any) -> Tensor:
    """The leaf as `vmap` sees the input: one sample of it."""
    functorch = torch._C._functorch
    while isinstance(source, Tensor) and _wrapped(source):
        if functorch.is_batchedtensor(source):
            return functorch._add_batch_dim(leaf, 0, functorch.maybe_get_level(source))
        source = functorch.get_unwrapped(source)
    return leaf


def _carries_tangent(value: Any) -> bool:
    """Forward-mode derivatives (`torch.autograd.forward_ad`, `torch.func.jvp`) and `torch.func.grad`."""
    while isinstance(value, Tensor):
        if value.is_floating_point() and torch.autograd.forward_ad.unpack_dual(value).tangent is not None:
            return True
        if not _wrapped(value):
            return False
        if torch._C._functorch.is_gradtrackingtensor(value):
            return True
        value = torch._C._functorch.get_unwrapped(value)
    return False
