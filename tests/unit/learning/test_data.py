"""Data sets: densities against independent quadrature and samples, the digits split, prepared files."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn.datasets import load_digits

from reproflow.foundation.errors import UsageError
from reproflow.learning import data
from reproflow.learning.data.digits import stratified_split

TOYS = ["eight_gaussians", "checkerboard", "two_moons", "pinwheel"]
EVERY = [*TOYS, "digits8"]
# Cells of the checkerboard end at multiples of sqrt(3)/2, so a grid with these edges never cuts one.
EDGES = np.linspace(-5, 5, 41) * math.sqrt(3) / 2


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@functools.cache
def bin_probabilities(name: str, nodes: int = 7) -> np.ndarray:
    """The probability of every cell of the grid, by Gauss-Legendre quadrature inside each: (k, k)."""
    toy, edges = data.get_dataset(name), EDGES
    u, w = np.polynomial.legendre.leggauss(nodes)
    width = np.diff(edges)
    axis = (edges[:-1, None] + width[:, None] * (u + 1) / 2).ravel()
    weight = (width[:, None] * w / 2).ravel()
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    density = np.stack([toy.log_density(row).exp() for row in torch.from_numpy(points)]) * np.outer(weight, weight)
    k = len(width)
    return density.reshape(k, nodes, k, nodes).sum((1, 3))


def histogram_p_value(name: str, points: np.ndarray) -> float:
    """Pearson's test of points against the density's own cell probabilities; rare cells are pooled."""
    counts = np.histogram2d(points[:, 0], points[:, 1], bins=[EDGES, EDGES])[0].ravel()
    expected = len(points) * bin_probabilities(name).ravel()
    common = expected >= 10
    observed = [*counts[common], len(points) - counts[common].sum()]
    # Where the density leaves nothing to the rare cells, a single point there must reject.
    wanted = [*expected[common], max(len(points) - expected[common].sum(), 1e-9)]
    return float(stats.chisquare(observed, wanted, sum_check=False).pvalue)


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.default_cases(2)
def test_density_integrates_to_one(name: str) -> None:
    assert bin_probabilities(name).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", TOYS)
def test_samples_follow_the_density(name: str) -> None:
    points = data.get_dataset(name).sample(20_000, generator(1), torch.float64).numpy()
    assert histogram_p_value(name, points) > 1e-4
    assert histogram_p_value(name, 1.05 * points) < 1e-4


@pytest.mark.parametrize("name", TOYS)
def test_entropy_is_the_mean_of_minus_log_density(name: str) -> None:
    toy = data.get_dataset(name)
    surprise = -toy.log_density(toy.sample(40_000, generator(2), torch.float64))
    se = float(surprise.std() / math.sqrt(len(surprise)))
    assert abs(float(surprise.mean()) - toy.entropy) < 4.5 * se + 1e-9


@pytest.mark.parametrize("name", TOYS)
def test_toy_data_are_standardised(name: str) -> None:
    points = data.get_dataset(name).sample(100_000, generator(3))
    assert points.mean(0).abs().max() < 0.02
    assert (points.var(0) - 1).abs().max() < 0.02


@pytest.mark.parametrize("name", TOYS)
def test_draws_depend_on_the_generator_only(name: str) -> None:
    toy = data.get_dataset(name)
    torch.manual_seed(0)
    first = toy.sample(64, generator(4))
    torch.manual_seed(1)
    assert torch.equal(first, toy.sample(64, generator(4)))
    assert not torch.equal(first, toy.sample(64, generator(5)))
    assert first.shape == (64, 2)
    assert first.dtype == torch.float32


def test_eight_gaussians_density_is_that_of_its_mixture() -> None:
    toy = data.get_dataset("eight_gaussians")
    points = toy.sample(50, generator(6), torch.float64)
    law = toy.mixture
    parts = [
        float(w) * stats.multivariate_normal(m.numpy(), float(s) ** 2).pdf(points.numpy())
        for w, m, s in zip(law.weights, law.means, law.stds, strict=True)
    ]
    np.testing.assert_allclose(toy.log_density(points).numpy(), np.log(np.sum(parts, 0)), rtol=1e-12, atol=1e-12)


def test_two_moons_density_is_the_arc_average() -> None:
    """The blurred arcs by scipy's adaptive quadrature, in the raw coordinates of the textbook definition."""
    toy = data.get_dataset("two_moons")
    raw = np.array([[0.0, 1.0], [1.2, -0.4], [0.5, 0.3], [2.3, 0.9]])
    # A fine midpoint rule over both arcs gives their mean and variance.
    theta = (np.arange(100_000) + 0.5) * math.pi / 100_000
    upper, lower = (np.cos(theta), np.sin(theta)), (1 - np.cos(theta), 0.5 - np.sin(theta))
    arcs = np.concatenate([np.stack(upper, 1), np.stack(lower, 1)])
    centre, scale = arcs.mean(0), np.sqrt(arcs.var(0) + 0.01)

    def blurred(point: np.ndarray) -> float:
        def integrand(angle: float) -> float:
            upper = stats.norm.pdf(point - [math.cos(angle), math.sin(angle)], scale=0.1).prod()
            return upper + stats.norm.pdf(point - [1 - math.cos(angle), 0.5 - math.sin(angle)], scale=0.1).prod()

        return integrate.quad(integrand, 0, math.pi, limit=200, epsabs=0, epsrel=1e-10)[0] / (2 * math.pi)

    expected = np.log([blurred(point) for point in raw]) + np.log(scale).sum()
    got = toy.log_density(torch.from_numpy((raw - centre) / scale)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-8)


