"""`gradient` and `variance` of a judged weighting, against brute force and autograd sample by sample."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from judged_objectives import quick_objective
from scipy import integrate

from reproflow import judge
from reproflow.exact import conditional_losses, four_tokens
from reproflow.judge.objectives import gradient_identity, gradient_variance
from reproflow.judge.processes import gaussian
from reproflow.learning.data import get_dataset
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target
from reproflow.theory.times import get_time_law

TARGETS = [
    ("expr:1", "gaussian", path, "uniform", target)
    for path, target in itertools.product(("linear", "vp", "edm"), ("velocity", "x1", "eps", "score", "v"))
]
SOUND = [
    *TARGETS,
    ("elbo",),
    ("inv_snr",),
    ("expr:1/(1 - t)**6",),
    ("expr:1/t**6", "gaussian", "linear", "uniform", "eps"),
    ("expr:1e280*t",),
    ("expr:t - 0.5",),
    ("expr:where(t < 0.3, 1, 0)",),
    ("uniform", "gaussian", "cosine", "mode"),
    ("fm", "gaussian", "vp_sigma_t", "laplace"),
    ("uniform", "gaussian", "ve", "lognormal_sigma"),
    ("simple", "masked"),
    ("elbo", "masked", "cosine"),
    ("elbo", "masked", "geometric"),
    ("expr:1/(1 - t)**6", "masked"),
    ("fm", "masked", "polynomial", "beta"),
]


class TestGradient:
    @pytest.mark.parametrize("given", SOUND)
    @pytest.mark.default_cases(8)
    def test_every_weight_of_time_is_supported(self, given: tuple[str, ...]) -> None:
        found = gradient_identity.judge(quick_objective(*given))
        assert found["verdict"] == "supported", found["reason"]
        assert found["relative_gap"] <= 1e-8
        assert found["control_gap"] > 1e-4

    @pytest.mark.parametrize("t_range", [(1e-6, 1e-4), (0.4, 0.400001), (1 - 1e-4, 1.0), (0.0, 1.0), (0.0, 1e-12)])
    @pytest.mark.parametrize(
        "given", [("uniform",), ("expr:1", "gaussian", "linear", "uniform", "x1"), ("simple", "masked")]
    )
    def test_any_range(self, given: tuple[str, ...], t_range: tuple[float, float]) -> None:
        assert gradient_identity.judge(quick_objective(*given), t_range)["verdict"] == "supported"

    @pytest.mark.parametrize(
        ("spec", "word"), [("expr:0", "zero"), ("expr:where(t > 0.4, exp(800), 1)", "infinite at t = 0.4")]
    )
    def test_what_is_not_defined(self, spec: str, word: str) -> None:
        found = gradient_identity.judge(quick_objective(spec))
        assert (found["verdict"], found["relative_gap"], found["control_gap"]) == ("inconclusive", None, None)
        assert "not defined" in found["reason"]
        assert word in found["reason"]

    def test_a_wrong_posterior_mean_is_refuted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The test has power: the prior's mean in the place of the posterior's, and a posterior of another law."""
        whole = conditional_losses.Regression

        def wrong(target: object, weight: conditional_losses.Weight) -> conditional_losses.Regression:
            return whole(get_target("velocity"), weight=weight, mean=conditional_losses.prior_mean("velocity"))

        monkeypatch.setattr(conditional_losses, "Regression", wrong)
        assert gradient_identity.judge(quick_objective("uniform"))["verdict"] == "refuted"
        z, shown, posterior = four_tokens.states()
        monkeypatch.setattr(four_tokens, "states", lambda: (z, shown, posterior.flip(-1)))
        assert gradient_identity.judge(quick_objective("simple", "masked"))["verdict"] == "refuted"

    def test_a_control_without_effect_is_no_power(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gaussian, "_of_data", lambda: conditional_losses.ONE)
        found = gradient_identity.judge(quick_objective("uniform"))
        assert found["verdict"] == "inconclusive"
        assert "no power" in found["reason"]

    def test_gradients_that_cancel_have_no_relative_gap(self) -> None:
        """Two halves of opposite sign and equal gradient: all that is left is rounding."""
        theta = torch.ones(3, dtype=torch.float64, requires_grad=True)
        losses = (theta**2).sum() * torch.ones(2, dtype=torch.float64)
        at = gradient_identity.Sample(*torch.tensor([[0.2, 0.8], [0.5, 0.5], [1.0, -1.0]], dtype=torch.float64))
        assert math.isnan(gradient_identity._gap(at, theta, losses, losses))

    def test_the_exit_code_knows_it(self) -> None:
        found = judge.weighting("uniform")
        assert found.exit_code == 0
        for verdict, code in (("refuted", 3), ("inconclusive", 5)):
            changed = dataclasses.replace(found, gradient={**found.gradient, "verdict": verdict})
            assert changed.exit_code == code
        assert dataclasses.replace(found, variance=gradient_variance.nothing("x", "gaussian")).exit_code == 0


