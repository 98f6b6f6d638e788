"""What `check weighting` finds beside its verdicts: witnesses, the moment test, the law that replaces a weight."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from scipy import integrate, special, stats

from reproflow import cli, judge
from reproflow.foundation.errors import UsageError
from reproflow.judge.weightings import moments, restated, verdicts, witnesses
from reproflow.judge.weightings.mass import mass
from reproflow.judge.weightings.objective import Objective
from reproflow.theory import bounds
from reproflow.theory.paths import get_path
from reproflow.theory.reverse import ReverseLaw, ReversePath
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[2] / "docs/schemas/check-weighting.json").read_text()))
Weight = Callable[[np.ndarray], np.ndarray]
MASKED = {"process": "masked", "path": "cosine"}


def objective(spec: str, process: str = "gaussian", path: str = "linear", time: str = "uniform", target: str = ""):
    """Differentiated backwards throughout, which is quick and, for these, the same."""
    own = ReversePath(**vars(get_path(path, process)))
    return Objective(own, ReverseLaw(**vars(get_time_law(time))), get_weighting(spec, process, target))


def found_bound(spec: str, lam: tuple[float, ...] = (0.0,), **given: str) -> dict:
    subject = objective(spec, **given)
    bound = bounds.analyse(subject.w, subject.lam, points=5001)
    return verdicts.bound_property(subject, bound, bounds.DEFAULT_RANGE, lam)


# -- independent forms of the weights, as functions of lam -------------------------------------------------------------


def sech(x: np.ndarray) -> np.ndarray:
    return 1 / np.cosh(x)


def edm(lam: np.ndarray) -> np.ndarray:
    return stats.norm.pdf(lam, 2.4, 2.4) * (np.exp(-lam) + 0.25)


def min_snr(lam: np.ndarray) -> np.ndarray:
    return sech(lam / 2) * np.minimum(1, 5 * np.exp(-lam))


def p2(gamma: float) -> Weight:
    return lambda lam: sech(lam / 2) / (1 + np.exp(lam)) ** gamma


def on_velocity(c: Weight) -> Weight:
    """The canonical weight of c(t) on the velocity error of the linear path: c exp(-lam/2) at t = sigmoid(lam/2)."""
    return lambda lam: c(special.expit(lam / 2)) * np.exp(-lam / 2)


def logit_normal(t: np.ndarray) -> np.ndarray:
    return stats.norm.pdf(special.logit(t)) / (t * (1 - t))


def snr(t: np.ndarray) -> np.ndarray:
    return (t / (1 - t)) ** 2


def sides(given: dict, w: Weight, low: float, high: float) -> tuple[float, float]:
    """Both sides on [low, high], where nu has its atom at the data end, by parts on a grid of this test's own."""
    q, r = np.array(given["q"]), np.array(given["r"])
    lam = np.linspace(low, high, 2501)
    if "a" in given["parameters"]:
        path_kl, model = two_points(given["parameters"]["a"] * np.exp(lam / 2), q[0], r[0])
    else:
        told = stats.binom.sf(given["parameters"]["K"] - 1, given["parameters"]["L"], special.expit(lam))
        path_kl, model = told * stats.entropy(q, r), q + told[:, None] * (r - q)
    kl = (q * np.log(q / model)).sum(1)
    falls = -np.diff(w(lam))
    left, right = (float((falls * (each[1:] + each[:-1]) / 2).sum() + w(lam)[-1] * each[-1]) for each in (path_kl, kl))
    return left, right


def two_points(b: np.ndarray, q: float, r: float) -> tuple[np.ndarray, np.ndarray]:
    """KL(q_s||r_s) and p^(s), by Gauss-Hermite quadrature over the noise at either point."""
    noise, weight = np.polynomial.hermite_e.hermegauss(120)
    weight = weight / weight.sum()
    path_kl, heads = np.zeros_like(b), np.zeros_like(b)
    for sign, share, model in ((1, q, r), (-1, 1 - q, 1 - r)):
        z = sign * b[:, None] + noise
        logs = [np.logaddexp(np.log(p) + b[:, None] * z, np.log(1 - p) - b[:, None] * z) for p in (q, r)]
        path_kl += share * (logs[0] - logs[1]) @ weight
        heads += model * special.expit(special.logit(q) + 2 * b[:, None] * z) @ weight
    return path_kl, np.stack([heads, 1 - heads], 1)


