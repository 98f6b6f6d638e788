"""The weights of a chain against the discrete ELBO itself: its KL divergences, enumerated, with posteriors by Bayes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from reproflow import judge

POINTS, PROBABILITIES = np.array([-1.3, 0.2, 1.6]), np.array([0.3, 0.5, 0.2])
KEPT = np.array([0.97, 0.8, 0.45, 0.12, 0.02])
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


def predicted(x: np.ndarray, level: int) -> np.ndarray:
    """A denoiser that is wrong everywhere."""
    return np.tanh(0.7 * x + 0.3 * level) + 0.1 * x


def expectation(values: np.ndarray) -> float:
    """Over the data (rows) and the noise (columns)."""
    return float(PROBABILITIES @ values @ WEIGHTS) / math.sqrt(2 * math.pi)


def noisy(kept: float) -> np.ndarray:
    return math.sqrt(kept) * POINTS[:, None] + math.sqrt(1 - kept) * NODES


def reverse_kl(kept: np.ndarray, level: int) -> float:
    """E KL of the reverse step given the data and given the prediction: Bayes' rule for two Gaussians in x_{i-1}."""
    a, before = kept[level] / kept[level - 1], kept[level - 1]
    x = noisy(kept[level])
    precision = 1 / (1 - before) + (a / (1 - a) if a else 0.0)

    def mean(x1: np.ndarray) -> np.ndarray:
        return (math.sqrt(before) * x1 / (1 - before) + math.sqrt(a) * x / (1 - a)) / precision

    return expectation(0.5 * precision * (mean(POINTS[:, None]) - mean(predicted(x, level))) ** 2)


def errors(kept: np.ndarray, level: int) -> dict[str, float]:
    """E of the squared errors of the implied predictions of eps, x1 and v."""
    x = noisy(kept[level])
    off = predicted(x, level) - POINTS[:, None]
    alpha, sigma = math.sqrt(kept[level]), math.sqrt(1 - kept[level])
    off_eps = -alpha * off / sigma
    return {
        "x1": expectation(off**2),
        "eps": expectation(off_eps**2),
        "v": expectation((alpha * off_eps - sigma * off) ** 2),
    }


class TestGaussian:
    def test_the_sum_of_divergences_is_the_loss_of_weight_one(self) -> None:
        found = judge.chain("expr:1", KEPT, "alphas_cumprod", target="canonical")
        divergences = sum(reverse_kl(KEPT, level) for level in range(1, len(KEPT)))
        for on in ("eps", "x1", "v"):
            factor = found.targets[on]
            assert factor[0] is None
            loss = sum(factor[level] / len(KEPT) * errors(KEPT, level)[on] for level in range(1, len(KEPT)))
            assert loss == pytest.approx(divergences, rel=1e-10)

    @pytest.mark.parametrize("on", ["eps", "x1", "v"])
    def test_every_level_of_any_loss(self, on: str) -> None:
        """pi_i c_i E|..|^2 = w_i KL_i, one by one, and a control: the previous level's weight does not do."""
        value = np.array([2.0, 0.5, 3.0, 1.0, 4.0])
        w = judge.chain(value, KEPT, "alphas_cumprod", target=on).canonical["w"]
        for level in range(1, len(KEPT)):
            loss = value[level] / len(KEPT) * errors(KEPT, level)[on]
            assert w[level] * reverse_kl(KEPT, level) == pytest.approx(loss, rel=1e-10)
            if level > 1:
                assert w[level - 1] * reverse_kl(KEPT, level) != pytest.approx(loss, rel=1e-2)

    def test_a_last_level_without_data_has_a_finite_weight(self) -> None:
        kept = np.array([0.97, 0.8, 0.45, 0.12, 0.0])
        for on in ("x1", "v"):
            w = judge.chain(np.ones(5), kept, "alphas_cumprod", target=on).canonical["w"]
            assert w[-1] * reverse_kl(kept, 4) == pytest.approx(errors(kept, 4)[on] / 5, rel=1e-10)
            assert w[-1] == pytest.approx(2 / 5 / (0.12 / 0.88), rel=1e-12)

    def test_betas_sigmas_and_log_snrs_are_the_same_chain(self) -> None:
        expected = judge.chain("expr:1", KEPT, "alphas_cumprod", target="eps").canonical["w"][1:]
        betas = 1 - KEPT / np.concatenate([[1.0], KEPT[:-1]])
        ratio = np.sqrt((1 - KEPT) / KEPT)
        others = {"betas": betas, "sigmas": ratio, "log_snr": -2 * np.log(ratio), "flow_sigmas": ratio / (1 + ratio)}
        for kind, values in others.items():
            found = judge.chain("expr:1", values, kind, target="eps")
            assert found.canonical["w"][1:] == pytest.approx(expected, rel=1e-9), kind


