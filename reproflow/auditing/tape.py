"""A tape of all random draws of torch: recorded below autograd, played back bit for bit, single draws replaced.

A draw is kept in standard form, before the parameters of its law are applied: u in [0, 1), z ~ N(0, 1), an integer, a
permutation, an index. So a replay in which a location or scale has changed keeps the same randomness, and a draw can be
set to zero or to a quantile. Generators of the user's own are on the tape too: what they gave is played back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from reproflow.auditing.call_site import user_line


class Kind(StrEnum):
    """The standard form of a draw."""

    UNIFORM = "uniform"
    NORMAL = "normal"
    INTEGER = "integer"
    PERMUTATION = "permutation"
    CHOICE = "choice"
    OTHER = "other"
    """A law without a standard form (gamma, Poisson, ...): played back as it was, whatever its parameters are now."""


ORDERS = (Kind.PERMUTATION, Kind.INTEGER, Kind.CHOICE)
"""Kinds that say which, and not how much."""


class Diverged(Exception):
    """A replay asked for another sequence of draws than the tape has: one of the changed draws controls the flow."""


@dataclass(frozen=True)
class Draw:
    """One draw: aten's operator, its standard values, where the user's code made it; the range of integers, weights.

    `low` and `high` (exclusive) bound integers; `weights` are those of `multinomial`, as the tape was recorded.
    """

    operator: str
    kind: Kind
    standard: Tensor
    file: str
    line: int
    low: int = 0
    high: int = 0
    weights: Tensor | None = None
    rest: tuple[Tensor, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the numbers drawn."""
        return tuple(self.standard.shape)