class TestTokens:
    def test_states_by_brute_force(self) -> None:
        """Bayes by hand for every state: probabilities that sum to one, and posteriors of hidden tokens."""
        x, q = four_tokens.data()
        assert float(q.sum()) == pytest.approx(1, abs=1e-14)
        z, shown, posterior = four_tokens.states()
        alpha = torch.tensor([0.3], dtype=torch.float64)
        assert float(four_tokens.seen(z, alpha, 1 - alpha)[0] @ shown) == pytest.approx(1, abs=1e-14)
        for row in (0, 17, 85, 255):
            fits = [
                i
                for i in range(len(x))
                if all(a == b or b == four_tokens.LETTERS for a, b in zip(x[i].tolist(), z[row].tolist(), strict=True))
            ]
            mass = sum(float(q[i]) for i in fits)
            assert float(shown[row]) == pytest.approx(mass, abs=1e-15)
            for place in range(four_tokens.LENGTH):
                by_hand = [
                    sum(float(q[i]) for i in fits if x[i, place] == v) / mass for v in range(four_tokens.LETTERS)
                ]
                assert posterior[row, place].tolist() == pytest.approx(by_hand, abs=1e-14)


def sampled(
    law: str, weight: Callable[[torch.Tensor], torch.Tensor], n: int, trained: bool
) -> tuple[float, torch.Tensor]:
    """E|g|² and E g by drawing and by autograd of every sample's own loss: the velocity of the linear path."""
    generator = torch.Generator().manual_seed(1)
    low, high = gradient_identity.RANGE
    u = torch.rand(n, generator=generator, dtype=torch.float64)
    t = get_time_law(law).draw(u, (low, high))
    data = get_dataset("eight_gaussians")
    x1, eps = data.sample(n, generator, torch.float64), torch.randn(n, 2, generator=generator, dtype=torch.float64)
    x, y = t[:, None] * x1 + (1 - t)[:, None] * eps, x1 - eps
    phi = gradient_variance._features(x / torch.hypot(t, 1 - t)[:, None], t)
    theta = torch.zeros(n, phi.shape[1], 2, dtype=torch.float64, requires_grad=True)
    base = data.mixture.marginal_velocity(x, get_path("linear").at(t)) if trained else 0.0
    loss = (weight(t) * (base + torch.einsum("nf,nfd->nd", phi, theta) - y).square().sum(1)).sum()
    gradient = torch.autograd.grad(loss, theta)[0].flatten(1)
    return float(gradient.square().sum(1).mean()), gradient.mean(0)


