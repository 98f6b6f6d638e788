"""reproflow: executed evidence for statements about flow-matching and diffusion losses.

What a user imports (docs/api.md has an example of each):

===================================================  ==================================================================
`path`, `time_law`, `weighting`, `target`,           decorators that register a noun, one function each
`divergence`, `coupling`
`claim`                                              the decorator of a statement with its negative controls
`get_path`, `get_time_law`, `get_weighting`          a noun by its spec (`min_snr:gamma=3`, `my.py:f`, `expr:exp(-lam)`)
`Objective`                                          a path, a time law, a weighting: a loss as one value, and its
                                                     weight w relative to the ELBO integrand
`canonical`                                          that weight of a path, a time law and a weighting
`judge`                                              the module that judges one new thing: `judge.weighting(spec)`,
                                                     `judge.objective(Objective(..))`
`audit`                                              what a training loss, `loss(model, x1)`, really trains
`load_results`                                       a results folder as pandas tables
===================================================  ==================================================================

Names are imported on first use, so that `import reproflow` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reproflow import judge
    from reproflow.analysis.results import load_results
    from reproflow.auditing.audit import audit
    from reproflow.claims.policy import claim
    from reproflow.theory.couplings import coupling
    from reproflow.theory.divergences import divergence
    from reproflow.theory.objective import Objective, canonical
    from reproflow.theory.paths import get_path, path
    from reproflow.theory.targets import target
    from reproflow.theory.times import get_time_law, time_law
    from reproflow.theory.weightings import get_weighting, weighting

__version__ = "0.1.0"

_HOMES = {
    "path": "theory.paths",
    "time_law": "theory.times",
    "weighting": "theory.weightings",
    "target": "theory.targets",
    "divergence": "theory.divergences",
    "coupling": "theory.couplings",
    "audit": "auditing.audit",
    "claim": "claims.policy",
    "get_path": "theory.paths",
    "get_time_law": "theory.times",
    "get_weighting": "theory.weightings",
    "Objective": "theory.objective",
    "canonical": "theory.objective",
    "load_results": "analysis.results",
}

__all__ = [
    "Objective",
    "__version__",
    "audit",
    "canonical",
    "claim",
    "coupling",
    "divergence",
    "get_path",
    "get_time_law",
    "get_weighting",
    "judge",
    "load_results",
    "path",
    "target",
    "time_law",
    "weighting",
]


def __getattr__(name: str) -> Any:
    if name == "judge":
        return importlib.import_module("reproflow.judge")
    if name not in _HOMES:
        raise AttributeError(f"module 'reproflow' has no attribute {name!r}")
    return getattr(importlib.import_module(f"reproflow.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
