"""The controls of the gradient check are controls: the law of total expectation, and what their numbers may be."""

from __future__ import annotations

import math

import pytest
import torch

from reproflow.exact import four_tokens, three_gaussians
from reproflow.judge.objectives import gradient_identity
from reproflow.judge.processes import gaussian, masked
from reproflow.theory.paths import get_path


class TestVerdict:
    @pytest.mark.parametrize(
        ("gap", "control", "verdict"),
        [
            (9e-9, 0.1, "supported"),
            (3e-8, 0.1, "refuted"),
            (0.1, 1e-12, "refuted"),
            (1e-12, 2e-6, "supported"),
            (1e-12, 1e-7, "inconclusive"),
            (1e-12, math.nan, "inconclusive"),
            (math.nan, 0.1, "inconclusive"),
        ],
    )
    def test_by_both_gaps(self, gap: float, control: float, verdict: str) -> None:
        assert gradient_identity._verdict(gap, control, "")["verdict"] == verdict


class TestGap:
    @pytest.mark.parametrize(("second", "defined"), [(2.0, True), (1 + 1e-8, False)])
    def test_where_weights_of_both_signs_cancel_there_is_none(self, second: float, defined: bool) -> None:
        """Losses theta and `second` theta under the weights 1 and -1: 1e-8 is left of either."""
        t = torch.tensor([0.25, 0.75], dtype=torch.float64)
        at = gradient_identity.Sample(t, torch.ones_like(t), torch.tensor([1.0, -1.0], dtype=torch.float64))
        theta = torch.ones(1, dtype=torch.float64, requires_grad=True)
        losses = theta * torch.tensor([1.0, second], dtype=torch.float64)
        gap = gradient_identity._gap(at, theta, losses, 1.5 * losses)
        assert gap == pytest.approx(0.5) if defined else math.isnan(gap)


class TestGaussianControl:
    @pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
    def test_its_posterior_mean_has_the_mean_of_the_weight(self, t: float) -> None:
        """E E[w|x_t] = E w = sum of pi_m w_m + E (1 + eps)², with w_m of the components and eps normal."""
        x = torch.linspace(-15, 15, 6001, dtype=torch.float64)[:, None]
        c = get_path("linear").at(torch.full((len(x),), t, dtype=torch.float64))
        p = three_gaussians.MIXTURE.log_density(x, c).exp() * 0.005
        assert float(p.sum()) == pytest.approx(1, abs=1e-9)
        by_component = three_gaussians.MIXTURE.weights @ torch.tensor([0.25, 1.0, 2.0], dtype=torch.float64)
        assert float(p @ gaussian._of_data().mean(x, c)) == pytest.approx(float(by_component) + 2, rel=1e-8)


class TestMaskedControl:
    def test_both_sides_are_one_where_the_network_guesses(self) -> None:
        """Then the cross-entropy is log 3 for every masked token, whatever the data: E[w n] = E[E[w|z] n]."""
        c = get_path("linear", "masked").at(torch.tensor([0.2, 0.7], dtype=torch.float64))
        theta, weight = torch.zeros_like(masked._token_parameters()), masked._data_weight()
        sides = [each(theta, c, weight) for each in (masked._conditional, masked._marginal)]
        torch.testing.assert_close(*sides, rtol=1e-12, atol=0)
        _, q = four_tokens.data()
        wanted = float(q @ weight) * four_tokens.LENGTH * (1 - c.t) * math.log(four_tokens.LETTERS)
        torch.testing.assert_close(sides[0], wanted, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("row", [0, 17, 85, 254, 255])
    def test_its_posterior_mean_by_brute_force(self, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """One state alone: the mean of w over the sequences that agree with what it shows."""
        x, q = four_tokens.data()
        z, shown, _ = four_tokens.states()
        weight, hidden = masked._data_weight(), z[row] == four_tokens.LETTERS
        fits = [i for i in range(len(x)) if bool((hidden | (x[i] == z[row])).all())]
        mean = sum(float(q[i] * weight[i]) for i in fits) / sum(float(q[i]) for i in fits)
        alone = torch.zeros(1, len(z), dtype=torch.float64)
        alone[0, row] = 1
        monkeypatch.setattr(four_tokens, "seen", lambda *_: alone)
        c = get_path("linear", "masked").at(torch.tensor([0.5], dtype=torch.float64))
        found = masked._marginal(torch.zeros_like(masked._token_parameters()), c, weight)
        wanted = float(shown[row]) * mean * int(hidden.sum()) * math.log(four_tokens.LETTERS)
        assert float(found) == pytest.approx(wanted, rel=1e-12)
