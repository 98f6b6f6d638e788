"""The moment test for networks that do not see the time, against closed forms and Hankel matrices."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from judged_objectives import MASKED, SCHEMA, edm, objective
from scipy import special, stats

from reproflow import cli, judge
from reproflow.foundation.errors import UsageError
from reproflow.judge.objectives import time_agnostic
from reproflow.theory import bounds


class TestMoments:
    @pytest.mark.parametrize("path", ["linear", "cosine"])
    @pytest.mark.parametrize("tokens", [1, 3, 8, 64, 400])
    @pytest.mark.default_cases(2)
    def test_the_means_of_iddpm_in_closed_form(self, path: str, tokens: int) -> None:
        """w = 2 sqrt(m (1 - m))."""
        k, y, _ = time_agnostic.means(objective("iddpm", "masked", path), tokens, (0.0, 1.0))
        log = special.betaln(k + 0.5, tokens - k + 1.5) - special.betaln(k, tokens - k + 1)
        np.testing.assert_allclose(y, 2 * np.exp(log), rtol=1e-8)

    @pytest.mark.parametrize(("spec", "power"), [("fm", -0.5), ("expr:m_power", -0.9)])
    def test_an_integrable_pole_at_the_noise_end(self, spec: str, power: float) -> None:
        """w = (m/(1 - m))^-power: a twentieth of the last mean lies beyond the last time looked at."""
        spec = spec if spec == "fm" else f"expr:exp({power}*lam)"
        k, y, _ = time_agnostic.means(objective(spec, "masked", target="canonical"), 4, (0.0, 1.0))
        wanted = np.exp(special.betaln(k - power, 5 - k + power) - special.betaln(k, 5 - k))
        np.testing.assert_allclose(y, wanted, rtol=1e-7)

    def test_the_means_over_a_range(self) -> None:
        low, high = 0.2, 0.7
        k, y, m_range = time_agnostic.means(objective("iddpm", "masked"), 5, (low, high))
        assert m_range == pytest.approx((1 - high, 1 - low))
        for each, found in zip(k, y, strict=True):
            law = stats.beta(each, 6 - each)
            wanted = law.expect(lambda m: 2 * np.sqrt(m * (1 - m)), lb=1 - high, ub=1 - low, conditional=True)
            assert found == pytest.approx(wanted, rel=1e-8)

    @pytest.mark.parametrize(
        ("spec", "tokens", "verdict"),
        [
            *(("iddpm", tokens, "certified" if tokens < 3 else "not_representable") for tokens in (1, 2, 3, 4, 64)),
            *(("edm", tokens, "certified" if tokens < 9 else "not_representable") for tokens in (1, 2, 5, 8, 9, 16)),
            ("p2", 1, "certified"),
            ("p2", 64, "not_representable"),
        ],
    )
    @pytest.mark.default_cases(3)
    def test_which_lengths_do_with_less(self, spec: str, tokens: int, verdict: str) -> None:
        """EDM is representable up to eight tokens, and not at nine; IDDPM up to two."""
        k, y, m_range = time_agnostic.means(objective(spec, "masked", "cosine"), tokens, (0.0, 1.0))
        fit = time_agnostic.nearest(k, y, tokens, m_range)
        assert (fit.distance <= time_agnostic.TOLERANCE) == (verdict == "certified")
        if verdict == "certified":
            inside = fit.steps < 1
            steps = stats.beta.sf(fit.steps[inside], k[:, None], tokens - k[:, None] + 1) @ fit.masses[inside]
            limit = np.where(k == tokens, fit.masses[~inside].sum(), 0.0)
            np.testing.assert_allclose(steps + limit, y, rtol=2e-6)

    def test_iddpm_on_three_tokens_is_a_ninth_of_ten_away(self) -> None:
        """Means proportional to 5, 6, 5: raising the ends and lowering the middle by 1/11 makes them equal."""
        fit = time_agnostic.nearest(np.arange(1, 4), np.array([5.0, 6.0, 5.0]), 3)
        assert fit.distance == pytest.approx(1 / 11, rel=1e-9)

    def test_a_weight_that_grows_next_to_noise_is_the_limit_of_steps(self) -> None:
        """Means 1, 1, 1e9 are those of the ELBO and of a mass at m = 1, which the last of the beta laws alone sees."""
        fit = time_agnostic.nearest(np.arange(1, 4), np.array([1.0, 1.0, 1e9]), 3)
        assert fit.distance < 1e-8
        assert fit.masses[fit.steps == 1] == pytest.approx([1e9], rel=1e-6)

    @pytest.mark.parametrize(("tokens", "representable"), [(7, True), (8, True), (9, False), (10, False)])
    def test_edm_near_the_edge_by_hankel_matrices(self, tokens: int, representable: bool) -> None:
        """The same question as the truncated moment problem of Hausdorff, whose answer is two signs."""
        least = least_eigenvalue(tokens)
        assert abs(least) > 1e-6
        assert (least > 0) == representable

    def test_two_tokens_of_iddpm_are_the_elbo(self) -> None:
        found = judge.weighting("iddpm", **MASKED, tokens=2, time_agnostic=True)
        answer = found.time_agnostic
        assert answer["verdict"] == "certified"
        assert answer["steps"]["m"] == pytest.approx([0], abs=1e-12)
        assert answer["steps"]["mass"] == pytest.approx([math.pi / 4], rel=1e-8)
        assert (found.bound["verdict"], found.exit_code) == ("falsified", 0)

    def test_its_verdict_counts(self) -> None:
        found = judge.weighting("edm", **MASKED, tokens=9, time_agnostic=True)
        assert (found.time_agnostic["verdict"], found.exit_code) == ("not_representable", 3)
        assert found.time_agnostic["distance"] == pytest.approx(5.5e-4, rel=0.02)

    @pytest.mark.parametrize("spec", ["simple", "fm", "inv_snr"])
    def test_certified_is_certified_for_every_network(self, spec: str) -> None:
        subject = objective(spec, **MASKED)
        bound = bounds.analyse(subject.w, subject.lam, points=5001)
        answer = time_agnostic.time_agnostic(subject, bound, 7, None, bounds.DEFAULT_RANGE)
        assert answer["verdict"] == "certified"

    @pytest.mark.parametrize(
        ("spec", "given", "verdict", "word"),
        [
            ("expr:exp(lam)", None, "not_representable", "towards the data"),
            ("expr:exp(-2*lam) + 3*sigmoid(4*lam)", None, "certified", "looked at on t in"),
            ("expr:0", None, "not_representable", "zero objective"),
            ("expr:-exp(-lam/4)", None, "not_representable", "not positive"),
            ("expr:cosh(lam/2)**-1", (0.7, 0.9), "certified", "are those"),
            ("expr:cosh(lam/2)**-1", (0.05, 0.95), "not_representable", "no certified weight"),
        ],
    )
    def test_ends_ranges_and_what_is_no_weight(
        self, spec: str, given: tuple[float, float] | None, verdict: str, word: str
    ) -> None:
        subject = objective(spec, "masked", target="canonical")
        span = given or bounds.DEFAULT_RANGE
        bound = bounds.Bound("not_representable", "", (), None, 0, *(np.zeros(1),) * 3)
        answer = time_agnostic.time_agnostic(subject, bound, 3, given, span)
        assert answer["verdict"] == verdict
        assert word in answer["reason"]

    @pytest.mark.parametrize(
        ("given", "word"),
        [
            ({"tokens": 4, "process": "masked"}, "go together"),
            ({"time_agnostic": True, "process": "masked"}, "go together"),
            ({"tokens": 4, "time_agnostic": True}, "masked networks"),
            ({"tokens": 0, "time_agnostic": True, "process": "masked"}, "from 1 to 1024"),
            ({"tokens": 5000, "time_agnostic": True, "process": "masked"}, "from 1 to 1024"),
        ],
    )
    def test_bad_usage(self, given: dict, word: str) -> None:
        with pytest.raises(UsageError, match=word):
            judge.weighting("elbo", **given)

    def test_the_command(self, capsys: pytest.CaptureFixture) -> None:
        arguments = ["check", "weighting", "iddpm", "--process", "masked", "--tokens", "2", "--time-agnostic"]
        assert cli.run([*arguments, "--json", "-"]) == 0
        found = json.loads(capsys.readouterr().out)
        SCHEMA.validate(found)
        assert found["time_agnostic"]["tokens"] == 2
        assert cli.run(arguments) == 0
        assert "time agnostic" in capsys.readouterr().out


def least_eigenvalue(tokens: int) -> float:
    """The least eigenvalue of both Hankel matrices of EDM's differences of means, over the total mass."""

    k = np.arange(1, tokens + 1)[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(60)
    lam, rate = (np.add.outer(np.arange(-59, 60, 2), nodes).ravel(), np.tile(weights, 60))
    rate = rate * edm(lam) * special.expit(-lam) ** k * special.expit(lam) ** (tokens - k + 1)
    areas, k = rate.sum(1), k[:, 0]
    parts = np.diff(areas / special.beta(k, tokens - k + 1), prepend=0) / special.comb(tokens, k - 1)
    moment = [
        sum(special.comb(tokens - 1 - i, j - i) * parts[j] for j in range(i, tokens)) / parts.sum()
        for i in range(tokens)
    ]
    half, odd = divmod(tokens - 1, 2)
    grid = np.add.outer(np.arange(half + 1), np.arange(half + 1))
    first = np.array(moment)[grid + odd]
    inner = grid[: half + odd, : half + odd]
    second = np.array(moment)[inner + 1 - odd] - np.array(moment)[inner + 2 - odd]
    return float(min(np.linalg.eigvalsh(each)[0] for each in (first, second)))
