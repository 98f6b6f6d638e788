r"""FID and KID by torch-fidelity, with standard errors, from features that are extracted once.

`torch_fidelity.calculate_metrics` extracts the features of both inputs at every call. With its cache off (the cache's
key ignores data and weights) it is a chain of steps: create the extractor, extract, statistics, metric. Here the same
functions are called one by one with the same options, so that a reference is extracted once for many cells; the numbers
are those of `calculate_metrics` to the last bit (a test compares them). input1 is generated, input2 is real.

.. math:: FID = |\mu_1 - \mu_2|^2 + tr(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2}), \qquad
          KID = E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y), \quad k(x, y) = (x \cdot y / D + 1)^3

(Heusel et al. 2017; Binkowski et al. 2018). Errors describe the finite sample at a fixed reference and fixed features:
for FID a jackknife over 20 random blocks of the samples; for KID the error of its complete U-statistic, plus that of
torch-fidelity's random subsets. Near zero distance both are too large rather than too small (measured on digits: FID by
1.2 at N = 5000 and 1.7 at 1000). FID is biased upwards by about 1/N: compare equal N only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import Dataset

from reproflow.evaluation.features.extractors import Extractor
from reproflow.foundation import limits, seeds
from reproflow.foundation.errors import UsageError
from reproflow.numerics.statistics import jackknife

BLOCKS = 20


@dataclass(frozen=True)
class Features:
    """Features (N, D), float64, of images; `id` says by which network and weights."""

    values: Tensor
    id: str


@dataclass(frozen=True)
class FidKid:
    """FID and KID of `n` samples, their standard errors, and the id of the features. Without KID both are NaN."""

    fid: float
    fid_se: float
    kid: float
    kid_se: float
    n: int
    features: str


def options(extractor: Extractor, device: str = "cpu", batch: int = 500) -> dict[str, Any]:
    """Every option of `calculate_metrics` that can change a number, said explicitly."""
    return {
        "cuda": torch.device(device).type == "cuda",
        "batch_size": batch,
        "fid": True,
        "kid": True,
        "feature_extractor": extractor.name,
        "feature_layer_fid": extractor.layer,
        "feature_layer_kid": extractor.layer,
        "feature_extractor_weights_path": str(extractor.weights),
        "feature_extractor_compile": False,
        "kid_subsets": 20,
        "kid_subset_size": 1000,
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1.0,
        "rng_seed": 2020,
        "cache": False,
        "save_cpu_ram": True,
        "verbose": False,
    }


def extract(images: Tensor, extractor: Extractor, device: str = "cpu", batch: int = 500) -> Features:
    """The features of uint8 images (N, C, H, W), by torch-fidelity.

    Raises `UsageError` for a wrong type, shape or level, for N < 2 D, and for features that are not finite.
    """
    from torch_fidelity.utils import create_feature_extractor, extract_featuresdict_from_input_id

    _check_images(images, extractor)
    chosen = options(extractor, device, batch)
    network = create_feature_extractor(extractor.name, [extractor.layer], **chosen)
    values = extract_featuresdict_from_input_id(1, network, input1=Images(images), **chosen)[extractor.layer].double()
    if not values.isfinite().all():
        raise UsageError(f"{extractor.id}: features are not finite; check the weights in {extractor.weights}.")
    return Features(values, extractor.id)


def fid_kid(
    samples: Tensor | Features,
    reference: Tensor | Features,
    extractor: Extractor,
    *,
    labels: Tensor | None = None,
    kid: bool = True,
    device: str = "cpu",
) -> FidKid:
    """FID and KID of samples against a reference, each given as images or as features of this extractor.

    Give `labels` (N,) when the samples were drawn in fixed shares of each class: the jackknife's blocks then hold the
    same shares. KID's subsets hold 1000 images, or as many as there are. Raises `UsageError` as `extract` does, and for
    features of another extractor.
    """
    x, y = (_features(each, extractor, device) for each in (samples, reference))
    # Small matrices: NumPy's threads would only spin, and the last bits would depend on their number.
    with threadpool_limits(1):
        fid = _fid_estimate(x, y, [x[rows] for rows in _blocks(len(x), labels)])
        kid_mean, kid_se = _kid(x, y, options(extractor)) if kid else (math.nan, math.nan)
    return FidKid(*fid, kid_mean, kid_se, len(x), extractor.id)


def kid_alone(
    samples: Tensor | Features, reference: Tensor | Features, extractor: Extractor, *, device: str = "cpu"
) -> tuple[float, float]:
    """KID of samples against a reference and its standard error, as in `fid_kid`. Raises `UsageError` likewise."""
    x, y = (_features(each, extractor, device) for each in (samples, reference))
    with threadpool_limits(1):
        return _kid(x, y, options(extractor))


class Images(Dataset[Tensor]):
    """uint8 images as the data set of bare tensors that torch-fidelity takes."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.cpu()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def _fid_estimate(x: Tensor, y: Tensor, blocks: Sequence[Tensor]) -> tuple[float, float]:
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    reference = fid_features_to_statistics(y)

    def fid(features: Tensor) -> float:
        return fid_statistics_to_metric(fid_features_to_statistics(features), reference, False)[KEY_METRIC_FID]

    # The whole is taken in the samples' own order: the blocks' order would change its last bits.
    return fid(x), jackknife(lambda kept: fid(torch.cat(list(kept))), blocks).se


