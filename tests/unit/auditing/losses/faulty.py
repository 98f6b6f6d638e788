"""The catalogue of losses with a bug or a design that an audit must notice: which finding, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Faulty:
    """`finding` must be among the audit's, `others` may be; `expect` are the words after --expect where it takes them.

    `options` go to `audit`. `source` is the report of the bug where it is a real one.
    """

    key: str
    loss: Callable[..., Any]
    finding: str
    others: tuple[str, ...] = ()
    expect: dict[str, str] | None = None
    sampler: Callable[..., Any] | None = None
    tokens: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    source: str = ""


FAULTY: dict[str, Faulty] = {}


def faulty(finding: str, *others: str, **facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts the loss into the catalogue under its own name."""

    def put(loss: Callable[..., Any]) -> Callable[..., Any]:
        key = loss.__name__
        assert key not in FAULTY, key
        FAULTY[key] = Faulty(key, loss, finding, others, **facts)
        return loss

    return put
