"""Equal objectives among combinations with one's own path and time law, which the registered combinations leave out.

The candidates are every registered weighting on the objective's own path under the registered laws and its own one, and
on the registered paths under its own law; each at its default parameters.
"""

from __future__ import annotations

import torch

from reproflow.foundation import registry
from reproflow.theory.equivalence import Combination, equivalents, proportional
from reproflow.theory.log_snr import elbo_coefficient, invert_lam
from reproflow.theory.objective import LAM, Objective, error_factor
from reproflow.theory.paths import Path, get_path
from reproflow.theory.times import TimeLaw, get_time_law
from reproflow.theory.weightings import Weighting, get_weighting


def all_equivalents(objective: Objective) -> list[Combination]:
    """The registered combinations with the same canonical weight, and those with its own path or time law."""
    return [*equivalents(objective), *own_equivalents(objective)]


def own_equivalents(objective: Objective) -> list[Combination]:
    """The combinations with its own path or time law that have a proportional canonical weight; not itself."""
    process, own_path, own_law = objective.process, objective.path, objective.time
    path_names = [entry.name for entry in registry.entries("path", process)]
    law_names = [entry.name for entry in registry.entries("time", process)]
    pairs: list[tuple[Path, list[TimeLaw]]] = []
    new_law = [] if own_law.name in law_names else [own_law]
    if own_path.name not in path_names:
        pairs.append((own_path, [*(get_time_law(name, fine=True) for name in law_names), *new_law]))
    if new_law:
        pairs += [(get_path(name, process), new_law) for name in path_names]
    if not pairs:
        return []
    weight, itself = objective.signature(), (own_path.name, own_law.name, objective.weighting.name)
    found = [each for path, laws in pairs for each in _equal(path, laws, weight)]
    return [each for each in found if (each.path, each.time, each.weighting) != itself]


def _equal(path: Path, laws: list[TimeLaw], weight: torch.Tensor) -> list[Combination]:
    t = invert_lam(path, LAM)
    reached = t.isfinite()
    c = path.at(torch.where(reached, t, 0.5))
    densities = [torch.where(reached, law.density(c.t), torch.nan).detach() for law in laws]
    found = []
    for weighting in _on_predictions(path.process):
        shape = (weighting.at(c) * error_factor(weighting, c) / elbo_coefficient(c)).detach()
        for law, density in zip(laws, densities, strict=True):
            factor = proportional(density * shape, weight)
            if factor is not None:
                found.append(Combination(path.name, law.name, weighting.name, factor))
    return found


def _on_predictions(process: str) -> list[Weighting]:
    """The registered weightings that multiply the error of a prediction: canonical ones know no path."""
    found = [get_weighting(entry.name, process) for entry in registry.entries("weighting", process)]
    return [each for each in found if each.on != "canonical"]
