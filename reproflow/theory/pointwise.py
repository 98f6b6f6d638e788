r"""Functions of anybody's own are functions of each time alone: asked alone, in company, in another order, and again.

Quadratures, derivatives and training ask for many times in one call. What a path, a time law, a weighting or a target
gives at t, and a loss for a pair, must not depend on the other times (t / t.max(), w / w.mean(), sorting), on their
number or order, or on earlier calls (a counter, the clock, noise). Every such function is asked here before it is
judged (`judge`) or trained (`learning.preflight`), by the same calls:

- one time alone, before anything else; then all of them, in order of time; then all of them once more;
- in reverse and in mixed order; the halves, the middle, every seventh, a few, single ones; each twice; in one batch of
  2^17; and at last one alone and all of them again;
- a function of a file: another run of the file, asked for another time alone and then in reverse order. So what is
  frozen at the first call, or drawn when the file is run, is refused too.

**Tolerances.** The same call gives the same number, to 32 units of the last digit of float64. Otherwise two answers are
the same up to one millionth of the value, the least rise that any verdict counts, plus four times what the value moves
by where the time moves by 2^-22 of its distance from the nearer end: float32 functions, kernels whose vector body and
scalar tail round differently, and cancellation near the ends differ by no more. Infinities and NaN must be the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from reproflow.foundation import registry, specs
from reproflow.foundation.errors import UserFunctionError
from reproflow.theory.components import Component
from reproflow.theory.divergences import Divergence
from reproflow.theory.paths import Path
from reproflow.theory.targets import Target
from reproflow.theory.times import TimeLaw
from reproflow.theory.weightings import Weighting

AGAIN = 2.0**-47
SAME = 1e-6
ROUNDING = 2.0**-22
"""Of the distance from the nearer end of (0, 1), or of a number: half a unit of the last digit of float32, and more."""
POINTS = 4096
OCTAVES = 30
LARGE = 1 << 17
LAW = ("time law", "u")
TIMES = "not of the others that are asked for with it, of their order or number, of earlier calls, the clock or chance"

Asked = TypeVar("Asked", bound=Component)
Values = Callable[..., tuple[Tensor, ...]]
"""Rows of one length (n, ..) to values (n,)."""


def times(low: float = 0.0, high: float = 1.0) -> Tensor:
    """Where functions of time are asked in [low, high]: a regular grid, and every octave towards 0 and 1."""
    near = 2.0 ** -torch.arange(2.0, OCTAVES + 1, dtype=torch.float64)
    t = torch.cat([(torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS, near, 1 - near]).unique()
    inside = t[(t >= low) & (t <= high)]
    return (
        inside if len(inside) > POINTS // 8 else torch.linspace(low, high, POINTS // 8 + 2, dtype=torch.float64)[1:-1]
    )


def check_path(path: Path, t: Tensor | None = None) -> None:
    """Raises `UserFunctionError` where alpha or sigma at a time depend on anything but that time."""
    if not vetted(path):
        _check_times(path, lambda path: lambda t: path(t), "path", "t", t)


def check_time_law(law: TimeLaw, u: Tensor | None = None) -> None:
    """Raises `UserFunctionError` where t at a quantile u, or a stated density or cdf, depends on anything else."""
    if not vetted(law):
        forms = [what for what in ("density", "cdf") if law.entry.meta.get(what)]
        _check_times(law, lambda own: lambda u: (own.quantile(u), *(stated(own, w, u) for w in forms)), *LAW, u)


def check_density(density: Component) -> None:
    """Raises `UserFunctionError` where an unnormalised density at a time depends on anything but that time."""
    if not vetted(density):
        _check_times(density, lambda own: lambda t: (own.function(t),), "density", "t", None)


def check_weighting(weighting: Weighting, path: Path, t: Tensor | None = None) -> None:
    """Raises `UserFunctionError` where the factor at a time depends on anything but that time."""
    if not vetted(weighting):
        _check_times(weighting, lambda own: lambda t: (own.at(path.at(t)),), "weighting", "t", t)


def check_target(target: Target, path: Path, t: Tensor | None = None) -> None:
    """Raises `UserFunctionError` where a or b at a time depend on anything but that time."""
    if not vetted(target):
        _check_times(target, lambda own: lambda t: own.coefficients(path.at(t)), "target", "t", t)


def check_divergence(divergence: Divergence, a: Tensor, b: Tensor, t: Tensor, x: Tensor, unit: float = 1.0) -> None:
    """Raises `UserFunctionError` where the loss of a pair depends on anything but that pair, its time and its state.

    a, b, x have shape (B, D) and t shape (B,); targets and predictions are multiplied by `unit`.
    """
    if vetted(divergence):
        return
    rows = unit * a, unit * b, t, x
    moved = tuple((unit * a * (1 - s * ROUNDING), unit * b * (1 + s * ROUNDING), t, x) for s in (-1, 1))
    what = f"divergence {divergence.name!r}: the loss of one pair depends on"
    batch = f"{what} the others in its batch; give one loss a row, of shape (B,), not their sum or mean."
    calls = f"{what} earlier calls, the clock or chance; it must be a function of its a, b, t and x alone."
    _Question(
        _values_of(divergence, lambda own: lambda *rows: (own(*rows),)), rows, moved, lambda *_: batch, calls
    ).ask()


def _check_times(
    component: Asked, values: Callable[[Asked], Values], noun: str, variable: str, t: Tensor | None
) -> None:
    t = times() if t is None else t
    distance = ROUNDING * torch.minimum(t, 1 - t)
    what = f"{noun} {component.name!r}"
    must = f";\nit must be a function of each {variable} alone, {TIMES}."

    def other(how: str, at: int, one: str, two: str) -> str:
        return f"{what} gives {one}, and {two} {how}, at {variable} = {float(t[at]):.6g}{must}"

    again = f"{what} gives another value when it is called again with the same {variable}{must}"
    moved = (t - distance,), (t + distance,)
    _Question(_values_of(component, values), (t,), moved, other, again).ask()


@dataclass(frozen=True)
class _Question:
    """A function with the rows that it is asked for, in order, and those rows moved by rounding.

    `runs` are the function, and another run of its file where it is one of a file's. `other` says, of how it was asked,
    the row and two values, that they differ; `again` that the same call gives another value.
    """

    runs: tuple[Values, ...]
    rows: tuple[Tensor, ...]
    moved: tuple[tuple[Tensor, ...], ...]
    other: Callable[[str, int, str, str], str]
    again: str

    def ask(self) -> None:
        """Raises `UserFunctionError` at the first answer that differs."""
        count = len(self.rows[0])
        everything = torch.arange(count)
        one = everything[count // 3 : count // 3 + 1]
        first = self._at(one)
        whole = self._at(everything)
        self._same_call(whole, self._at(everything))
        self._compare("alone", one, first, whole)
        for how, rows in _companies(count):
            self._compare(how, rows, self._at(rows), whole)
        self._same_call(first, self._at(one))
        self._same_call(whole, self._at(everything))
        for values in self.runs[1:]:
            for rows in (everything[2 * count // 3 :][:1], everything.flip(0)):
                self._compare("when its file is run anew", rows, self._at(rows, values), whole)

    def _at(self, rows: Tensor, values: Values | None = None) -> Tensor:
        return _stacked((values or self.runs[0])(*(each[rows] for each in self.rows)))

    def _same_call(self, found: Tensor, again: Tensor) -> None:
        if bool(_apart(found, again, AGAIN * found.abs()).any()):
            raise UserFunctionError(self.again)

    def _compare(self, how: str, rows: Tensor, found: Tensor, whole: Tensor) -> None:
        """Values found at some rows, in company of each other, with those of all."""
        expected = whole[:, rows]
        apart = _apart(found, expected, SAME * expected.abs())
        if bool(apart.any()):
            apart &= _apart(found, expected, SAME * expected.abs() + 4 * self._rounding(whole)[:, rows])
        if bool(apart.any()):
            at = int(apart.any(0).nonzero()[0])
            one, two = (_shown(each[:, at]) for each in (expected, found))
            raise UserFunctionError(self.other(how, int(rows[at]), one, two))

    def _rounding(self, whole: Tensor) -> Tensor:
        """What the values move by where the rows do by rounding."""
        differences = [(_stacked(self.runs[0](*rows)) - whole).abs().nan_to_num(posinf=0.0) for rows in self.moved]
        return torch.stack(differences).amax(0)


def _companies(count: int) -> Iterator[tuple[str, Tensor]]:
    """How all rows, or some of them, are asked otherwise than all in order: in words, and by index."""
    rows = torch.arange(count)
    yield "in reverse order", rows.flip(0)
    yield "in mixed order", torch.randperm(count, generator=torch.Generator().manual_seed(0))
    some = "with others beside it"
    yield some, rows[: count // 2]
    yield some, rows[count // 2 :]
    yield some, rows[2 * count // 5 : 3 * count // 5]
    yield some, rows[::7]
    for size in (2, 3, 17):
        yield some, rows[-size - 1 : -1]
    for place in (0, count // 4, count // 2, 9 * count // 10, count - 1):
        yield "alone", rows[place : place + 1]
    yield "with each of them twice", rows.repeat_interleave(2)
    yield f"in a batch of {LARGE}", rows.repeat(-(-LARGE // count))[:LARGE]


def _apart(found: Tensor, expected: Tensor, tolerance: Tensor) -> Tensor:
    same = (found == expected) | (found.isnan() & expected.isnan()) | ((found - expected).abs() <= tolerance)
    return ~same


def _stacked(values: tuple[Tensor, ...]) -> Tensor:
    return torch.stack([each.detach() for each in values])


def _shown(values: Tensor) -> str:
    numbers = [f"{float(value):.6g}" for value in values]
    return numbers[0] if len(numbers) == 1 else f"({', '.join(numbers)})"


def vetted(component: Component) -> bool:
    """Whether it is an expression, evaluated entry by entry, or a function of this package, which is tested."""
    module = getattr(component.entry.function, "__module__", "")
    return module.startswith(registry.PACKAGE) or bool(component.entry.meta.get("expression"))


def stated(law: TimeLaw, what: str, t: Tensor) -> Tensor:
    """The `density` or `cdf` that a law states, at t. Raises `UserFunctionError` where it raises, or has no numbers."""
    try:
        found = law.density(t) if what == "density" else law.cdf(t)
    except Exception as error:  # it is anybody's code
        raise UserFunctionError(
            f"time law {law.name!r}: its {what} raised {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        ) from error
    if not isinstance(found, Tensor) or found.shape != t.shape:
        raise UserFunctionError(f"time law {law.name!r}: its {what} must give a tensor of t's shape.")
    return found.detach().to(t)


def _values_of(component: Asked, values: Callable[[Asked], Values]) -> tuple[Values, ...]:
    """The component's values, and those of another run of its file."""
    from reproflow.theory import user_functions

    if not user_functions.is_of_file(component.function):
        return (values(component),)
    spec = specs.parse(component.entry.where, component.entry.kind)
    function = functools.partial(user_functions.load_again(component.entry.kind, spec), **component.params)
    return values(component), values(replace(component, function=function))
