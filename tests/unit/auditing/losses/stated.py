"""What a loss of the catalogue is known to be, by the formulas that it was written from: the audit has to find it out.

`state(tau)` is (A, B) of the network's input A x1 + B eps at the number tau that the network gets for its time, and
`aim(tau)` is (a, b) of the target a x1 + b eps; float64 arrays in and out. The four texts `weighting`, `on`, `path` and
`time` are the objective as `reproflow check weighting` takes it, with the noise at t = 0 and the data at t = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Pair = Callable[[np.ndarray], tuple[Any, Any]]
SHAPE = (3, 4, 4)
BATCH = 16
LENGTH = 32
VOCABULARY = 11
MASK = 11


@dataclass(frozen=True)
class Stated:
    """A loss and its objective.

    `target` is the registered name of what the network is asked for, or what it is called otherwise. `law` is the time
    law by its registered name, `steps` the number of levels of a chain. `near` is the precision of the canonical weight
    against the continuous objective. `verdict` is the bound's. `exact` is the precision of path and target in float32.
    """

    key: str
    loss: Callable[..., Any]
    target: str
    weighting: str
    on: str
    path: str
    time: str
    verdict: str
    state: Pair | None
    aim: Pair | None
    near: float
    exact: float
    steps: int = 0
    calls: int = 1
    data: tuple[float, float] | None = None


CATALOGUE: dict[str, Stated] = {}


def stated(
    weighting: str,
    on: str,
    *,
    path: str = "linear",
    time: str = "uniform",
    target: str = "",
    verdict: str = "certified",
    state: Pair | None = None,
    aim: Pair | None = None,
    near: float = 1e-3,
    exact: float = 1e-6,
    **more: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts the loss into the catalogue under its own name; the target is what the weighting is on unless named."""

    def put(loss: Callable[..., Any]) -> Callable[..., Any]:
        key = loss.__name__
        assert key not in CATALOGUE, key
        CATALOGUE[key] = Stated(
            key, loss, target or on, weighting, on, path, time, verdict, state, aim, near, exact, **more
        )
        return loss

    return put


def by_level(levels: Any, x: Any) -> Any:
    """One number a sample, (B,), against (B, C, H, W)."""
    return levels.view(-1, *(1,) * (x.ndim - 1))
