"""reproflow: executed evidence for statements about flow-matching and diffusion losses.

What a user imports: the decorators `path`, `time_law`, `weighting`, `target`, `divergence`, `claim`, the module `judge`
(`judge.weighting("expr:exp(-lam/2)")`), and `load_results`. Names are imported on first use, so that
`import reproflow` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "path": "reproflow.theory.paths",
    "time_law": "reproflow.theory.times",
    "weighting": "reproflow.theory.weightings",
    "target": "reproflow.theory.targets",
    "divergence": "reproflow.theory.divergences",
    "claim": "reproflow.claims.policy",
}

# Modules that are used by their own name.
_MODULES = ("judge",)

__all__ = ["__version__", *_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"reproflow.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'reproflow' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
