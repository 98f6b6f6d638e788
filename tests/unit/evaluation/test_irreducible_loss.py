"""Irreducible losses against quadrature and enumeration, with errors that are what they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy import integrate, stats
from torch import Generator, Tensor

from reproflow.evaluation.irreducible_loss import floor
from reproflow.evaluation.processes import gaussian as gaussian_process
from reproflow.exact.mixture import Mixture
from reproflow.foundation import config, grid, seeds
from reproflow.learning import data
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.training.batches import training_loss
from reproflow.numerics.statistics import Measured
from reproflow.theory.paths import get_path

DOUBLE = torch.float64
STD = 0.3


def found(points: ToyData | ImageData, written: dict, t_range: tuple[float, float] = (0.01, 0.99)) -> Measured:
    """The floor of the one cell of an experiment, in the units of its loss before scaling, summed over dimensions."""
    cell, experiment = one_cell(written, t_range)
    scale = training_loss(cell, experiment, points.levels if isinstance(points, ImageData) else 0).scale * points.dim
    result = floor(cell, experiment, points)
    return Measured(result.value * scale, result.se * scale)


def one_cell(written: dict, t_range: tuple[float, float]) -> tuple[grid.Cell, config.Experiment]:
    raw = {"name": "one", "process": "gaussian", "dataset": "eight_gaussians", "paths": ["linear"], "seeds": [0]}
    training = {"training": {"t_range": list(t_range)}}
    if written.get("process") == "masked":
        raw |= {"dataset": "digits8", "sampling": {"solver": "ancestral"}}
    checked = config.check({"name": "t", "experiments": [raw | training | written]})
    return grid.expand(checked)[0], checked.experiments[0]


def normal_data() -> ToyData:
    """N(0, 0.3² I) in the plane: the posterior's eps error is 2 alpha² s² / (alpha² s² + sigma²) at every x."""

    def draw(n: int, generator: Generator) -> Tensor:
        return STD * torch.randn(n, 2, generator=generator, dtype=DOUBLE)

    law = Mixture(torch.ones(1), torch.zeros(1, 2), torch.full((1,), STD))
    return ToyData("normal", draw, lambda x: x.sum(-1), 0.0, torch.zeros(1, 2), law)


def error(t: float) -> float:
    """On the linear path."""
    return 2 * (STD * t) ** 2 / ((STD * t) ** 2 + (1 - t) ** 2)


def logit_density(std: float) -> Callable[[float], float]:
    return lambda t: stats.norm.pdf(math.log(t / (1 - t)), scale=std) / (t * (1 - t))


def in_range(std: float, low: float, high: float) -> float:
    return float(np.diff(stats.norm.cdf([math.log(t / (1 - t)) for t in (low, high)], scale=std))[0])


# c pi of each loss by hand: the velocity's error is eps's over t² on the linear path, and |lam'|/2 = 1/(t (1 - t)).
LOSSES: list[tuple[str, str, Callable[[float], float]]] = [
    ("uniform", "uniform", lambda t: 1 / t**2 / 0.98),
    ("u_squared", "uniform", lambda t: 1 / (2 * math.sqrt(t)) / t**2 / (math.sqrt(0.99) - math.sqrt(0.01))),
    ("logit_normal", "uniform", lambda t: logit_density(1)(t) / t**2 / in_range(1, 0.01, 0.99)),
    ("logit_normal", "elbo", lambda t: 1 / (t * (1 - t)) / in_range(1, 0.01, 0.99)),
    ("logit_normal:std=0.3", "elbo", lambda t: 1 / (t * (1 - t)) / in_range(0.3, 0.01, 0.99)),
    ("uniform", "expr:exp(-lam)*(1+cos(30*t))", lambda t: ((1 - t) / t) ** 2 * (1 + math.cos(30 * t)) / t**2 / 0.98),
]


@pytest.mark.parametrize(("time", "weighting", "integrand"), LOSSES, ids=[f"{a}-{b}" for a, b, _ in LOSSES])
def test_floor_of_gaussian_data_is_its_integral(time: str, weighting: str, integrand: Callable) -> None:
    """Heavy tails too: with std 0.3 the law goes to t > 0.9 with probability 1e-13, and half of the loss is there."""
    written = {"name": "mine", "spec": weighting} if weighting.startswith("expr") else weighting
    result = found(normal_data(), {"times": [time], "weightings": [written]})
    expected = integrate.quad(lambda t: integrand(t) * error(t), 0.01, 0.99, limit=500, epsabs=0, epsrel=1e-10)[0]
    assert abs(result.value - expected) < 5 * result.se
    assert result.se < 2e-3 * expected


