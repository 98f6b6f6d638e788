"""Sphere and torus against a library's directional law, meshes and images, and nodes carried along geodesics."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.stats import vonmises_fisher
from torch import Tensor

from reproflow.exact import manifold
from reproflow.exact.manifold import get_manifold, posterior

GRID = {"sphere": 56, "torus": 12}


def points(name: str, n: int, seed: int = 0) -> Tensor:
    raw = torch.randn(n, get_manifold(name).data.shape[1], generator=torch.Generator().manual_seed(seed)).double()
    return torch.nn.functional.normalize(raw, dim=1) if name == "sphere" else manifold.wrap(3 * raw)


@pytest.mark.parametrize("name", ["sphere", "torus"])
def test_exp_undoes_log_and_its_geodesic_stays_on_course(name: str) -> None:
    m, x, y = get_manifold(name), points(name, 50), points(name, 50, 1)
    v = m.log(x, y)
    torch.testing.assert_close(m.tangent(x, v), v, rtol=0, atol=1e-13)
    assert float(m.log(m.exp(x, v), y).abs().max()) < 1e-12
    half = m.exp(x, 0.5 * v)
    torch.testing.assert_close(m.log(half, y).norm(dim=1), 0.5 * v.norm(dim=1), rtol=1e-12, atol=1e-12)


def test_projections_drop_what_stands_on_the_tangent_space() -> None:
    x, v = points("sphere", 50), 2 * points("sphere", 50, 1)
    expected = torch.linalg.cross(x, torch.linalg.cross(v, x))
    torch.testing.assert_close(get_manifold("sphere").tangent(x, v), expected, rtol=0, atol=1e-14)


def test_distances_are_the_angle_and_the_nearest_image() -> None:
    x, y = points("sphere", 50), points("sphere", 50, 1)
    angle = 2 * torch.asin((x - y).norm(dim=1) / 2)
    torch.testing.assert_close(get_manifold("sphere").log(x, y).norm(dim=1), angle, rtol=1e-10, atol=0)
    x, y = points("torus", 50), points("torus", 50, 1)
    shifts = torch.tensor(list(itertools.product((-1, 0, 1), repeat=2)), dtype=torch.float64) * 2 * math.pi
    nearest = (y[:, None] + shifts - x[:, None]).norm(dim=2).min(1).values
    torch.testing.assert_close(get_manifold("torus").log(x, y).norm(dim=1), nearest, rtol=1e-12, atol=1e-12)


def test_the_sphere_s_base_law_is_von_mises_fisher() -> None:
    x = points("sphere", 40)
    expected = vonmises_fisher([0.0, 0.0, 1.0], manifold.CONCENTRATION).pdf(x.numpy())
    m = get_manifold("sphere")
    torch.testing.assert_close(m.density(x, m.data[1], 0.0), torch.from_numpy(expected), rtol=1e-9, atol=1e-20)


@pytest.mark.parametrize("name", ["sphere", "torus"])
@pytest.mark.parametrize("t", [0.2, 0.6])
def test_the_density_is_that_of_the_pushed_forward_base(name: str, t: float) -> None:
    """Total mass and moments: nodes of the base law carried along the geodesics, against the closed form."""
    m = get_manifold(name)
    x, area = m.grid(t, GRID[name])
    for x1 in m.data:
        x0, mass = m.base(x1, 40)
        carried = m.exp(x1, (1 - t) * m.log(x1, x0))
        density = area * m.density(x, x1, t)
        assert float(density.sum()) == pytest.approx(1, abs=1e-11)
        for f in (torch.sin, torch.cos, lambda x: (2 * x).sin() * x.flip(1).cos()):
            torch.testing.assert_close(density @ f(x), mass @ f(carried), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["sphere", "torus"])
def test_the_chordal_mean_is_the_nearest_point_of_a_mesh(name: str) -> None:
    m = get_manifold(name)
    given = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.1, 0.1, 0.2, 0.6]], dtype=torch.float64)
    around = torch.linspace(-math.pi, math.pi, 721, dtype=torch.float64)
    if name == "sphere":
        a, b = torch.cartesian_prod(torch.linspace(0, math.pi, 361, dtype=torch.float64), around).T
        mesh = torch.stack([a.sin() * b.cos(), a.sin() * b.sin(), a.cos()], 1)
        flat, data = mesh, m.data
    else:
        mesh = torch.cartesian_prod(around, around)
        flat, data = (torch.cat([each.cos(), each.sin()], 1) for each in (mesh, m.data))
    cost = given @ (data[:, None] - flat).square().sum(2)
    distance = m.log(m.chordal_mean(given), mesh[cost.argmin(1)]).norm(dim=1)
    assert float(distance.max()) < 0.01


def test_a_torus_point_out_of_reach_has_no_density() -> None:
    m = get_manifold("torus")
    away = manifold.wrap(m.data[:1] + torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert float(m.density(away, m.data[:1], 0.3)) > 0
    assert float(m.density(away, m.data[:1], 0.4)) == 0


@pytest.mark.parametrize("name", ["sphere", "torus"])
def test_problems_hold_tangent_velocities_and_the_posterior(name: str) -> None:
    problem, m = manifold.problem(name, times=(0.3,), n=6), get_manifold(name)
    assert bool(problem.target.isfinite().all())
    x, _ = m.grid(0.3, 6)
    given, mass = posterior(m, x, 0.3)
    kept = mass > 0
    torch.testing.assert_close(problem.joint / problem.joint.sum(1, keepdim=True), given[kept], rtol=1e-12, atol=1e-14)
    # The geodesic from x at the target's velocity is at the data point when the time is up.
    ends = m.exp(x[kept][:, None], 0.7 * problem.target)
    assert float(m.log(ends, m.data.expand_as(ends)).abs().max()) < 1e-12
