r"""Functions written with t = 0 at the data, turned into this package's time, where t = 0 is noise.

With s = 1 - t the time of such functions,

.. math:: \alpha(t) = \alpha^*(1 - t), \qquad w(t, \lambda) = w^*(1 - t, \lambda), \qquad Q(u) = 1 - Q^*(1 - u),

the last for a time law: where 1 - T has the quantile map Q*, T has Q. The log-SNR is that of the same x_t, so it does
not change; dlam, its derivative in the function's own time, changes its sign. Registered names are in this package's
time already and stay as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.components import Component
from reproflow.theory.log_snr import log_snr
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path
from reproflow.theory.times import TimeLaw
from reproflow.theory.weightings import Weighting

NOISE_TO_DATA = "noise-to-data"
DATA_TO_NOISE = "data-to-noise"
DIRECTIONS = (NOISE_TO_DATA, DATA_TO_NOISE)
POINTS = 512

Function = Callable[..., Any]


def is_turned(time_runs: str | None) -> bool:
    """Whether functions are to be turned. Raises `UsageError` for a direction that is none."""
    if time_runs not in (None, *DIRECTIONS):
        raise UsageError(
            f"--time-runs {time_runs!r} is no direction;{did_you_mean(str(time_runs), DIRECTIONS)} "
            f"known: {', '.join(DIRECTIONS)}"
        )
    return time_runs == DATA_TO_NOISE


def turned(objective: Objective) -> Objective:
    """The objective of components whose own functions have the data at t = 0; registered ones stay as they are."""
    path, law, weighting = objective.path, objective.time, objective.weighting
    return replace(
        objective,
        path=path if path.is_registered else turned_path(path),
        time=law if law.is_registered else turned_law(law),
        weighting=weighting if weighting.is_registered else turned_weighting(weighting),
    )


def turned_path(path: Path) -> Path:
    """alpha and sigma at 1 - t."""
    return replace(path, function=_around(path, lambda function, t, **_: function(1 - t)))


def turned_law(law: TimeLaw) -> TimeLaw:
    """The law of 1 - T, with its closed forms if it states them."""
    meta, density, cdf = dict(law.entry.meta), law.entry.meta.get("density"), law.entry.meta.get("cdf")
    if density:
        meta["density"] = lambda t, **params: density(1 - t, **params)
    if cdf:
        meta["cdf"] = lambda t, **params: 1 - cdf(1 - t, **params)
    function = _around(law, lambda function, u, **_: 1 - function(1 - u))
    return replace(law, function=function, entry=replace(law.entry, meta=meta))


def turned_weighting(weighting: Weighting) -> Weighting:
    """The factor at 1 - t and the same log-SNR."""
    if weighting.entry.meta.get("expression"):
        return replace(weighting, function=lambda c: weighting.function(_turned(c)))
    function = _around(weighting, lambda function, t, lam, **_: function(1 - t, lam))
    return replace(weighting, function=function)


def _turned(c: Coefficients) -> Coefficients:
    return Coefficients(1 - c.t, c.alpha, c.sigma, -c.dalpha, -c.dsigma, c.process)


def _around(component: Component, change: Function) -> Function:
    """The component's function changed; its parameters, which are bound in it, can be read off as before."""
    return functools.partial(change, component.function, **component.params)


def is_reversed(path: Path) -> bool:
    """Whether the SNR of a path falls with t all the way: its function has the data at t = 0."""
    t: Tensor = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    lam = log_snr(path, t).detach()
    return bool((lam.diff() < 0).all() and lam.isfinite().all())


def warnings(path: Path, time_runs: str | None) -> list[str]:
    """What the path given says against the direction of time that was said, in words; no verdict depends on it."""
    if path.is_registered or not is_reversed(path):
        return []
    if is_turned(time_runs):
        return [
            f"path {path.name!r} has the noise at t = 0 by itself, and --time-runs data-to-noise has turned it round: "
            "leave the option out"
        ]
    return [f"path {path.name!r} has the data at t = 0: --time-runs data-to-noise turns your own functions round"]