class Tape(TorchDispatchMode):
    """Records all draws made under it; with `played`, plays those back, `replaced` (by index) set to other values.

    Raises `Diverged` where the sequence asked for is not the tape's; `finish` where it ended early.
    """

    def __init__(self, played: tuple[Draw, ...] | None = None, replaced: Mapping[int, Tensor] | None = None) -> None:
        super().__init__()
        self.draws: list[Draw] = []
        self._played = played
        self._replaced = replaced or {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler for that, which takes seconds; what is audited runs eagerly."""
        return False

    def finish(self) -> tuple[Draw, ...]:
        """The draws made; raises `Diverged` where fewer were made than the tape has."""
        if self._played is not None and len(self.draws) < len(self._played):
            raise Diverged(f"{len(self.draws)} draws instead of {len(self._played)}")
        return tuple(self.draws)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every operator below autograd comes through here; those that draw are recorded or played back."""
        kwargs = kwargs or {}
        try:
            family = _FAMILIES[func]
        except KeyError:
            family = _FAMILIES[func] = _family(func)
        return func(*args, **kwargs) if family is None else family(self, func, _bound(func, args, kwargs), args, kwargs)

    def take(
        self, operator: str, kind: Kind, shape: tuple[int, ...], make: Callable[[], Tensor], **facts: Any
    ) -> Tensor:
        """The standard values of the next draw, of `shape`: made and recorded, played back, or replaced."""
        index = len(self.draws)
        if self._played is None:
            file, line = user_line()
            draw = Draw(operator, kind, make(), file, line, **facts)
            self.draws.append(draw)
            return draw.standard
        if index >= len(self._played):
            raise Diverged(f"more than {index} draws")
        draw = self._played[index]
        asked = (operator, shape, facts.get("low", 0), facts.get("high", 0))
        if asked != (draw.operator, draw.shape, draw.low, draw.high):
            raise Diverged(f"{operator}{list(shape)} instead of {draw.operator}{list(draw.shape)}")
        if index in self._replaced:
            values = torch.as_tensor(self._replaced[index], dtype=draw.standard.dtype, device=draw.standard.device)
            draw = replace(draw, standard=values.expand(shape).contiguous())
        self.draws.append(draw)
        return draw.standard


Family = Callable[[Tape, Any, dict[str, Any], Any, Any], Any]


def _bound(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the operator's schema, defaults filled in."""
    bound = {}
    for place, argument in enumerate(func._schema.arguments):
        if place < len(args):
            bound[argument.name] = args[place]
        elif argument.name in kwargs:
            bound[argument.name] = kwargs[argument.name]
        else:
            bound[argument.name] = argument.default_value
    return bound


def _name(func: Any) -> str:
    return str(func._schema.name).removeprefix("aten::")


def _put(func: Any, bound: dict[str, Any], value: Tensor) -> Tensor:
    """`value` where the operator puts its result: into `out`, in place, or as a tensor of its own."""
    if bound.get("out") is not None:
        return bound["out"].resize_(value.shape).copy_(value)
    if _name(func).endswith("_"):
        return bound["self"].copy_(value)
    return value.clone()


def _plain(kind: Kind) -> Family:
    """`rand`, `randn` and their likes, which draw the standard law itself."""

    def draw(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Tensor:
        shape = tuple(bound["size"]) if "size" in bound else tuple(bound["self"].shape)
        standard = tape.take(_name(func), kind, shape, lambda: func(*args, **kwargs).clone())
        return _put(func, bound, standard)

    return draw


def _floating(like: Tensor) -> torch.dtype:
    return like.dtype if like.dtype.is_floating_point else torch.get_default_dtype()


def _standard(tape: Tape, func: Any, kind: Kind, bound: dict[str, Any], like: Tensor) -> Tensor:
    """Standard numbers of the shape and device of `like`, from the generator that the operator was handed."""

    def make() -> Tensor:
        empty = torch.empty(like.shape, dtype=_floating(like), device=like.device)
        generator = bound.get("generator")
        return empty.normal_(generator=generator) if kind is Kind.NORMAL else empty.uniform_(generator=generator)

    return tape.take(_name(func), kind, tuple(like.shape), make)


def _normal(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Tensor:
    """`normal_(m, s)` and `torch.normal`: m + s z."""
    mean, deviation = bound.get("mean", 0.0), bound.get("std", 1.0)
    if "size" in bound:
        options = {key: bound[key] for key in ("dtype", "device") if bound.get(key) is not None}
        like = bound["out"] if bound.get("out") is not None else torch.empty(tuple(bound["size"]), **options)
    elif "self" in bound:
        like = bound["self"]
    else:
        like = torch.as_tensor(mean) + torch.as_tensor(deviation)
    z = _standard(tape, func, Kind.NORMAL, bound, like)
    value = mean + deviation * z
    return _put(func, bound, value.exp() if _name(func).startswith("log_normal") else value)


def _from_uniform(law: Callable[[Tensor, dict[str, Any]], Tensor]) -> Family:
    """Operators that fill a tensor by a function of u: the law's quantile."""

    def draw(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Tensor:
        u = _standard(tape, func, Kind.UNIFORM, bound, bound["self"])
        return _put(func, bound, law(u, bound).to(bound["self"].dtype))

    return draw


def _bernoulli(u: Tensor, bound: dict[str, Any]) -> Tensor:
    return (u < (bound["p"] if "p" in bound else bound["self"])).to(u.dtype)


def _dropout(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Any:
    """`native_dropout`: what is kept, scaled by 1/(1 - p), and where."""
    rate = float(bound["p"])
    if bound.get("train") is False or rate == 0:
        return func(*args, **kwargs)
    kept = _standard(tape, func, Kind.UNIFORM, bound, bound["input"]) >= rate
    return bound["input"] * kept / (1 - rate), kept


def _integers(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Any:
    """`randint` and `random_`: integers from low to high - 1."""
    named = "from" in bound or "to" in bound
    low, high = (bound.get("from"), bound.get("to")) if named else (bound.get("low"), bound.get("high"))
    shape = tuple(bound["size"]) if "size" in bound else tuple(bound["self"].shape)
    bounded = isinstance(high, int)
    facts = {"low": int(low or 0), "high": high} if isinstance(high, int) else {"low": 0, "high": 0}
    values = tape.take(
        _name(func), Kind.INTEGER if bounded else Kind.OTHER, shape, lambda: func(*args, **kwargs).clone(), **facts
    )
    return _put(func, bound, values)


def _permutation(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Tensor:
    values = tape.take(_name(func), Kind.PERMUTATION, (int(bound["n"]),), lambda: func(*args, **kwargs).clone())
    return _put(func, bound, values)


def _choice(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Tensor:
    weights = bound["self"]
    shape = (*weights.shape[:-1], int(bound["num_samples"]))
    facts = {"high": int(weights.shape[-1]), "weights": weights.clone()}
    values = tape.take(_name(func), Kind.CHOICE, shape, lambda: func(*args, **kwargs).clone(), **facts)
    return _put(func, bound, values)


def _other(tape: Tape, func: Any, bound: dict[str, Any], args: Any, kwargs: Any) -> Any:
    """Laws without a standard form: the results themselves are kept."""
    rest: list[Tensor] = []
    several = len(func._schema.returns) > 1

    def make() -> Tensor:
        result = func(*args, **kwargs)
        rest.extend(each.clone() for each in (result[1:] if several else ()))
        return (result[0] if several else result).clone()

    index = len(tape.draws)
    played = tape._played
    shape = () if played is None or index >= len(played) else played[index].shape
    first = tape.take(_name(func), Kind.OTHER, shape, make)
    if played is None:
        tape.draws[-1] = replace(tape.draws[-1], rest=tuple(rest))
    if several:
        return (first.clone(), *(each.clone() for each in tape.draws[-1].rest))
    return _put(func, bound, first)


_LAWS: dict[str, Family] = {
    **dict.fromkeys(("rand", "rand_like"), _plain(Kind.UNIFORM)),
    **dict.fromkeys(("randn", "randn_like"), _plain(Kind.NORMAL)),
    **dict.fromkeys(("normal", "normal_", "normal_functional", "log_normal", "log_normal_"), _normal),
    **dict.fromkeys(("uniform", "uniform_"), _from_uniform(lambda u, p: p["from"] + (p["to"] - p["from"]) * u)),
    **dict.fromkeys(("exponential", "exponential_"), _from_uniform(lambda u, p: -torch.log1p(-u) / p["lambd"])),
    **dict.fromkeys(
        ("cauchy", "cauchy_"), _from_uniform(lambda u, p: p["median"] + p["sigma"] * torch.tan(torch.pi * (u - 0.5)))
    ),
    **dict.fromkeys(
        ("geometric", "geometric_"),
        _from_uniform(lambda u, p: torch.ceil(torch.log1p(-u) / float(np.log1p(-p["p"]))).clamp(min=1)),
    ),
    **dict.fromkeys(("bernoulli", "bernoulli_"), _from_uniform(_bernoulli)),
    "native_dropout": _dropout,
    **dict.fromkeys(("randint", "randint_like", "random", "random_"), _integers),
    "randperm": _permutation,
    "multinomial": _choice,
    **dict.fromkeys(("_sample_dirichlet", "_standard_gamma", "poisson", "binomial"), _other),
}
_FAMILIES: dict[Any, Family | None] = {}


def _family(func: Any) -> Family | None:
    """How an operator draws, None where it does not. Some that draw lack torch's tag and are known by their names."""
    schema = getattr(func, "_schema", None)
    if schema is None:
        return None
    law = _LAWS.get(_name(func)) if str(schema.name).startswith("aten::") else None
    if law is not None:
        return law
    tagged = torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())
    # attention and recurrent layers bear the tag for their dropout; in an audit they are never the graded network
    return _other if tagged and not any(argument.name.startswith("dropout") for argument in schema.arguments) else None
