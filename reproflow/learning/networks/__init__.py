"""Networks by name, and what one of them says of x_t.

A new network is one builder with `@network(name)` in a file that is imported here.
"""

from __future__ import annotations

from reproflow.learning.networks import stacked_mlp

__all__ = ["stacked_mlp"]