# Falsified; not representable by ST-8, ST-9, ST-10 and by hand, with their weights as functions of lam.
FALSIFIED = [
    ("iddpm", {}, lambda lam: sech(lam / 2)),
    ("edm", {}, edm),
    ("p2:gamma=1", {}, p2(1)),
    ("p2:gamma=0.5", {}, p2(0.5)),
    ("min_snr", {"path": "cosine"}, min_snr),
    ("expr:1", {"target": "eps", "path": "cosine"}, lambda lam: sech(lam / 2)),
    ("expr:t**2", {}, on_velocity(lambda t: t**2)),
    ("expr:min(snr, 5)", {}, on_velocity(lambda t: np.minimum(snr(t), 5))),
    ("expr:min(snr, 5)/(snr + 1)", {}, on_velocity(lambda t: np.minimum(snr(t), 5) / (snr(t) + 1))),
    ("expr:min(snr, 5)/(1 + sqrt(snr))**2", {}, on_velocity(lambda t: np.minimum(snr(t), 5) * (1 - t) ** 2)),
    ("uniform", {"time": "logit_normal"}, on_velocity(logit_normal)),
    ("expr:sigmoid(lam)", {"target": "canonical"}, special.expit),
    ("expr:exp(lam/2)", {"target": "canonical"}, lambda lam: np.exp(lam / 2)),
    ("iddpm", MASKED, lambda lam: sech(lam / 2)),
    ("edm", MASKED, edm),
    ("min_snr", MASKED, min_snr),
    ("p2", {"process": "masked"}, p2(1)),
    ("t_squared", MASKED, lambda lam: np.exp(-lam / 2) * special.expit(lam / 2) ** 2),
]

CERTIFIED = [
    ("elbo", {}),
    ("sigmoid", {}),
    ("fm", {}),
    ("indi", {}),
    ("edm_monotone", {}),
    ("uniform", {}),
    ("inv_snr", {}),
    ("expr:(1 - t)**2", {}),
    ("expr:t/(1 - t)", {}),
    ("uniform", {"time": "u_squared"}),
    ("uniform", {"time": "one_minus_u_squared"}),
    ("uniform", {"path": "cosine", "target": "v"}),
    *((name, MASKED) for name in ("elbo", "sigmoid", "fm", "simple", "edm_monotone")),
    *(("simple", {"process": "masked", "path": path}) for path in ("linear", "polynomial:n=0.5", "geometric")),
]


class TestWitness:
    @pytest.mark.parametrize(("spec", "given", "w"), FALSIFIED)
    def test_falsified_with_both_sides_as_another_computation_has_them(self, spec: str, given: dict, w: Weight) -> None:
        found = found_bound(spec, **given)
        assert found["verdict"] == "falsified"
        assert found["violation"] is not None
        witness = found["witness"]
        assert witness["left"] < witness["right"]
        low, high = (objective(spec, **given).lam(np.array([1e-4, 1 - 1e-4]))).tolist()
        scale = float(found_scale(spec, given, w))
        own = [scale * each for each in sides(witness, w, low, high)]
        assert [witness["left"], witness["right"]] == pytest.approx(own, rel=2e-3)
        assert own[0] < own[1]
        assert f"{witness['right']:.5g}" in found["reason"]

    @pytest.mark.parametrize(
        ("spec", "given", "w", "span"),
        [
            ("expr:t**2", {}, on_velocity(lambda t: t**2), (0.4, 0.9)),
            ("iddpm", MASKED, lambda lam: sech(lam / 2), (0.5, 0.9)),
        ],
    )
    def test_the_sides_of_a_range(self, spec: str, given: dict, w: Weight, span: tuple[float, float]) -> None:
        """The sum's atom lies at the range's own data end, not at the data."""
        subject = objective(spec, **given)
        found = verdicts.bound_property(
            subject, bounds.analyse(subject.w, subject.lam, span, 5001), span, (0.0,), whole=False
        )
        own = sides(found["witness"], w, *subject.lam(np.array(span)).tolist())
        assert [found["witness"]["left"], found["witness"]["right"]] == pytest.approx(own, rel=1e-4)
        assert own[0] < own[1] * (1 - 1e-3)

    @pytest.mark.parametrize(("spec", "given"), CERTIFIED)
    def test_certified_weights_need_none(self, spec: str, given: dict) -> None:
        found = found_bound(spec, **given)
        assert (found["verdict"], found["witness"], found["violation"]) == ("certified", None, None)

    def test_simple_on_a_schedule_that_is_not_log_concave(self) -> None:
        """ST-10: m = (s + 4 s^8)/5 at noise-time s."""
        found = found_bound("simple", process="masked", path="expr:1 - ((1 - t) + 4*(1 - t)**8)/5")
        assert found["verdict"] == "falsified"

    @pytest.mark.parametrize("process", ["gaussian", "masked"])
    def test_none_is_found_for_a_small_narrow_dip(self, process: str) -> None:
        """It rises, so it is no sum of bounds; what there is to the right of it makes up for it in every example."""
        spec = "expr:exp(-lam/2)*(1 - 0.1*exp(-((lam - 1)/0.02)**2))"
        found = found_bound(spec, process=process, target="canonical")
        assert (found["verdict"], found["witness"]) == ("not_representable", None)
        assert "no witness" in found["reason"]
        assert ("512 tokens" if process == "masked" else "two points") in found["reason"]

    def test_a_dip_near_the_data_takes_shares(self) -> None:
        """Copied tokens change too far from m = 0.08 to see it; shares of a secret do not."""
        spec = "expr:1 - 0.5*exp(-((1 - alpha - 0.08)/0.02)**2)"
        found = found_bound(spec, process="masked", target="canonical")
        assert found["verdict"] == "falsified"
        assert found["witness"]["family"] == "shares"
        assert "of which" in found["witness"]["text"]

    @pytest.mark.parametrize("spec", ["expr:t - 0.25", "expr:0", "expr:-1"])
    def test_no_weight_no_witness(self, spec: str) -> None:
        found = found_bound(spec)
        assert (found["verdict"], found["witness"]) == ("not_representable", None)
        assert "witness" not in found["reason"]

    def test_an_example_that_lives_on_the_cut_does_not_count(self) -> None:
        """A step up near the end of the range, beyond which w is a million times as large."""
        subject = objective("expr:where(lam < -18.43, 10**6, where(lam < -14, 1, 2))", target="canonical")
        bound = bounds.analyse(subject.w, subject.lam, points=5001)
        assert bound.verdict == "not_representable"
        assert witnesses.find(subject, bound, whole=True) is None
        assert witnesses.find(subject, bound, whole=False) is not None