def test_draws_from_the_law_do_not_see_a_heavy_tail() -> None:
    """What the proposal is for: as many stratified draws from the law itself miss much of that integral."""
    cell, experiment = one_cell({"times": ["logit_normal:std=0.3"], "weightings": ["elbo"]}, (0.01, 0.99))
    aim = training_loss(cell, experiment, 0)
    u = (torch.arange(16384, dtype=DOUBLE) + 0.5) / 16384
    t = aim.objective.time.draw(u, aim.t_range)
    weight = aim.objective.coefficient(t)
    by_law = float((weight * torch.tensor([error(float(each)) for each in t])).mean())
    expected = integrate.quad(lambda t: error(t) / (t * (1 - t)), 0.01, 0.99)[0]
    assert by_law < 0.5 * expected


def tweedie(path: str, integrand: Callable[[Tensor], Tensor], low: float = 0.01, high: float = 0.99) -> float:
    """The floor of eight Gaussians from the density alone: E|eps - E eps|² = D - sigma² E|grad log p_t|²."""
    law, axis = data.get_dataset("eight_gaussians").mixture, torch.linspace(-6.5, 6.5, 200, dtype=DOUBLE)
    x = torch.cartesian_prod(axis, axis).requires_grad_()
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(40))
    t = low + (high - low) * (nodes + 1) / 2
    total = 0.0
    for each, weight, factor in zip(t, weights * (high - low) / 2, integrand(t), strict=True):
        alpha, sigma = get_path(path)(each)
        variance = (alpha * law.stds[0]) ** 2 + sigma**2
        logs = (-((x[:, None] - alpha * law.means) ** 2).sum(-1) / (2 * variance)).logsumexp(1)
        density = logs.detach().exp() / logs.detach().exp().sum()
        score = torch.autograd.grad(logs.sum(), x)[0]
        total += float(weight * factor * (2 - sigma**2 * (density * score.square().sum(1)).sum()))
    return total


def test_floor_of_a_mixture_and_its_error_are_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over other draws the distance to the truth is as large as the standard error says."""
    points = data.get_dataset("eight_gaussians")
    expected = tweedie("linear", lambda t: 1 / t**2 / 0.98)
    honest, z = seeds.generator, []
    monkeypatch.setattr(gaussian_process, "DRAWS", 128)
    for seed in range(40):
        monkeypatch.setattr(seeds, "generator", lambda *parts, seed=seed: honest(*parts, seed))
        result = found(points, {"weightings": ["uniform"]})
        z.append((result.value - expected) / result.se)
        assert 0 < result.se < 0.03 * expected
    assert abs(np.mean(z)) < 4 / math.sqrt(40)
    assert 0.55 < np.mean(np.square(z)) < 1.9


@pytest.mark.parametrize("path", ["cosine", "vp", "ve"])
@pytest.mark.default_cases(1)
def test_the_elbo_of_a_mixture_is_its_integral_over_log_snr(path: str) -> None:
    def half_slope(t: Tensor) -> Tensor:
        ends = torch.stack([t - 1e-6, t + 1e-6])
        alpha, sigma = get_path(path)(ends)
        return (2 * (alpha / sigma).log()).diff(dim=0)[0] / 4e-6 / 0.98

    result = found(data.get_dataset("eight_gaussians"), {"paths": [path], "weightings": ["elbo"]})
    assert abs(result.value - tweedie(path, half_slope)) < 4.5 * result.se + 1e-3 * result.value
    assert result.se < 0.01 * result.value


def little_images() -> ImageData:
    """Two pixels of three levels; class 1 has two images, one of them twice."""
    train = torch.tensor([[0, 0], [0, 2], [2, 2], [1, 0], [0, 1], [0, 1]], dtype=torch.uint8)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    return ImageData("little", (1, 1, 2), 3, 2, train, labels, train, labels)


def test_floor_of_images_is_that_of_their_classes() -> None:
    """By Gauss-Hermite quadrature over eps and Gauss-Legendre over t, with the posterior by Bayes' rule."""
    images, (nodes, weights) = little_images(), hermegauss(60)
    eps = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    mass = np.outer(weights, weights).reshape(-1) / (2 * math.pi)
    times, steps = np.polynomial.legendre.leggauss(60)

    def total(t: float) -> float:
        parts = []
        for label in (0, 1):
            z = images.points()[images.train_labels == label].double().numpy()
            for x1 in z:
                x = t * x1 + (1 - t) * eps
                log_p = -((x[:, None] - t * z) ** 2).sum(-1) / (2 * (1 - t) ** 2)
                p = np.exp(log_p - log_p.max(1, keepdims=True))
                error = ((x1 - (p / p.sum(1, keepdims=True)) @ z) ** 2).sum(-1)
                parts.append(mass @ error * (t / (1 - t)) ** 2)
        return float(np.mean(parts))

    low, high = 0.05, 0.9
    t = low + (high - low) * (times + 1) / 2
    expected = sum(w * total(each) / each**2 for each, w in zip(t, steps, strict=True)) / 2
    result = found(images, {"dataset": "digits8", "weightings": ["uniform"]}, (low, high))
    assert abs(result.value - expected) < 4.5 * result.se
    assert result.se < 0.02 * expected