class TestVariance:
    @pytest.mark.parametrize("law", ["uniform", "logit_normal", "u_squared"])
    @pytest.mark.default_cases(1)
    def test_moments_by_sampling(self, law: str) -> None:
        """The flow-matching objective with weight 1 + t; 40 000 draws tell its second moment to a few per cent."""
        found = quick_objective("expr:1 + t", time=law)
        coarse, rule = gradient_variance._rules(*gradient_identity.RANGE)
        moments = gradient_variance._interpolated(gradient_variance._moments(found, torch.from_numpy(coarse)))
        weight, density = found.on_output(rule.t), found.density(rule.t)
        mass = rule.sum(density)
        for trained, s in ((False, moments.start), (True, moments.trained)):
            second, mean = sampled(law, lambda t: 1 + t, 40_000, trained)
            exact = gradient_variance._seconds(rule, weight / mass, density / mass, s)[0]
            assert exact == pytest.approx(second, rel=0.04)
            if not trained:
                wanted = rule.sum(weight[:, None] / mass * moments.mean)
                places = wanted.reshape(2, -1).T.ravel()
                assert np.linalg.norm(mean.numpy() - places) < 4 * math.sqrt(second / 40_000)

    def test_masked_moments_by_brute_force(self) -> None:
        """Every sequence and mask, autograd of each loss, and scipy's quadrature in t: simple on the linear path."""
        x, z, _, q = four_tokens.pairs()
        phi = four_tokens.features(z)
        hidden = z == four_tokens.LETTERS
        seconds, means = [], []
        for row in range(len(x)):
            theta = torch.zeros(
                phi.shape[1], four_tokens.LENGTH, four_tokens.LETTERS, dtype=torch.float64, requires_grad=True
            )
            logits = torch.einsum("f,flv->lv", phi[row], theta).log_softmax(-1)
            loss = -(logits.gather(1, x[row][:, None])[:, 0] * hidden[row]).sum()
            gradient = torch.autograd.grad(loss, theta)[0].flatten() if hidden[row].any() else theta.detach().flatten()
            seconds.append(float(gradient.square().sum()))
            means.append(gradient.numpy())
        count = hidden.sum(1).numpy()
        low, high = gradient_identity.RANGE
        chance = [
            integrate.quad(lambda t, n=n: t ** (four_tokens.LENGTH - n) * (1 - t) ** n, low, high)[0] / (high - low)
            for n in range(four_tokens.LENGTH + 1)
        ]
        p = np.array(chance)[count] * q.numpy()
        second, mean = p @ np.array(seconds), p @ np.stack(means)
        found = gradient_variance.measure(quick_objective("simple", "masked"))
        assert found["this"] == pytest.approx(second / (mean @ mean) - 1, rel=1e-6)
        assert found["uniform"] == pytest.approx(found["this"], rel=1e-9)

    @pytest.mark.parametrize(
        "given",
        [
            ("uniform",), ("uniform", "gaussian", "linear", "logit_normal"), ("elbo", "gaussian", "cosine", "laplace"),
            ("min_snr",), ("expr:1", "gaussian", "edm", "lognormal_sigma", "eps"),
            ("expr:where(t < 0.3, 1, 0)",), ("expr:t - 0.5",), ("simple", "masked", "cosine", "beta"),
            ("elbo", "masked"), ("elbo", "masked", "linear", "u_squared"), ("fm", "masked"),
        ],
    )  # fmt: skip
    @pytest.mark.default_cases(3)
    def test_no_law_does_better_than_the_best(self, given: tuple[str, ...]) -> None:
        found = gradient_variance.measure(quick_objective(*given))
        assert found["optimal"] <= min(found["this"], found["uniform"]) * (1 + 1e-12)
        for network in ("start", "trained"):
            assert found[network]["this_over_optimal"] >= 1 - 1e-12
            assert found["optimal_law"][network] == sorted(found["optimal_law"][network])
        if len(given) < 4 or given[3] == "uniform":
            assert found["start"]["this_over_uniform"] == pytest.approx(1, abs=1e-12)

    def test_the_best_law_is_attained(self) -> None:
        """Four tokens, the linear path, a trained network: a law whose density is W sqrt(S) has the ratio 1."""
        z, shown, posterior = four_tokens.states()
        hidden = z == four_tokens.LETTERS
        size = four_tokens.features(z).square().sum(1) * (hidden * (1 - posterior.square().sum(-1))).sum(1)
        by_count = [float((shown * size)[hidden.sum(1) == n].sum()) for n in range(four_tokens.LENGTH + 1)]

        def root(t: np.ndarray) -> np.ndarray:
            return np.sqrt(sum(b * t ** (four_tokens.LENGTH - n) * (1 - t) ** n for n, b in enumerate(by_count)))

        low, high = gradient_identity.RANGE
        total = integrate.quad(root, low, high)[0]
        second = integrate.quad(lambda t: root(t) ** 2, low, high)[0] * (high - low)
        found = gradient_variance.measure(quick_objective("simple", "masked"))
        assert found["trained"]["this_over_optimal"] == pytest.approx(second / total**2, rel=1e-7)
        for u, t in zip(found["optimal_law"]["u"], found["optimal_law"]["trained"], strict=True):
            assert integrate.quad(root, low, t)[0] / total == pytest.approx(u, abs=1e-4)

    def test_weight_moved_into_the_law(self) -> None:
        """Lemma 4.7: 2t under uniform time is 1 under a law of density 2t, with another variance of its own."""
        weighted, drawn = (
            gradient_variance.measure(quick_objective("expr:2*t")),
            gradient_variance.measure(quick_objective("expr:1", time="beta:a=2,b=1")),
        )
        for key in ("uniform", "optimal"):
            assert drawn[key] == pytest.approx(weighted[key], rel=1e-6)
        assert drawn["optimal_law"]["start"] == pytest.approx(weighted["optimal_law"]["start"], abs=1e-6)
        assert drawn["this"] < weighted["this"]

    def test_a_constant_changes_nothing(self) -> None:
        one, other = (gradient_variance.measure(quick_objective(spec)) for spec in ("expr:t", "expr:1e200*t"))
        assert [one[key] for key in ("this", "uniform", "optimal")] == pytest.approx(
            [other[key] for key in ("this", "uniform", "optimal")], rel=1e-12
        )

    @pytest.mark.parametrize(
        ("given", "word"),
        [
            (("expr:0",), "zero"),
            (("expr:where(t > 0.4, exp(800), 1)",), "infinite"),
        ],
    )
    def test_what_is_not_defined(self, given: tuple[str, ...], word: str) -> None:
        found = gradient_variance.measure(quick_objective(*given))
        assert (found["this"], found["uniform"], found["optimal"], found["optimal_law"]) == (None,) * 4
        assert word in found["reason"]

    def test_a_range_whose_ends_are_not_resolved(self) -> None:
        subject = quick_objective("edm", "gaussian", "edm", "beta")
        found = gradient_variance.measure(subject, (0.0, 1.0))
        assert found["optimal_law"] is None
        assert "give a --range" in found["reason"]
        assert gradient_variance.measure(subject, (0.001, 0.999))["optimal_law"] is not None

    def test_a_law_with_atoms_has_no_density(self) -> None:
        rule = gradient_variance._rules(0.01, 0.99)[1]
        half = np.full_like(rule.t, 0.5 / 0.98)
        assert "adds up to 0.5, not 1" in gradient_variance._undefined(rule, half, half)
        assert gradient_variance._undefined(rule, half, 2 * half) == ""

    def test_a_range(self) -> None:
        found = gradient_variance.measure(quick_objective("elbo"), (0.3, 0.6))
        assert found["range"] == [0.3, 0.6]
        assert found["this"] == pytest.approx(found["uniform"], rel=1e-9)  # uniform time, cut to the range, is uniform
        assert 0.3 < found["optimal_law"]["start"][0] < found["optimal_law"]["start"][-1] < 0.6