def found_scale(spec: str, given: dict, w: Weight) -> float:
    """The constant between a weight as judged and its form here (1, but for p2 of no path of its own)."""
    at = np.array([0.4])
    subject = objective(spec, **given)
    return float(subject.w(at)[0] / w(subject.lam(at))[0])


class TestMoments:
    @pytest.mark.parametrize("path", ["linear", "cosine"])
    @pytest.mark.parametrize("tokens", [1, 3, 8, 64, 400])
    def test_the_means_of_iddpm_in_closed_form(self, path: str, tokens: int) -> None:
        """w = 2 sqrt(m (1 - m))."""
        k, y, _ = moments.means(objective("iddpm", "masked", path), tokens, (0.0, 1.0))
        log = special.betaln(k + 0.5, tokens - k + 1.5) - special.betaln(k, tokens - k + 1)
        np.testing.assert_allclose(y, 2 * np.exp(log), rtol=1e-8)

    @pytest.mark.parametrize(("spec", "power"), [("fm", -0.5), ("expr:m_power", -0.9)])
    def test_an_integrable_pole_at_the_noise_end(self, spec: str, power: float) -> None:
        """w = (m/(1 - m))^-power: a twentieth of the last mean lies beyond the last time looked at."""
        spec = spec if spec == "fm" else f"expr:exp({power}*lam)"
        k, y, _ = moments.means(objective(spec, "masked", target="canonical"), 4, (0.0, 1.0))
        wanted = np.exp(special.betaln(k - power, 5 - k + power) - special.betaln(k, 5 - k))
        np.testing.assert_allclose(y, wanted, rtol=1e-7)

    def test_the_means_over_a_range(self) -> None:
        low, high = 0.2, 0.7
        k, y, m_range = moments.means(objective("iddpm", "masked"), 5, (low, high))
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
    def test_which_lengths_do_with_less(self, spec: str, tokens: int, verdict: str) -> None:
        """EDM is representable up to eight tokens, and not at nine; IDDPM up to two."""
        k, y, m_range = moments.means(objective(spec, "masked", "cosine"), tokens, (0.0, 1.0))
        fit = moments.nearest(k, y, tokens, m_range)
        assert (fit.distance <= moments.TOLERANCE) == (verdict == "certified")
        if verdict == "certified":
            inside = fit.steps < 1
            steps = stats.beta.sf(fit.steps[inside], k[:, None], tokens - k[:, None] + 1) @ fit.masses[inside]
            limit = np.where(k == tokens, fit.masses[~inside].sum(), 0.0)
            np.testing.assert_allclose(steps + limit, y, rtol=2e-6)

    def test_iddpm_on_three_tokens_is_a_ninth_of_ten_away(self) -> None:
        """Means proportional to 5, 6, 5: raising the ends and lowering the middle by 1/11 makes them equal."""
        fit = moments.nearest(np.arange(1, 4), np.array([5.0, 6.0, 5.0]), 3)
        assert fit.distance == pytest.approx(1 / 11, rel=1e-9)

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
        answer = moments.time_agnostic(subject, bound, 7, None, bounds.DEFAULT_RANGE)
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
        answer = moments.time_agnostic(subject, bound, 3, given, span)
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


