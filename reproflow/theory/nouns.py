"""From a spec to a noun: a registered function with its parameters bound."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reproflow.foundation import registry, specs


@dataclass(frozen=True)
class Noun:
    """A registered function with bound parameters; `name` is the canonical text of its spec."""

    name: str
    process: str
    entry: registry.Entry
    function: Callable[..., Any]

    @property
    def params(self) -> dict[str, Any]:
        return getattr(self.function, "keywords", {})


def resolve(kind: str, spec: str, process: str = "gaussian") -> Noun:
    """The noun a spec names.

    Raises `UsageError` for an unknown name, an unknown parameter or a value outside its range.
    """
    parsed = specs.parse(spec, kind)
    entry = registry.get(kind, parsed.name, process)
    params = specs.bind(parsed, entry.params, entry.meta.get("ranges", {}), kind)
    return Noun(str(parsed), process, entry, functools.partial(entry.function, **params))
