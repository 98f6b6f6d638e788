"""FID and KID: against torch-fidelity's own door and independent float64 computations, their errors, the refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.linalg
import torch
from threadpoolctl import threadpool_limits

from reproflow.evaluation.features import digits_network, extractors, fid_kid
from reproflow.foundation.errors import UsageError
from reproflow.learning import data
from reproflow.learning.data.tensor_files import write_tensors


def network_file(path, seed: int, spoil: bool = False):
    """A feature file with random weights: what FID computes does not depend on how good they are."""
    digits = data.get_dataset("digits8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = digits_network.DigitsNetwork()
    network.standardise(digits.images(digits.train))
    if spoil:
        network.shift[3] = torch.nan
    write_tensors(path, network.state_dict(), {"kind": "features", "data": "digits8", "data_sha256": digits.sha256})
    return extractors.digits_extractor(path, digits)


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return network_file(tmp_path_factory.mktemp("fid") / "features.safetensors", 0)


@pytest.fixture(scope="module")
def reference():
    digits = data.get_dataset("digits8")
    return digits.images(digits.train)


def noisy(n: int, seed: int, sd: float = 2.0) -> torch.Tensor:
    digits = data.get_dataset("digits8")
    generator = torch.Generator().manual_seed(seed)
    chosen = digits.train[torch.randint(len(digits.train), (n,), generator=generator)]
    noise = sd * torch.randn(chosen.shape, generator=generator)
    return digits.images((chosen + noise.round()).clamp(0, 16))


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """FID by the matrix square root of scipy, from moments taken by hand."""
    mean = x.mean(0) - y.mean(0)
    a, b = ((z - z.mean(0)).T @ (z - z.mean(0)) / (len(z) - 1) for z in (x, y))
    return float(mean @ mean + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared MMD under (x·y/D + 1)³, by its definition over all pairs."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (np.einsum("id,jd->ij", a, b) / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within = [(kernel(z, z).sum() - np.trace(kernel(z, z))) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(sum(within) - 2 * kernel(x, y).sum() / (n * m))


def test_agrees_with_an_independent_computation(extractor, reference) -> None:
    samples = noisy(500, 1)
    network, _ = digits_network.load_features(extractor.weights)
    x, y = (network(images).double().numpy() for images in (samples, reference))
    measured = fid_kid.fid_kid(samples, reference, extractor, kid=False)
    assert measured.fid == pytest.approx(frechet(x, y), rel=1e-5)
    assert (measured.n, measured.features) == (500, extractor.id)
    assert np.isnan([measured.kid, measured.kid_se]).all()


def test_kid_of_whole_sets_is_the_unbiased_kernel_distance(extractor) -> None:
    """With as many samples as references below the subset size, every subset is the whole set."""
    samples, reference = noisy(200, 2), noisy(200, 3, sd=0.5)
    network, _ = digits_network.load_features(extractor.weights)
    x, y = (network(images).double().numpy() for images in (samples, reference))
    assert fid_kid.fid_kid(samples, reference, extractor).kid == pytest.approx(kernel_distance(x, y), rel=1e-6)


def test_is_what_calculate_metrics_says_to_the_last_bit(extractor, reference) -> None:
    import torch_fidelity

    samples = noisy(1200, 4)
    measured = fid_kid.fid_kid(samples, reference, extractor)
    with threadpool_limits(1):
        metrics = torch_fidelity.calculate_metrics(
            input1=fid_kid.Images(samples), input2=fid_kid.Images(reference), **fid_kid.options(extractor)
        )
    assert measured.fid == metrics["frechet_inception_distance"]
    assert measured.kid == metrics["kernel_inception_distance_mean"]


def test_every_option_is_one_that_torch_fidelity_knows(extractor) -> None:
    """It accepts unknown options in silence."""
    from torch_fidelity.defaults import DEFAULTS

    assert set(fid_kid.options(extractor)) <= set(DEFAULTS)
    assert fid_kid.options(extractor)["cache"] is False


def test_changed_reference_and_changed_weights_change_the_number(extractor, reference, tmp_path) -> None:
    samples = noisy(300, 5)
    first = fid_kid.fid_kid(samples, reference, extractor, kid=False)
    again = fid_kid.fid_kid(samples, reference, extractor, kid=False)
    other_reference = fid_kid.fid_kid(samples, reference[:700], extractor, kid=False)
    other_weights = fid_kid.fid_kid(samples, reference, network_file(tmp_path / "other.safetensors", 1), kid=False)
    assert first == again
    assert len({first.fid, other_reference.fid, other_weights.fid}) == 3
    assert first.features != other_weights.features


def test_more_noise_is_farther(extractor, reference) -> None:
    known = fid_kid.extract(reference, extractor)
    distances = [fid_kid.fid_kid(noisy(600, 6, sd), known, extractor, kid=False).fid for sd in (0.5, 1.5, 3.0, 6.0)]
    assert distances == sorted(distances)


def gaussian_features(extractor, n: int, seed: int, shift: float = 0.0) -> fid_kid.Features:
    values = torch.randn(n, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return fid_kid.Features(values * (1 + shift) + shift, extractor.id)


def test_standard_errors_match_the_spread_over_replicates(extractor) -> None:
    known = gaussian_features(extractor, 300, 0)
    runs = [fid_kid.fid_kid(gaussian_features(extractor, 200, 1 + s, 0.4), known, extractor) for s in range(60)]
    for value, error in (("fid", "fid_se"), ("kid", "kid_se")):
        spread = np.std([getattr(run, value) for run in runs], ddof=1)
        typical = np.mean([getattr(run, error) for run in runs])
        # The spread of 60 runs is itself known to 9 %.
        assert 0.7 < typical / spread < 1.4, value


def test_blocks_with_labels_know_that_class_shares_were_fixed(extractor) -> None:
    """Classes far apart and equally often: only blocks with equal shares see how little the distance varies.

    The reference has half of the classes, so that the distance depends on the shares to first order.
    """
    labels = torch.arange(600) % 6
    centres = 5 * torch.eye(8, dtype=torch.float64)[labels]
    noise = 0.2 * torch.randn(61, 600, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    known = fid_kid.Features((centres + noise[60])[labels < 3], extractor.id)
    runs = [fid_kid.Features(centres + each, extractor.id) for each in noise[:60]]
    with_labels = [fid_kid.fid_kid(run, known, extractor, labels=labels, kid=False) for run in runs]
    without = [fid_kid.fid_kid(run, known, extractor, kid=False) for run in runs[:10]]
    spread = np.std([run.fid for run in with_labels], ddof=1)
    assert 0.6 < np.mean([run.fid_se for run in with_labels]) / spread < 1.6
    assert np.mean([run.fid_se for run in without]) > 2 * spread


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda images: images.float(), "uint8"),
        (lambda images: images.repeat(1, 3, 1, 1), r"uint8 images \(N, 1, 8, 8\)"),
        (lambda images: images.flatten(1), "uint8 images"),
        (lambda images: images + 1, r"out of range 0\.\.16"),
        (lambda images: images[:127], "at least 128 images, got 127"),
    ],
)
def test_unfit_images_are_refused(spoil, message: str, extractor, reference) -> None:
    with pytest.raises(UsageError, match=message):
        fid_kid.fid_kid(spoil(reference), reference, extractor)
    with pytest.raises(UsageError, match=message):
        fid_kid.fid_kid(reference, spoil(reference), extractor)


def test_features_that_are_not_finite_or_not_comparable_are_refused(extractor, reference, tmp_path) -> None:
    with pytest.raises(UsageError, match="not finite"):
        fid_kid.extract(reference, network_file(tmp_path / "spoilt.safetensors", 0, spoil=True))
    foreign = dataclasses.replace(fid_kid.extract(reference, extractor), id="other")
    with pytest.raises(UsageError, match="cannot be compared"):
        fid_kid.fid_kid(foreign, reference, extractor)