def entropy(rows: Tensor) -> float:
    return float(stats.entropy(rows.unique(dim=0, return_counts=True)[1].numpy()))


@pytest.mark.parametrize(("path", "time"), [("linear", "uniform"), ("cosine", "uniform"), ("linear", "logit_normal")])
def test_masked_elbo_of_the_exact_posterior_is_the_entropy(path: str, time: str) -> None:
    """What the range leaves out at either end is of order 1e-3."""
    images, t_range = little_images(), (1e-3, 1 - 1e-3)
    classes = [images.train[images.train_labels == label] for label in (0, 1)]
    written = {"process": "masked", "paths": [path], "times": [time], "weightings": ["elbo"]}
    result = found(images, written, t_range)
    assert abs(result.value - np.mean([entropy(rows) for rows in classes])) < 4.5 * result.se + 2e-3
    assert result.se < 0.02


def test_masked_simple_loss_is_its_enumeration() -> None:
    """E over t uniform of the two masks of one token, t (1 - t) = 1/6 each, and the mask of both, (1 - t)² = 1/3."""
    images, total = little_images(), 0.0
    for label in (0, 1):
        rows = images.train[images.train_labels == label]
        joint, first, second = entropy(rows), entropy(rows[:, :1]), entropy(rows[:, 1:])
        total += ((first + second) / 3 + ((joint - first) + (joint - second)) / 6) / 2
    result = found(images, {"process": "masked", "weightings": ["simple"]}, (1e-9, 1 - 1e-9))
    assert abs(result.value - total) < 4.5 * result.se
    assert result.se < 0.02


def test_a_law_with_atoms_is_drawn_from(tmp_path: Path) -> None:
    """Four fixed times, as on a grid of steps: they have no density."""
    (tmp_path / "law.py").write_text("def grid(u):\n    return (4 * u).floor() / 4 + 0.125\n")
    law = {"name": "fixed", "spec": f"{tmp_path / 'law.py'}:grid"}
    result = found(normal_data(), {"times": [law], "weightings": ["uniform"]})
    expected = np.mean([error(t) / t**2 for t in (0.125, 0.375, 0.625, 0.875)])
    assert result.value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "written",
    [
        {"dataset": "two_moons", "weightings": ["uniform"]},
        {"weightings": ["uniform"], "coupling": "ot"},
        {"weightings": ["uniform"], "divergence": "l1"},
    ],
)
def test_an_unknown_floor_is_not_a_number(written: dict) -> None:
    cell, experiment = one_cell(written, (0.01, 0.99))
    result = floor(cell, experiment, data.get_dataset(cell.dataset))
    assert math.isnan(result.value)
    assert math.isnan(result.se)


def test_seeds_and_targets_share_a_floor() -> None:
    points = data.get_dataset("eight_gaussians")
    cells = [
        one_cell({"weightings": ["elbo"], "targets": [g], "seeds": [s]}, (0.01, 0.99)) for g, s in (("x1", 0), ("v", 3))
    ]
    assert len({floor(*each, points) for each in cells}) == 1


def test_the_figure_shows_the_floor_with_its_error(reported: Path) -> None:
    shown = pd.read_csv(reported / "figures" / "losses.csv")
    known = shown["floor"].notna()
    assert known.any()
    assert (shown.loc[known, "floor_se"] > 0).all()
    assert shown.loc[~known, "floor_se"].isna().all()