def _blocks(n: int, labels: Tensor | None) -> list[Tensor]:
    """Indices 0..n-1 dealt at random into 20 blocks, with equal shares of each label where there are labels."""
    order = torch.randperm(n, generator=seeds.generator("fid blocks", n))
    if labels is not None:
        order = order[labels.cpu()[order].argsort(stable=True)]
    return [order[start::BLOCKS] for start in range(BLOCKS)]


def _kid(x: Tensor, y: Tensor, chosen: dict[str, Any]) -> tuple[float, float]:
    """KID and its standard error.

    Given the samples, torch-fidelity's value is the mean of independent random subsets around the complete U-statistic,
    so the two variances add. The latter's is 4 Var h(x) / N with h(x) = mean_x' k(x, x') - mean_y k(x, y).
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kernel_poly, kid_features_to_metric

    size = min(chosen["kid_subset_size"], len(x), len(y))
    out = kid_features_to_metric(x, y, **{**chosen, "kid_subset_size": size})
    a, b = x.numpy(), y.numpy()
    influence = np.concatenate(
        [
            kernel_poly(part, a, **chosen).mean(1) - kernel_poly(part, b, **chosen).mean(1)
            for part in np.array_split(a, 20)
        ]
    )
    complete = 4 * influence.var(ddof=1) / len(a)
    return out[KEY_METRIC_KID_MEAN], math.sqrt(complete + out[KEY_METRIC_KID_STD] ** 2 / chosen["kid_subsets"])


def _features(given: Tensor | Features, extractor: Extractor, device: str) -> Tensor:
    features = given if isinstance(given, Features) else extract(given, extractor, device)
    if features.id != extractor.id:
        raise UsageError(
            f"features of {features.id} cannot be compared with those of {extractor.id}; extract them again."
        )
    return features.values


def _check_images(images: Tensor, extractor: Extractor) -> None:
    wanted = ("N", *extractor.shape)
    fits = images.ndim == 4 and all(w in (None, s) for w, s in zip(extractor.shape, images.shape[1:], strict=True))
    if images.dtype != torch.uint8 or not fits:
        shape = ", ".join("any" if w is None else str(w) for w in wanted)
        raise UsageError(f"FID takes uint8 images ({shape}), got {images.dtype} {tuple(images.shape)}.")
    least = limits.IMAGES_A_FEATURE * extractor.dimension
    if len(images) < least:
        raise UsageError(f"FID on {extractor.dimension} features needs at least {least} images, got {len(images)}.")
    if int(images.max()) >= extractor.levels:
        raise UsageError(
            f"image level {int(images.max())} is out of range 0..{extractor.levels - 1} of {extractor.name}."
        )