def test_digits_are_scikit_learns_split_in_two() -> None:
    digits = data.get_dataset("digits8")
    pixels, classes = load_digits(return_X_y=True)
    assert digits.train.shape == (1347, 64)
    assert digits.test.shape == (450, 64)
    both = np.concatenate([digits.train.numpy(), digits.test.numpy()])
    labels = np.concatenate([digits.train_labels.numpy(), digits.test_labels.numpy()])
    ours = sorted((int(label), row.tobytes()) for label, row in zip(labels, both, strict=True))
    theirs = sorted((int(label), row.astype(np.uint8).tobytes()) for label, row in zip(classes, pixels, strict=True))
    assert ours == theirs


def test_digits_split_is_stratified() -> None:
    digits = data.get_dataset("digits8")
    whole = torch.bincount(torch.cat([digits.train_labels, digits.test_labels]))
    share = torch.bincount(digits.test_labels) - whole * 450 / 1797
    assert share.abs().max() < 1


def test_digits_values_tokens_points_images() -> None:
    digits = data.get_dataset("digits8", "masked")
    assert digits.levels == 17
    assert [float(v) for v in digits.values] == [k / 8 - 1 for k in range(17)]
    tokens = digits.tokens("test")
    assert tokens.dtype == torch.int64
    assert torch.equal((digits.points("test") + 1) * 8, tokens.float())
    assert digits.images(tokens).shape == (450, 1, 8, 8)
    assert torch.equal(digits.images(tokens)[3, 0, 2], digits.test[3, 16:24])
    assert torch.equal(digits.labels("test"), digits.test_labels)


def test_stratified_split_keeps_every_index_once_and_depends_on_its_purpose() -> None:
    labels = torch.tensor([0] * 7 + [1] * 13 + [2] * 10)
    train, test = stratified_split(labels, 9, "a")
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(30))
    assert torch.bincount(labels[test]).tolist() == [2, 4, 3]
    assert not torch.equal(test, stratified_split(labels, 9, "b")[1])


def test_unknown_names_and_processes_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'pinwheel'"):
        data.get_dataset("pinweel")
    with pytest.raises(UsageError, match="unknown masked dataset"):
        data.get_dataset("pinwheel", "masked")


@pytest.mark.parametrize("name", EVERY)
def test_prepared_file_round_trip(name: str, tmp_path) -> None:
    sha = data.prepare(name, tmp_path / "first.safetensors")
    data.prepare(name, tmp_path / "second.safetensors")
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()
    loaded, original = data.load(tmp_path / "first.safetensors"), data.get_dataset(name)
    assert loaded.name == name
    assert loaded.sha256 == original.sha256 == sha
    assert all(torch.equal(loaded.arrays()[key], value) for key, value in original.arrays().items())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first.safetensors", "second.safetensors"]


def test_a_prepared_file_of_points_holds_the_test_points() -> None:
    toy = data.get_dataset("two_moons")
    assert torch.equal(toy.arrays()["test"], toy.test)
    assert len(toy.test) >= 1000


def test_digest_sees_names_types_shapes_and_bytes() -> None:
    x = torch.arange(6, dtype=torch.uint8)
    others = [{"b": x}, {"a": x.to(torch.int8)}, {"a": x.reshape(2, 3)}, {"a": x.flip(0)}]
    digests = {data.digest(each) for each in [{"a": x}, *others]}
    assert len(digests) == 5
    assert data.digest({"a": x, "b": x}) == data.digest({"b": x, "a": x})


def damaged(path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[:-100]
    elif how == "changed":
        content[-1] ^= 1
    elif how == "random":
        content = bytearray(np.random.default_rng(0).bytes(500))
    path.write_bytes(b"" if how == "empty" else bytes(content))


@pytest.mark.parametrize("how", ["truncated", "changed", "random", "empty"])
def test_damaged_prepared_file_is_refused_by_name(how: str, tmp_path) -> None:
    path = tmp_path / "pinwheel.safetensors"
    data.prepare("pinwheel", path)
    damaged(path, how)
    with pytest.raises(UsageError, match=r"pinwheel\.safetensors"):
        data.load(path)


def test_missing_or_foreign_prepared_file_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        data.load(tmp_path / "nowhere.safetensors")
    data.tensor_files.write_tensors(tmp_path / "other.safetensors", {"x": torch.zeros(2)}, {"kind": "features"})
    with pytest.raises(UsageError, match="holds features data"):
        data.load(tmp_path / "other.safetensors")