def law_of(spec: str, t_range: tuple[float, float] = (0.0, 1.0), **given: str) -> tuple[dict, dict]:
    subject = objective(spec, **given)
    return restated.replacement(subject, mass(subject, t_range), [], t_range)


class TestReplacement:
    @pytest.mark.parametrize(
        ("spec", "given", "k", "quantile"),
        [
            ("uniform", {}, 1, lambda u: u),
            ("t_squared", {}, 1 / 3, lambda u: u ** (1 / 3)),
            ("expr:5*(1 - t)**2", {}, 5 / 3, lambda u: 1 - (1 - u) ** (1 / 3)),
            ("expr:t**-0.5", {}, 2, lambda u: u**2),
            ("expr:(1 - t)**-0.9", {}, 10, lambda u: 1 - (1 - u) ** 10),
            ("expr:sqrt(t)", {"time": "u_squared"}, 0.5, lambda u: u),
            ("uniform", {"time": "logit_normal:mean=1"}, 1, lambda u: special.expit(1 + special.ndtri(u))),
            ("expr:where(t < 0.25, 3, 1)", {}, 1.5, lambda u: np.where(u < 0.5, u / 2, 1.5 * u - 0.5)),
            ("expr:abs(t - 0.5)**-0.5", {}, 2 * 2**0.5, lambda u: 0.5 + np.sign(u - 0.5) * 2 * (u - 0.5) ** 2),
            ("elbo", {"process": "masked"}, None, None),
            ("simple", {"process": "masked", "time": "beta:a=2,b=2"}, 1, lambda u: special.betaincinv(2, 2, u)),
            ("snr", {}, None, None),
        ],
    )
    def test_in_closed_form(self, spec: str, given: dict, k: float | None, quantile: Callable | None) -> None:
        law, halves = law_of(spec, **given)
        if k is None:
            assert (law["K"], law["quantiles"], halves["noise"]) == (None, None, None)
            assert "infinite" in law["reason"]
            return
        # Beside a pole at the data end a time has few digits.
        assert law["K"] == pytest.approx(k, rel=1e-8 if k < 10 else 1e-7)
        u = np.array(law["quantiles"]["u"])
        np.testing.assert_allclose(law["quantiles"]["t"], quantile(u), rtol=1e-6, atol=1e-9)
        assert halves["noise"] + halves["data"] == pytest.approx(1)

    @pytest.mark.parametrize(("spec", "data"), [("t_squared", 0.875), ("one_minus_t_squared", 0.125), ("uniform", 0.5)])
    def test_halves(self, spec: str, data: float) -> None:
        """TUT-3, in this time."""
        assert law_of(spec)[1]["data"] == pytest.approx(data, rel=1e-9)

    def test_atoms_stay(self) -> None:
        """Half of the draws at 1/2, the others uniform on [1/2, 1], with the weight t: 1/4 of 5/8 stays in the atom."""
        law, _ = law_of("expr:t", time="expr:max(u, 0.5)")
        u, t = np.array(law["quantiles"]["u"]), np.array(law["quantiles"]["t"])
        assert law["K"] == pytest.approx(5 / 8, rel=1e-9)
        np.testing.assert_allclose(t, np.sqrt(0.25 + 1.25 * (u - 0.4).clip(0)), rtol=1e-6)

    def test_a_range(self) -> None:
        law, _ = law_of("expr:1/t", (0.25, 0.75))
        assert law["K"] == pytest.approx(math.log(3), rel=1e-9)
        np.testing.assert_allclose(law["quantiles"]["t"], 0.25 * 3 ** np.array(law["quantiles"]["u"]), rtol=1e-9)
        np.testing.assert_allclose(law["density"], 1 / (np.array(law["t"]) * math.log(3)), rtol=1e-9)

    def test_a_negative_weight_has_none(self) -> None:
        law, _ = restated.replacement(
            objective("expr:t - 0.25"), mass(objective("expr:t - 0.25"), (0.0, 1.0)), [(0.0, 0.25)], (0.0, 1.0)
        )
        assert law["K"] is None
        assert "negative" in law["reason"]


