"""Every registered divergence is, or is not, a Bregman divergence, by criteria that do not use its own formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats
from torch import Tensor

import reproflow.theory  # noqa: F401
from reproflow.foundation import names, registry
from reproflow.foundation.errors import UsageError
from reproflow.theory.divergences import Divergence, get_divergence

ALL = [entry.name for entry in registry.entries("divergence")]
BREGMAN = [name for name in ALL if get_divergence(name).bregman]
OTHERS = [name for name in ALL if not get_divergence(name).bregman]
B = 64
D = 3


def points(domain: str, count: int, seed: int = 0, size: int = B) -> list[Tensor]:
    """`count` tensors (size, D) in the domain, far enough apart to leave Huber's quadratic part."""
    draw = 2 * torch.randn(count, size, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return list((0.5 * draw).exp() if domain == "positive" else draw)


def place(seed: int = 1, size: int = B) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    t = 0.02 + 0.96 * torch.rand(size, generator=generator, dtype=torch.float64)
    return t, torch.randn(size, D, generator=generator, dtype=torch.float64)


def slope(loss: Divergence, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The gradient of the loss in b, (B, D)."""
    b = b.detach().requires_grad_()
    return torch.autograd.grad(loss(a, b, t, x).sum(), b)[0]


def test_both_kinds_are_there() -> None:
    """And nobody is forgotten: each says whether it is a Bregman divergence, and what it targets."""
    assert len(BREGMAN) >= 7
    assert len(OTHERS) >= 7
    assert all(get_divergence(name).bregman is not None and get_divergence(name).functional for name in ALL)


def test_the_committed_list_knows_the_domain() -> None:
    for name in ALL:
        assert (names.find("divergence", name, "gaussian").domain or "real") == get_divergence(name).domain


@pytest.mark.parametrize("name", ALL)
class TestAll:
    def test_zero_at_the_truth_and_positive_elsewhere(self, name: str) -> None:
        loss, (t, x) = get_divergence(name), place()
        a, b = points(loss.domain, 2)
        assert loss(a, b, t, x).shape == (B,)
        assert float(loss(a, b, t, x).min()) > 1e-3
        assert float(loss(a, a.clone(), t, x).abs().max()) < 1e-14

    def test_gradient_agrees_with_finite_differences(self, name: str) -> None:
        loss, (t, x) = get_divergence(name), place()
        a, b = points(loss.domain, 2)
        found, step = slope(loss, a, b, t, x), 1e-6
        for i in range(D):
            shift = step * torch.eye(D, dtype=torch.float64)[i]
            difference = (loss(a, b + shift, t, x) - loss(a, b - shift, t, x)) / (2 * step)
            torch.testing.assert_close(found[:, i], difference, rtol=1e-6, atol=1e-6)

    def test_rows_do_not_mix(self, name: str) -> None:
        loss, (t, x) = get_divergence(name), place()
        a, b = points(loss.domain, 2)
        alone = torch.cat([loss(a[i : i + 1], b[i : i + 1], t[i : i + 1], x[i : i + 1]) for i in range(B)])
        torch.testing.assert_close(loss(a, b, t, x), alone, rtol=1e-13, atol=0)

    def test_its_minimiser_is_what_it_says(self, name: str) -> None:
        """One coordinate, seven equally likely targets: the prediction of least expected loss, by golden section."""
        loss, (t, x) = get_divergence(name), place(3, 1)
        values = np.array([0.1, 0.2, 0.35, 0.7, 1.3, 2.9, 5.0])
        a = torch.from_numpy(values)[:, None]
        one = (t.expand(7), x[:, :1].expand(7, 1))

        def expected(b: float) -> float:
            return float(loss(a, torch.full_like(a, b), *one).mean())

        found = optimize.minimize_scalar(expected, bounds=(0.05, 5), method="bounded", options={"xatol": 1e-9}).x
        wanted = {
            "mean": values.mean(),
            "median": np.median(values),
            "geometric mean": stats.gmean(values),
            "harmonic mean": stats.hmean(values),
            "root mean square": stats.pmean(values, 2),
            "squared mean of the root": stats.pmean(values, 0.5),
        }
        assert loss.functional in wanted or not loss.bregman
        if loss.functional in wanted:
            assert found == pytest.approx(wanted[loss.functional], rel=1e-6)
        if name == "huber":
            assert wanted["median"] + 0.05 < found < wanted["mean"] - 0.05
        others = [abs(value - found) for key, value in wanted.items() if key != loss.functional]
        assert min(others) > 0.01, "the control: the functionals of this law differ"


def affine_defect(loss: Divergence) -> float:
    """How far the gradient in b is from affine in a, relative to the gradients (BIL-4)."""
    (t, x), (a, c, b) = place(), points(loss.domain, 3)
    share = torch.rand(B, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ends = [slope(loss, each, b, t, x) for each in (a, c)]
    between = slope(loss, share * a + (1 - share) * c, b, t, x)
    return float((between - share * ends[0] - (1 - share) * ends[1]).norm() / (ends[0].norm() + ends[1].norm()))


def jensen_defect(loss: Divergence) -> float:
    """How far E loss(A, b) - loss(E A, b) depends on b, relative to E loss: exact over a law on five targets."""
    (t, x), (b, c) = place(), points(loss.domain, 2, seed=5)
    targets, weights = points(loss.domain, 5, seed=6), torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15], dtype=torch.float64)
    mean = sum(w * a for w, a in zip(weights, targets, strict=True))

    def gap(b: Tensor) -> tuple[Tensor, Tensor]:
        expected = sum(w * loss(a, b, t, x) for w, a in zip(weights, targets, strict=True))
        return expected - loss(mean, b, t, x), expected

    (one, scale), (two, _) = gap(b), gap(c)
    return float((one - two).norm() / scale.norm())


@pytest.mark.parametrize("name", BREGMAN)
def test_bregman_divergences_meet_both_criteria(name: str) -> None:
    assert affine_defect(get_divergence(name)) < 1e-13
    assert jensen_defect(get_divergence(name)) < 1e-13


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_miss_both_by_a_margin(name: str) -> None:
    assert affine_defect(get_divergence(name)) > 0.02
    assert jensen_defect(get_divergence(name)) > 0.02


POTENTIALS = {
    "squared": lambda a: a.square().sum(1),
    "exponential": lambda a: a.exp().sum(1),
    "kl_rates": lambda a: (torch.special.xlogy(a, a) - a).sum(1),
    "itakura_saito": lambda a: -a.log().sum(1),
}


@pytest.mark.parametrize("name", POTENTIALS)
def test_against_the_potential(name: str) -> None:
    """phi(a) - phi(b) - <grad phi(b), a - b>, the gradient by autograd."""
    loss, (t, x), phi = get_divergence(name), place(), POTENTIALS[name]
    a, b = points(loss.domain, 2)
    b.requires_grad_()
    (gradient,) = torch.autograd.grad(phi(b).sum(), b)
    wanted = phi(a) - phi(b) - (gradient * (a - b)).sum(1)
    torch.testing.assert_close(loss(a, b, t, x), wanted, rtol=1e-10, atol=1e-10)


def test_kl_rates_against_scipy_with_zero_rates() -> None:
    (a, b), (t, x) = points("positive", 2), place()
    a[:, 0] = 0
    b[0, 0] = 0
    found = get_divergence("kl_rates")(a, b, t, x)
    np.testing.assert_allclose(found, special.kl_div(a, b).sum(1), rtol=1e-13)
    np.testing.assert_allclose(found, (special.rel_entr(a, b) - a.numpy() + b.numpy()).sum(1), rtol=1e-10)
    assert slope(get_divergence("kl_rates"), a, b, t, x).isfinite().all()


@pytest.mark.parametrize(("name", "base"), [("weighted_squared", "squared"), ("mahalanobis", "squared")])
def test_a_quadratic_form_has_one_positive_curvature(name: str, base: str) -> None:
    """The second derivative in b is positive definite and knows t and x, but neither a nor b."""
    loss, (t, x) = get_divergence(name), place(size=2)

    def curvature(seed: int, row: int) -> Tensor:
        a, b = (each[:1] for each in points("real", 2, seed))
        at = (t[row : row + 1], x[row : row + 1])
        return torch.autograd.functional.hessian(lambda b: loss(a, b[None], *at).sum(), b[0])

    torch.testing.assert_close(curvature(0, 0), curvature(1, 0), rtol=1e-12, atol=1e-12)
    assert float((curvature(0, 0) - curvature(0, 1)).abs().max()) > 0.01
    values = torch.linalg.eigvalsh(curvature(0, 0))
    assert float(values.min()) > 0
    if name == "mahalanobis":
        assert 2 <= float(values.min()) < float(values.max()) <= 6


@pytest.mark.parametrize(("name", "base"), [("weighted_squared", "squared"), ("weighted_kl", "kl_rates")])
def test_weights_know_the_place_only(name: str, base: str) -> None:
    """In one coordinate, the ratio to the unweighted divergence is positive and depends on t and x, not on a and b."""
    (t, x), weighted, plain = place(), get_divergence(name), get_divergence(base)
    ratios = []
    for seed in (0, 1):
        a, b = (each[:, :1] for each in points(plain.domain, 2, seed))
        ratios.append(weighted(a, b, t, x[:, :1]) / plain(a, b, t, x[:, :1]))
    torch.testing.assert_close(*ratios, rtol=1e-10, atol=0)
    assert float(ratios[0].min()) > 0
    assert float(ratios[0].std()) > 0.1


@pytest.mark.parametrize("spec", ["huber:delta=0", "mahalanobis:scale=-1", "huber:gamma=1", "hubr"])
def test_bad_specs_are_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        get_divergence(spec)
