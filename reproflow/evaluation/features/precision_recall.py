r"""Precision and recall of samples (Kynkäänniemi et al. 2019): how many lie among the data, and cover how much.

A set of features stands for the region within its points' distances to their k-th nearest neighbours in the set,

.. math:: S(\Phi) = \bigcup_{\phi \in \Phi} \{x : |x - \phi| \le r_k(\phi, \Phi)\},

and precision is the fraction of the samples in S(data), recall the fraction of the data in S(samples), with k = 3. Both
are about features of the network that FID uses, and depend on both sets' sizes. The error is over the points that are
asked, with the region as it is: sqrt(p (1 - p) / N).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reproflow.evaluation.measures import Measured, Subject, measure
from reproflow.foundation import processes
from reproflow.foundation.measures import Facts

NEIGHBOURS = 3
CHUNK = 512
"""Points whose distances to all others are held at a time."""
CITE = "Kynkäänniemi et al. 2019"


@measure(
    "precision",
    process=processes.trained(),
    cite=CITE,
    facts=Facts(
        heading="Precision", unit="", decimals=3, margin=0.01, of="samples", data="images", family="precision",
        lower_is_better=False, features=True, compared=False, usual=False,
    ),
)  # fmt: skip
def precision(subject: Subject) -> Measured | None:
    """The fraction of the samples that lie among the training split, in the features of the data set's network."""
    if subject.reference is None:
        return None
    return _measured(covered(subject.features.values, subject.reference.train.values))


@measure(
    "recall",
    process=processes.trained(),
    cite=CITE,
    facts=Facts(
        heading="Recall", unit="", decimals=3, margin=0.01, of="samples", data="images", family="recall",
        lower_is_better=False, features=True, compared=False, usual=False,
    ),
)  # fmt: skip
def recall(subject: Subject) -> Measured | None:
    """The fraction of the training split that lies among the samples, in the features of the data set's network."""
    if subject.reference is None:
        return None
    return _measured(covered(subject.reference.train.values, subject.features.values))


def covered(points: Tensor, region: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """Which points (N, D) lie in the region of a set (M, D), boundaries included: (N,) bool. M must exceed k."""
    radii = torch.cat([_distances(part, region).kthvalue(k + 1, dim=1).values for part in region.split(CHUNK)])
    return torch.cat([(_distances(part, region) <= radii).any(1) for part in points.split(CHUNK)])


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """|x - y|, (N, M): without the detour over inner products, which leaves equal points apart."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _measured(inside: Tensor) -> Measured:
    p = float(inside.double().mean())
    return Measured(p, math.sqrt(p * (1 - p) / len(inside)))
