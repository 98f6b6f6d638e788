"""The times of a path at log-SNRs, bisected once: names, laws and candidates ask for the same ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from reproflow.foundation import specs
from reproflow.foundation.specs import Spec
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.paths import get_path

KEPT = 64


def times_on(path: str | Spec, lam: np.ndarray, process: str = "gaussian") -> np.ndarray:
    """t in (0, 1) at log-SNRs (P,) on the path of a spec, (P,); NaN out of its reach.

    Raises `UsageError` for a spec that names no path.
    """
    spec = specs.parse(path, "path")
    # A name that has got another function is another path.
    function = get_path(spec, process).entry.function if spec.registered else None
    return _times(spec, process, function, np.ascontiguousarray(lam, dtype=float).tobytes()).copy()


@functools.lru_cache(maxsize=KEPT)
def _times(spec: Spec, process: str, function: Callable[..., Any] | None, lam: bytes) -> np.ndarray:
    return invert_lam(get_path(spec, process), torch.from_numpy(np.frombuffer(lam).copy())).numpy()
