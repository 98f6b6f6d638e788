"""Functions from a user's file, run with every promise checked at each call.

One that raises, gives another shape, a NaN inside (0, 1), or draws from a global random generator is refused with a
`UserFunctionError` that names the function, the line, and the first bad time. What a value *means* (negative, infinite,
wrong at the ends) is not for here: `judge` says so, and training refuses it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation import child_process, registry
from reproflow.foundation.errors import InterruptedRun, ReproflowError, UsageError, UserFunctionError
from reproflow.foundation.specs import Spec
from reproflow.theory import user_function_results
from reproflow.theory.coefficients import Coefficients

MODULES = "reproflow_user_file_"
"""How the names of modules that hold user files begin."""
DIFFERENTIATED = ("path", "time", "weighting", "divergence")


def load(kind: str, spec: Spec) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The guarded function of a spec, and the meta data of its own decorator if it has one (`on`, `density`, `cdf`)."""
    module = _module(str(Path(spec.file).resolve()), spec.file)
    function = getattr(module, spec.function, None)
    if not callable(function):
        raise UsageError(f"{kind} {spec.source!r}: {spec.function!r} in {spec.file} is not a function.")
    entry = registry.of_function(kind, function)
    return functools.partial(_guarded, function, kind, spec), dict(entry.meta) if entry else {}


def is_of_file(function: Callable[..., Any]) -> bool:
    """Whether it is what `load` gives, its parameters bound, and not something made of that."""
    return isinstance(function, functools.partial) and function.func is _guarded


def load_again(kind: str, spec: Spec) -> Callable[..., Any]:
    """As `load`, of another run of the file (`run_again`)."""
    return functools.partial(_guarded, getattr(run_again(spec), spec.function), kind, spec)


def run_again(spec: Spec) -> ModuleType:
    """Another run of a user's file, which shares nothing with the first but the modules that both import.

    What the file decorates enters no registry, and the first run stays the one that everything else calls.
    """
    path = str(Path(spec.file).resolve())
    name = f"{MODULES}{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    first = sys.modules.get(name)
    try:
        with registry.another_run():
            return _module.__wrapped__(path, spec.file)
    finally:
        if first is not None:
            sys.modules[name] = first


def _guarded(function: Callable[..., Any], kind: str, spec: Spec, *arguments: Any, **params: float) -> Any:
    nothing = user_function_results.of_nothing(kind, arguments)
    if nothing is not None:
        return nothing
    body = functools.partial(function, **params)
    # Layers draw their first weights from torch's global generator.
    body = functools.partial(seeded, body) if kind == "network" else body
    value = call(body, kind, spec, *arguments)
    return user_function_results.checked(value, kind, arguments, spec)


def call(function: Callable[..., Any], kind: str, spec: Spec, *arguments: Any) -> Any:
    """The value of a user's code at copies of the arguments, which it may change in place.

    Raises `UserFunctionError` where it raises anything, or draws from a global random generator; a generator that it is
    called with it may draw from.
    """
    before, process = _RandomState(), os.getpid()
    try:
        value = function(*map(_copy, arguments))
    except InterruptedRun:
        raise
    except ReproflowError as error:
        raise UserFunctionError(str(error)) from error
    except (Exception, SystemExit) as error:
        raise UserFunctionError(_because(kind, spec, error)) from error
    except KeyboardInterrupt as error:
        # A child hears no key of the user's: the function raised it.
        if not child_process.inside():
            raise
        raise UserFunctionError(_because(kind, spec, error)) from error
    finally:
        _end_copies(process)
    if before.has_moved():
        raise UserFunctionError(
            f"{kind} {spec.name!r} draws from the global random generator; it must be a function of its arguments."
        )
    return value


def seeded(function: Callable[..., Any], *arguments: Any) -> Any:
    """The value of a function that may draw from torch's global generator: seeded for it, and put back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return function(*arguments)


def _copy(argument: Any) -> Any:
    if isinstance(argument, Coefficients):
        return argument.map(torch.clone)
    return argument.clone() if isinstance(argument, Tensor) else argument


def _end_copies(process: int) -> None:
    """Ends a copy of the process that user code has made by a fork, which would go on with the host's work."""
    if os.getpid() != process:
        os._exit(1)


def _because(kind: str, spec: Spec, error: BaseException) -> str:
    """Where in the user's file it went wrong, and how."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == Path(spec.file).resolve()]
    line = f", line {frames[-1].lineno}" if frames else ""
    try:
        words = (str(error) or type(error).__name__).splitlines()[0]
    except Exception:
        words = f"{type(error).__name__}, whose own message cannot be read"
    outside = not frames and kind in DIFFERENTIATED
    cure = "; it is called with float64 tensors and differentiated by torch.func.jvp" if outside else ""
    return f"{kind} {spec.name!r} raised {type(error).__name__} in {spec.file}{line}: {words}{cure}"


class _RandomState:
    """The states of the global generators of random, numpy and torch."""

    def __init__(self) -> None:
        self.python = random.getstate()
        self.numpy: Any = np.random.get_state(legacy=True)  # noqa: NPY002 (it is the global one that is watched)
        self.torch = torch.get_rng_state()

    def has_moved(self) -> bool:
        """Has anything been drawn since?"""
        now = _RandomState()
        # Compared as tensors: within jvp a new tensor is a wrapper whose memory cannot be read.
        same = torch.equal(self.torch, now.torch) and self.python == now.python
        return not (same and self.numpy[2] == now.numpy[2] and np.array_equal(self.numpy[1], now.numpy[1]))


@functools.cache
def _module(path: str, shown: str) -> ModuleType:
    """The user's file as a module; its folder is where its own imports look first."""
    name = f"{MODULES}{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(Path(path).parent))
    process = os.getpid()
    try:
        with registry.loading_user_file():
            spec.loader.exec_module(module)
    except ReproflowError:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and not child_process.inside():
            raise
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
        line = f", line {frames[-1].lineno}" if frames else ""
        raise UserFunctionError(f"{shown}{line} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        _end_copies(process)
        sys.path.remove(str(Path(path).parent))
    return module


def member(spec: Spec) -> Any:
    """What a name in a user's file holds, be it a function or not; None where the file has no such name."""
    return getattr(_module(str(Path(spec.file).resolve()), spec.file), spec.function, None)
