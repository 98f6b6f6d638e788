"""Functions of tensors as functions of arrays: quadrature, intervals and monotonicity ask with arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def on_arrays(function: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    """The function with arrays in and out: it is asked with float64 tensors, and its values carry no gradient."""

    def asked(t: np.ndarray) -> np.ndarray:
        return function(torch.from_numpy(np.ascontiguousarray(t, dtype=np.float64))).detach().numpy()

    return asked