DATA = {(0, 0): 0.4, (0, 1): 0.1, (1, 1): 0.5}
SHOWN = [0.9, 0.6, 0.25, 0.0]
MASK = 2
STATES = list(itertools.product((0, 1, MASK), repeat=2))


def kernel(to: int, start: int, kept: float) -> float:
    """One token kept with a probability, else masked; a mask stays."""
    if start == MASK:
        return float(to == MASK)
    return kept if to == start else (1 - kept) * (to == MASK)


def posterior(before: int, now: int, clean: int, level: int) -> float:
    """q(z_{i-1} | z_i, x) of one token, by Bayes' rule over the three states."""
    start, kept = SHOWN[level - 1], SHOWN[level] / SHOWN[level - 1]
    joint = [kernel(now, each, kept) * kernel(each, clean, start) for each in (0, 1, MASK)]
    return joint[before] / sum(joint) if sum(joint) else 0.0


def belief(state: tuple[int, ...], place: int) -> list[float]:
    """A network's probabilities of the two letters at a place; of a token that is shown, that token."""
    if state[place] != MASK:
        return [float(state[place] == each) for each in (0, 1)]
    one = 0.3 + 0.25 * place + 0.1 * state[1 - place]
    return [1 - one, one]


def masked_terms(level: int) -> tuple[float, float]:
    """E KL of the reverse step at a level, and E of the cross-entropy of the masked tokens there."""
    divergence = entropy = 0.0
    for clean, probability in DATA.items():
        for state in STATES:
            seen = probability * math.prod(kernel(z, x, SHOWN[level]) for z, x in zip(state, clean, strict=True))
            for place in (0, 1) if seen else ():
                mu, now = belief(state, place), state[place]
                entropy -= seen * (now == MASK) * math.log(mu[clean[place]])
                for before in (0, 1, MASK):
                    true = posterior(before, now, clean[place], level)
                    model = sum(mu[x] * posterior(before, now, x, level) for x in (0, 1))
                    divergence += seen * true * math.log(true / model) if true else 0.0
    return divergence, entropy


class TestMasked:
    def test_the_sum_of_divergences_is_the_loss_of_weight_one(self) -> None:
        found = judge.chain("expr:1", SHOWN, "alphas_cumprod", process="masked", target="canonical")
        terms = [masked_terms(level) for level in (1, 2, 3)]
        loss = sum(factor / 4 * entropy for factor, (_, entropy) in zip(found.targets["ce"][1:], terms, strict=True))
        assert loss == pytest.approx(sum(divergence for divergence, _ in terms), rel=1e-12)

    def test_every_level_of_any_loss(self) -> None:
        value = [1.0, 0.5, 3.0, 2.0]
        w = judge.chain(value, SHOWN, "alphas_cumprod", process="masked").canonical["w"]
        assert w[0] is None
        for level in (1, 2, 3):
            divergence, entropy = masked_terms(level)
            assert w[level] * divergence == pytest.approx(value[level] / 4 * entropy, rel=1e-12)
