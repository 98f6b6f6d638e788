"""Measures of a trained cell: a decorator that registers one, what it is given, and what it gives back.

    @measure("precision", process=processes.trained(), facts=Facts(heading="Precision", unit="", ..))
    def precision(subject: Subject) -> Measured | None: ...

A measure is a function of a `Subject`: a trained network with its data and its samples. One file registers one, found
by its module's being under `evaluation`; `reproflow list --refresh` then enters it into `names.json`, from where
schema, tables and regression checks know it.
"""

from __future__ import annotations

import functools
import importlib
import logging
import math
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from reproflow.evaluation.features import fid_kid
from reproflow.evaluation.features.extractors import Extractor, digits_extractor
from reproflow.foundation import registry
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import InterruptedRun, ReproflowError, UserFunctionError
from reproflow.foundation.measures import Facts, Measure
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.networks.denoiser import GaussianDenoiser, MaskedDenoiser

log = logging.getLogger(__name__)

Denoiser = GaussianDenoiser | MaskedDenoiser
Value = TypeVar("Value")


class Reference:
    """The features of an image data set's train and held-out split, for one feature network."""

    def __init__(self, data: ImageData, weights: Path, device: torch.device) -> None:
        self.extractor: Extractor = digits_extractor(weights, data)
        self.device = str(device)
        self.train, self.test = (
            fid_kid.extract(data.images(data.tokens(split)), self.extractor) for split in ("train", "test")
        )


@dataclass(frozen=True)
class Subject:
    """A trained cell to be measured: `drawn` are its samples with their labels, if there are any.

    `reference`: the features that samples are compared with; None where nothing is compared with any.
    """

    denoiser: Denoiser
    experiment: Experiment
    data: ToyData | ImageData
    drawn: Mapping[str, Tensor] = field(default_factory=dict)
    reference: Reference | None = None

    @functools.cached_property
    def features(self) -> fid_kid.Features:
        """The samples' features, extracted once for all measures. Raises `UsageError` as `fid_kid.extract` does."""
        assert self.reference is not None
        assert isinstance(self.data, ImageData)
        return fid_kid.extract(self.data.images(self.drawn["samples"]), self.reference.extractor)


@dataclass(frozen=True)
class Measured:
    """A number with its standard error, None where it is refused, which `reason` explains.

    `about`: further columns. `nats`: what is kept of every point. `failed`: whether the cell has failed by this.
    """

    value: float | None
    se: float | None = None
    reason: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    nats: Mapping[str, Tensor] = field(default_factory=dict)
    failed: bool = False


Function = Callable[[Subject], Measured | None]


def measure(
    name: str, *, facts: Facts, process: str | tuple[str, ...], cite: str = ""
) -> Callable[[Function], Function]:
    """Decorator: registers a function of a `Subject` as the measure `name`, which is also its column of cells.csv.

    The function gives None where the configuration asks for no such number. What it raises leaves its column empty. A
    measure that is computed in another way for another process is registered once for each, with the same facts.
    """
    return registry.register("measure", name, process=process, cite=cite, facts=facts)


@dataclass(frozen=True)
class Outcome:
    """What came of a cell's measures: columns of cells.csv, the nats of every point, and why columns are empty."""

    columns: dict[str, Any]
    nats: dict[str, Tensor]
    status: str = "ok"
    reason: str = ""


def compute(subject: Subject, measures: Iterable[Measure]) -> Outcome:
    """Every measure of a cell, each on its own: one that cannot be had leaves its columns empty and says why.

    A required one that is missing means that the cell has failed.
    """
    columns: dict[str, Any] = {}
    nats: dict[str, Tensor] = {}
    reasons: dict[str, list[str]] = {}
    failed = False
    for each in measures:
        found, why = attempt(each.name, function_of(each, subject.experiment.process), subject)
        if found is not None:
            columns |= {} if found.value is None else {each.name: found.value, f"{each.name}_se": found.se}
            columns |= found.about
            nats |= found.nats
            failed = failed or found.failed or (each.facts.required and found.value is None)
            reasons |= {found.reason: []} if found.reason else {}
        elif why:
            failed = failed or each.facts.required
            reasons.setdefault(why, []).append(each.facts.family or each.name)
    lines = [f"{listed(families)} cannot be had: {why}" if families else why for why, families in reasons.items()]
    return Outcome(columns, nats, "failed" if failed else "ok", "; ".join(lines))


def function_of(measure: Measure, process: str) -> Function:
    """The function that computes a measure; only its own module is imported."""
    importlib.import_module(measure.where[process].partition(":")[0])
    return registry.get("measure", measure.name, process).function


def attempt(name: str, function: Callable[..., Value], *arguments: Any) -> tuple[Value | None, str]:
    """What a function gives, or None and why it cannot be had: the other measures and the other cells go on.

    A stop, a fault of the disk and too little memory are no cell's outcome, and end the job; a user's function that
    fails is the whole cell's.
    """
    try:
        return function(*arguments), ""
    except (UserFunctionError, InterruptedRun, OSError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        known = isinstance(error, ReproflowError)
        log.warning("%s cannot be had", name, exc_info=not known)
        return None, " ".join((str(error) if known else f"{type(error).__name__}: {error}").split())


def listed(families: list[str]) -> str:
    """`FID`, `FID and KID`: every family once."""
    *most, last = dict.fromkeys(families)
    return f"{', '.join(most)} and {last}" if most else last


def mean_error(values: Tensor) -> float:
    """The standard error of the mean over points."""
    return float(values.std() / math.sqrt(len(values)))


def load() -> None:
    """Imports every module of evaluation, which registers their measures: for writing the list of names."""
    package = importlib.import_module("reproflow.evaluation")
    for found in sorted(each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")):
        importlib.import_module(found)
