"""A user's `sample(model, n)`, called: its own steps, its steps doubled, and the samples in what it returns."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reproflow.auditing.evaluation import generators_kept
from reproflow.foundation.errors import UsageError

Sampler = Callable[..., Any]
STEPS = (
    "steps", "num_steps", "n_steps", "nsteps", "num_sampling_steps", "sampling_steps", "num_inference_steps",
    "sampling_timesteps", "nfe", "N",
)  # fmt: skip
HOLDERS = ("samples", "sample", "images", "x", "prev_sample")
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def steps(sampler: Sampler) -> tuple[str, int] | None:
    """The argument that says the number of steps, and its default; None where there is none."""
    try:
        parameters = inspect.signature(sampler).parameters
    except (TypeError, ValueError):
        return None
    for name in STEPS:
        if name in parameters:
            default = parameters[name].default
            if isinstance(default, int | float) and not isinstance(default, bool) and default == int(default):
                return name, int(default)
    return None


def call(sampler: Sampler, model: nn.Module, count: int, shape: tuple[int, ...], seed: int, **options: int) -> Tensor:
    """Samples of shape (count, *shape), float64 or whole numbers; equal seeds draw alike.

    Raises `UsageError` for a sampler that raises, or that returns none such.
    """
    with generators_kept():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  the user's code draws from the global generator
        try:
            result = sampler(model, count, **options)
        except Exception as error:
            raise UsageError(_reason(error)) from error
    found = _tensors(result)
    fitting = [each for each in found if each.numel() == count * int(np.prod(shape)) and len(each) == count]
    if not fitting:
        shapes = ", ".join(str(tuple(each.shape)) for each in found) or type(result).__name__
        wanted = ", ".join(map(str, (count, *shape)))
        raise UsageError(f"the sampler returned {shapes}: return samples of shape ({wanted}), in the data's own range.")
    samples = fitting[-1].detach().cpu().reshape(count, *shape)
    return samples.double() if samples.is_floating_point() else samples


def _tensors(result: Any) -> list[Tensor]:
    """The tensors that something returned holds: itself, the entries of a list or a dict, or a usual attribute."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, np.ndarray):
        return [torch.as_tensor(result)]
    if isinstance(result, Mapping):
        return [each for key in HOLDERS if key in result for each in _tensors(result[key])]
    if isinstance(result, list | tuple):
        return [each for part in result for each in _tensors(part)]
    return [each for key in HOLDERS if hasattr(result, key) for each in _tensors(getattr(result, key))]


def _reason(error: Exception) -> str:
    """One line: what went wrong, and the user's line."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_PACKAGE)]
    own = [each for each in frames if f"{os.sep}torch{os.sep}" not in each.filename]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    words = " ".join(str(error).split())[:200]
    if isinstance(error, UsageError):
        return f"the sampler cannot be run{place}: {words}."
    if isinstance(error, AttributeError):
        return f"the sampler raised AttributeError{place}: {words}; set what it asks of the network: model.NAME = ..."
    return f"the sampler raised {type(error).__name__}{place}: {words}"
