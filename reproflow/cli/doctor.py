"""`reproflow doctor`: whether this installation can do its work, one line a check."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

LIBRARIES = ("torch", "torchvision", "torch_fidelity", "numpy", "scipy", "pandas", "sklearn", "seaborn", "snakemake")
NEEDED_GIB = 2.0


def run() -> list[tuple[str, str, str]]:
    """(what, state, detail) of every check; state is ok, note or FAILED. A check that raises has failed."""
    checks: dict[str, Callable[[], tuple[str, str]]] = {"python": _python, "disk": _disk, "list of names": _names}
    checks |= {name: functools.partial(_library, name) for name in LIBRARIES}
    checks |= {"device": _device, "arithmetic": _arithmetic, "workflow": _workflow}
    return [(name, *_checked(check)) for name, check in checks.items()]


def _checked(check: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    try:
        return check()
    except Exception as error:  # a doctor reports whatever is wrong
        return "FAILED", f"{type(error).__name__}: {error}".partition("\n")[0]


def _python() -> tuple[str, str]:
    fits = (3, 11) <= tuple(map(int, platform.python_version_tuple()[:2])) < (3, 14)
    return ("ok" if fits else "FAILED"), f"{platform.python_version()}, {os.cpu_count()} cores"


def _library(name: str) -> tuple[str, str]:
    module = importlib.import_module(name)
    return "ok", str(getattr(module, "__version__", "imported"))


def _disk() -> tuple[str, str]:
    free = shutil.disk_usage(".").free / 2**30
    return ("ok" if free > NEEDED_GIB else "FAILED"), f"{free:.1f} GiB free here, {NEEDED_GIB:g} needed"


def _names() -> tuple[str, str]:
    from reproflow.foundation import names

    return "ok", f"{len(names.known())} registered names"


def _device() -> tuple[str, str]:
    import torch

    if not torch.cuda.is_available():
        return "note", "no CUDA device; runs use the CPU"
    return "ok", torch.cuda.get_device_name()


def _arithmetic() -> tuple[str, str]:
    """Forward-mode derivatives and double precision work in this torch."""
    import torch

    from reproflow.theory.paths import get_path

    c = get_path("linear").at(torch.tensor([0.25, 0.5], dtype=torch.float64))
    wanted = 2 / (c.t * (1 - c.t))
    return (
        "ok" if torch.allclose(c.dlam, wanted, rtol=1e-12) else "FAILED"
    ), "d log-SNR of the linear path is 2 / (t (1 - t)) in float64"


def _workflow() -> tuple[str, str]:
    here = Path("workflow/Snakefile")
    return ("ok", str(here)) if here.is_file() else ("note", "not in a clone: check and verify work, the DAG does not")
