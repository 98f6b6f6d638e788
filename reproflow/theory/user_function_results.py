"""What a user's function has given, held to the promise of its kind.

=================  ====================================================================================
path               alpha, sigma of t's shape
target             a, b of t's shape
coupling           the rows of x0, each once: any other noise would have another law than the sampler's
dataset            anything; `learning.data.user_points` makes points of it
network            anything; `learning.networks.user_network` tries it
any other kind     a number for each time, of t's shape (a divergence: for each row)
=================  ====================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.specs import Spec

PAIRS = {"path": "(alpha, sigma)", "target": "(a, b)"}
BUILT = ("dataset", "network")
"""Kinds whose functions make what is then called at tensors."""


def of_nothing(kind: str, arguments: tuple[Any, ...]) -> Any:
    """The value where no time or row is asked for, or None where something is: min() of nothing raises."""
    if kind in BUILT:
        return None
    nothing = arguments[2] if kind == "divergence" else arguments[0]
    if kind == "target":
        nothing = nothing.t
    if nothing.numel():
        return None
    return (nothing.clone(), nothing.clone()) if kind in PAIRS else nothing.clone()


def checked(value: Any, kind: str, arguments: tuple[Any, ...], spec: Spec) -> Any:
    """The value in the form that the kind has. Raises `UserFunctionError` where it breaks the kind's promise."""
    if kind in BUILT:
        return value
    if kind == "coupling":
        return _rearranged(value, arguments[0], spec)
    if kind in PAIRS:
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise UserFunctionError(f"{kind} {spec.name!r} must give {PAIRS[kind]}, it gave {type(value).__name__}.")
        t = arguments[0].t if kind == "target" else arguments[0]
        return _numbers(value[0], t, kind, spec), _numbers(value[1], t, kind, spec)
    return _numbers(value, arguments[2 if kind == "divergence" else 0], kind, spec)


def _numbers(value: Any, t: Tensor, kind: str, spec: Spec) -> Tensor:
    """The value as a tensor of t's shape and type; a number or a 0-dimensional tensor is spread out."""
    if not isinstance(value, Tensor | int | float | np.ndarray | np.floating):
        raise UserFunctionError(
            f"{kind} {spec.name!r} must give a tensor of t's shape, it gave {type(value).__name__}."
        )
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(value)
    if tensor.is_complex() or (tensor.ndim and tensor.shape != t.shape):
        raise UserFunctionError(
            f"{kind} {spec.name!r} must give a real tensor of shape {tuple(t.shape)} (that of "
            f"{'u' if kind == 'time' else 't'}) or a number, it gave {tensor.dtype} of shape {tuple(tensor.shape)}."
        )
    tensor = tensor.to(t) + torch.zeros_like(t)
    bad = torch.isnan(tensor) & (t > 0) & (t < 1)
    if bool(bad.any()):
        first = float(t[bad].min()) if t.ndim else float(t)
        raise UserFunctionError(
            f"{kind} {spec.name!r} is NaN at {'u' if kind == 'time' else 't'} = {first:.6g}; "
            "it must be a number everywhere in (0, 1)."
        )
    return tensor


def _rearranged(value: Any, x0: Tensor, spec: Spec) -> Tensor:
    """The value, if its rows are those of x0 (n, D) in some order."""
    shape = tuple(value.shape) if isinstance(value, Tensor) else None
    if not isinstance(value, Tensor) or shape != tuple(x0.shape) or value.is_complex():
        shown = type(value).__name__ if shape is None else f"{value.dtype} of shape {shape}"
        raise UserFunctionError(
            f"coupling {spec.name!r} must give the noise of each row of x1, a real tensor of shape {tuple(x0.shape)}; "
            f"it gave {shown}."
        )
    rows = value.detach().to(x0)
    if not bool((_sorted(rows) == _sorted(x0)).all()):
        kinds = len(torch.unique(torch.cat([x0, rows]), dim=0)), len(torch.unique(rows, dim=0))
        raise UserFunctionError(
            f"coupling {spec.name!r} must rearrange the rows of x0, each of the {len(x0)} once: it gave {kinds[1]} "
            f"different rows, {kinds[0] - len(torch.unique(x0, dim=0))} of them not of x0; index x0 by a permutation, "
            "else noise has another law in training than in sampling."
        )
    return rows


def _sorted(x: Tensor) -> Tensor:
    """The rows of x (n, D) in lexicographic order."""
    return x[torch.from_numpy(np.lexsort(x.cpu().numpy().T))]
