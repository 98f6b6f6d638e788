"""The digest of named tensors: what a data set is, for records and files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import Tensor


def digest(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 over names, types, shapes and bytes of tensors, in order of their names, hexadecimal."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()
