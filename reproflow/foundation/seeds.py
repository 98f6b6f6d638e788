"""Seeds by purpose, never by state: a number is drawn from (purpose, what it belongs to, step).

Because nothing depends on what was drawn before, a resumed, re-chunked or reordered run draws the same numbers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(purpose: str, *parts: str | int) -> int:
    """A seed in [0, 2^63) from the purpose and the parts, by BLAKE2b over their text."""
    text = "\x1f".join([purpose, *(str(part) for part in parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(purpose: str, *parts: str | int) -> torch.Generator:
    """A CPU generator at that seed: batches are made on the CPU, so that every device sees the same numbers."""
    import torch

    return torch.Generator().manual_seed(derive(purpose, *parts))
