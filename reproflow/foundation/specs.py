"""A noun as a user writes it: a registered name, a function in a file, or an expression.

===================================  =================================================================
`min_snr` or `min_snr:gamma=3`       a registered name, with parameters
`my.py:weight` or `my.py:weight:g=3` a function in a user's file, relative to the working directory
`expr:exp(-lam/2)`                   an expression in the kind's variables (`foundation.expression_syntax`)
===================================  =================================================================

In a configuration the last two carry a name, `{name: mine, spec: my.py:weight, on: x1}`, under which they stand in cell
keys and tables. The canonical text of a spec sorts its parameters; its slug holds only characters that are safe in file
names and in Snakemake wildcards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reproflow.foundation.errors import UsageError, did_you_mean

CHANGES_NO_NUMBER = "a spec is a part of the fingerprint by itself, with its parameters"

SLUG = re.compile(r"[a-z0-9_.~+-]{1,200}")
EXPRESSION = "expr:"
_REGISTERED = re.compile(r"(?P<name>[A-Za-z0-9_]+)(?::(?P<params>.*))?")
_FUNCTION = re.compile(r"(?P<source>.+\.py:[A-Za-z_]\w*)(?::(?P<params>.*))?")


@dataclass(frozen=True)
class Spec:
    """A noun, not yet looked up.

    `name` is the registered name, or what a user calls his own; `source` is empty for a registered noun, else
    `FILE.py:FUNCTION` or `expr:..`; `on` is what a user's weighting multiplies, empty where he does not say.
    """

    name: str
    params: tuple[tuple[str, float], ...] = ()
    source: str = ""
    on: str = ""

    @property
    def registered(self) -> bool:
        return not self.source

    @property
    def file(self) -> str:
        """The user's file, or nothing."""
        return "" if self.registered or self.is_expression else self.source.rpartition(":")[0]

    @property
    def function(self) -> str:
        """The name of the function in the user's file, or nothing."""
        return self.source.rpartition(":")[2] if self.file else ""

    @property
    def is_expression(self) -> bool:
        return self.source.startswith(EXPRESSION)

    @property
    def expression(self) -> str:
        """The text of an expression, or nothing."""
        return self.source.removeprefix(EXPRESSION) if self.is_expression else ""

    def __str__(self) -> str:
        if not self.params or not self.registered:
            return self.name
        return f"{self.name}:{_text(self.params, ',', '=')}"

    @property
    def slug(self) -> str:
        return (f"{self.name}~{_text(self.params, '~', '')}" if self.params and self.registered else self.name).lower()


def parse(text: Any, what: str = "spec") -> Spec:
    """The spec of a text, or of a configuration's `{name, spec, on}`.

    Raises `UsageError` for anything else, or for a parameter that is not a finite number.
    """
    if isinstance(text, Spec):
        return text
    if isinstance(text, Mapping):
        inner = parse(text["spec"], what)
        if inner.registered:
            raise UsageError(f"{what} {text['spec']!r} is a registered name; write it without a name of its own.")
        return replace(inner, name=text["name"], on=text.get("on") or "")
    if isinstance(text, str) and text.strip().startswith(EXPRESSION):
        return Spec(text.strip(), source=text.strip())
    for form in (_FUNCTION, _REGISTERED):
        if isinstance(text, str) and (match := form.fullmatch(text.strip())):
            params = _params(match["params"] or "", text, what)
            return Spec(match["name"], params) if form is _REGISTERED else Spec(text.strip(), params, match["source"])
    raise UsageError(
        f"{what} {text!r} is none of name, name:param=value,param=value, FILE.py:FUNCTION and expr:EXPRESSION."
    )


def bind(spec: Spec, defaults: Mapping[str, Any], ranges: Mapping[str, Any], what: str) -> dict[str, float]:
    """The full parameters of a spec, defaults filled in.

    `ranges` gives open intervals by parameter. Raises `UsageError` for a parameter the noun does not have, or a value
    outside its range.
    """
    for key, value in spec.params:
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise UsageError(
                f"{what} {spec.name!r} has no parameter {key!r};{did_you_mean(key, defaults)} known: {known}"
            )
        low, high = ranges.get(key, (-math.inf, math.inf))
        if not low < value < high:
            raise UsageError(f"{what} {spec.name!r}: {key} = {value:g} is outside its range ({low:g}, {high:g}).")
    return {**defaults, **dict(spec.params)}


def _params(text: str, whole: str, what: str) -> tuple[tuple[str, float], ...]:
    params = {}
    for item in filter(None, text.split(",")):
        key, separator, value = (part.strip() for part in item.partition("="))
        number = _number(value)
        if not separator or number is None or key in params:
            raise UsageError(f"{what} {whole!r}: {item!r} is not param=finite number (each param once).")
        params[key] = number
    return tuple(sorted(params.items()))


def _text(params: tuple[tuple[str, float], ...], between: str, equals: str) -> str:
    return between.join(f"{key}{equals}{value:g}" for key, value in params)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