class TestTargets:
    def test_the_table_of_conversions(self) -> None:
        """LOSS-5, printed for the linear path: velocity error c is c/(1-t)² on x1, c/t² on eps, and so on."""
        lam = (-3.0, 0.0, 2.0, 500.0)
        found = restated.on_targets(objective("uniform"), lam)
        t = special.expit(np.array(lam[:3]) / 2)
        rate = 2 / (t * (1 - t))
        eps = ((1 - t) * rate / 2) ** 2
        wanted = {
            "eps": eps,
            "x1": eps * (t / (1 - t)) ** 2,
            "score": eps * (1 - t) ** 2,
            "v": eps * (t / (t**2 + (1 - t) ** 2)) ** 2,
        }
        assert set(found) == {"lam", *wanted}
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name][:3], values, rtol=1e-10)
            assert found[name][3] is None

    @pytest.mark.parametrize("spec", ["elbo", "edm", "min_snr"])
    def test_the_same_loss_on_every_target(self, spec: str) -> None:
        """Put on its target at the time of that lam, each factor gives back the canonical weight."""
        lam = (-2.0, 0.5, 3.0)
        given = objective(spec, path="cosine")
        own = given.w(np.array([float(2 / math.pi * math.atan(math.exp(each / 2))) for each in lam]))
        for name, values in restated.on_targets(given, lam).items():
            for each, value, w in zip(lam, values, own, strict=True):
                if name != "lam":
                    again = objective(f"expr:{value!r}", path="cosine", target=name)
                    assert again.w(np.array([2 / math.pi * math.atan(math.exp(each / 2))]))[0] == pytest.approx(w)

    def test_masked_has_one_target(self) -> None:
        assert restated.on_targets(objective("simple", "masked"), (0.0,)) is None


class TestPerLogSnr:
    @pytest.mark.parametrize(("spec", "process", "w"), [
        ("edm", "gaussian", edm), ("fm", "gaussian", lambda lam: np.exp(-lam / 2)),
        ("iddpm", "masked", lambda lam: sech(lam / 2)),
    ])  # fmt: skip
    def test_shares_against_scipy(self, spec: str, process: str, w: Weight) -> None:
        subject = objective(spec, process)
        bound = bounds.analyse(subject.w, subject.lam, points=5001)
        found = restated.per_log_snr(subject, bound, {})
        for key in ("share", "loss"):
            learnt = (lambda x: 1.0) if key == "share" else special.expit
            rest = special.expit if key == "loss" and process == "masked" else (lambda x: 1.0)
            areas = [
                integrate.quad(lambda x, f=learnt, g=rest: w(x) * f(x) * g(-x), *each["lam"], epsrel=1e-10)[0]
                for each in found["bands"]
            ]
            np.testing.assert_allclose([each[key] for each in found["bands"]], np.array(areas) / sum(areas), rtol=1e-4)
        assert sum(each["share"] for each in found["bands"]) == pytest.approx(1)

    def test_quartiles(self) -> None:
        """The ELBO's integral of w dlam is even in lam."""
        subject = objective("elbo")
        found = restated.per_log_snr(subject, bounds.analyse(subject.w, subject.lam, points=5001), {})
        end = 2 * special.logit(1 - 1e-4)
        assert found["quartiles"]["share"] == pytest.approx([-end / 2, 0, end / 2], abs=1e-6)

    @pytest.mark.parametrize("law", ["expr:0.5", "expr:0.2 + 0.6*(u > 0.5)"])
    def test_under_a_law_of_atoms_alone_there_is_none(self, law: str) -> None:
        found = judge.weighting("uniform", time=law).as_dict()
        assert (found["per_log_snr"]["bands"], found["per_log_snr"]["quartiles"]) == ([], None)
        SCHEMA.validate(json.loads(json.dumps(found, allow_nan=False)))

    def test_what_is_no_weight_has_none(self) -> None:
        subject = objective("expr:t - 0.5")
        found = restated.per_log_snr(subject, bounds.analyse(subject.w, subject.lam, points=1001), {})
        assert (found["bands"], found["quartiles"]) == ([], None)


def test_all_of_it_is_json_by_the_schema() -> None:
    found = judge.weighting("expr:t**2", lam=(-3.0, 0.0)).as_dict()
    SCHEMA.validate(json.loads(json.dumps(found, allow_nan=False)))
    assert found["bound"]["verdict"] == "falsified"
    assert set(found["targets"]) == {"lam", "x1", "eps", "score", "v"}
