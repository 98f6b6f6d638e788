"""Sizes that a configuration must keep to: what its data set, measures and claims allow.

What would be refused only after training, or cut to fit in silence, is refused when the configuration is read. The
sizes of data sets stand in `names.json`. Every check raises `ValueError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reproflow.foundation import coupled_pairs_file, names
from reproflow.foundation.specs import Spec

USUAL_POINTS = 1000
"""`likelihood.points` where it is left out and the data set has as many."""
IMAGES_A_FEATURE = 2
"""FID takes at least so many images for each feature: a covariance of fewer says little."""


def with_held_out_points(raw: Any) -> Any:
    """An experiment as written, with `likelihood.points` filled in where fewer than the usual number are held out."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("likelihood", {}), Mapping):
        return raw
    held_out = sizes(raw.get("dataset")).get("held_out", USUAL_POINTS)
    return {**raw, "likelihood": {"points": min(USUAL_POINTS, held_out), **raw.get("likelihood", {})}}


def has_images(dataset: Spec, process: str) -> bool:
    """Whether a data set is listed as one of images; a user's own that can be trained on is one of points."""
    return dataset.registered and names.find("dataset", dataset.name, process).images


def sizes(dataset: Any) -> Mapping[str, int]:
    """What the list says of a data set's sizes; nothing of one that says none."""
    return next((known.sizes for known in names.known() if (known.kind, known.name) == ("dataset", dataset)), {})


def check_points(key: str, wanted: int, dataset: str, known: Mapping[str, int]) -> None:
    if wanted > known.get("held_out", wanted):
        raise ValueError(
            f"likelihood.{key} {wanted}: {dataset} holds out {known['held_out']} points; give that or fewer"
        )
    if wanted == 1:
        raise ValueError(f"likelihood.{key} 1: an error needs at least 2 points")


def check_pairs(coupling: str, dataset: str, known: Mapping[str, int]) -> None:
    """The shapes of a file of pairs; their numbers and labels are read when training begins."""
    shapes, wanted = coupled_pairs_file.shapes(coupling), known.get("dim")
    x0, x1 = shapes.get("x0"), shapes.get("x1")
    if x0 is None or x0 != x1 or len(x0) != 2 or not x0[0] or wanted not in (None, x0[1]):
        raise ValueError(
            f"coupling {coupling!r}: x0 and x1 must both have shape (N, {wanted or 'D'}) with N > 0 for {dataset}; "
            f"found {x0} and {x1}"
        )
    if known.get("classes") and shapes.get("y") != x0[:1]:
        raise ValueError(f"coupling {coupling!r}: {dataset} has {known['classes']} classes, so y must have N = {x0[0]}")
