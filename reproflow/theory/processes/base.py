r"""A process: how data and noise become x_t, and what theory needs of it to state one objective in another's terms.

A process is one module in this package with one function that `process` registers; `get_process` finds it by name. What
is trained, sampled and evaluated with it is entered by the layers that own it (`foundation.by_process`).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from numpy import ndarray
from torch import Tensor

from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.processes import Facts


@dataclass(frozen=True)
class Process:
    """What theory needs of a process; alpha, sigma and their derivatives are tensors of one shape.

    The log-SNR is `log_snr_power` log(alpha / sigma). `prediction` is what a network puts out unless asked otherwise;
    where `converts`, errors of one registered target are errors of another (LOSS-5), else there is one loss.
    """

    name: str
    prediction: str
    converts: bool
    log_snr_power: int
    elbo_coefficient: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    """Of (alpha, sigma, alpha', sigma'): the ELBO integrand's coefficient on the process's own loss."""
    reference: str
    """In words, the loss of a predictor that knows no data."""
    reference_error: Callable[[ndarray], ndarray]
    """Of sigmoid(lam): that loss per unit of lam under the ELBO's weight, up to a factor."""


Builder = Callable[[], Process]


def process(name: str, facts: Facts) -> Callable[[Builder], Builder]:
    """Decorator: registers a function without arguments that returns the `Process`.

    `facts` are what a configuration is held to before anything is imported; they go to `names.json`.
    """
    return registry.register("process", name, process=name, facts=facts)


@functools.cache
def get_process(name: str) -> Process:
    """The process of that name. Raises `UsageError` for an unknown one."""
    load()
    known = [entry.name for entry in registry.entries("process")]
    if name not in known:
        raise UsageError(f"unknown process {name!r};{did_you_mean(name, known)} known: {', '.join(known)}")
    return registry.get("process", name, name).function()


def facts(name: str) -> Facts:
    """The declared facts of a process. Raises `UsageError` for an unknown one."""
    get_process(name)
    declared: Facts = registry.get("process", name, name).meta["facts"]
    return declared


def registered() -> tuple[str, ...]:
    """Every process, by name."""
    load()
    return tuple(entry.name for entry in registry.entries("process"))


def with_prediction(prediction: str) -> tuple[str, ...]:
    """The processes in which a weighting may multiply a prediction; all of them for `canonical`."""
    load()
    return tuple(entry.name for entry in registry.entries("process") if prediction in entry.meta["facts"].weighted)


def load() -> None:
    """Imports every module of this package, which registers its process."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
