"""A noun as a user writes it: `name` or `name:param=value,param=value`.

The canonical text of a spec sorts its parameters; its slug holds only characters that are safe in file names and in
Snakemake wildcards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reproflow.foundation.errors import UsageError, did_you_mean

SLUG = re.compile(r"[a-z0-9_.~+-]{1,200}")
_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_]+)(?::(?P<params>.*))?")


@dataclass(frozen=True)
class Spec:
    """A registered name with the parameters that were set."""

    name: str
    params: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        if not self.params:
            return self.name
        return f"{self.name}:{','.join(f'{key}={value:g}' for key, value in self.params)}"

    @property
    def slug(self) -> str:
        return "~".join([self.name, *(f"{key}{value:g}" for key, value in self.params)]).lower()


def parse(text: str, what: str = "spec") -> Spec:
    """Parses `name:param=value,..`. Raises `UsageError` for anything else, or for a value that is not finite."""
    match = _SPEC.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise UsageError(f"{what} {text!r} is not of the form name or name:param=value,param=value.")
    params = {}
    for item in filter(None, (match["params"] or "").split(",")):
        key, separator, value = (part.strip() for part in item.partition("="))
        number = _number(value)
        if not separator or number is None or key in params:
            raise UsageError(f"{what} {text!r}: {item!r} is not param=finite number (each param once).")
        params[key] = number
    return Spec(match["name"], tuple(sorted(params.items())))


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


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
