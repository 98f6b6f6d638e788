"""Witnesses that falsify a weighting: both sides against another computation; where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judged_objectives import MASKED, Weight, edm, min_snr, objective, p2, sech, snr
from scipy import special, stats

from reproflow.exact.witness import Witness
from reproflow.judge.objectives import verdicts, witnesses
from reproflow.theory import bounds


def found_bound(spec: str, lam: tuple[float, ...] = (0.0,), **given: str) -> dict:
    subject = objective(spec, **given)
    bound = bounds.analyse(subject.w, subject.lam, points=5001)
    return verdicts.bound_property(subject, bound, bounds.DEFAULT_RANGE, lam)


def on_velocity(c: Weight) -> Weight:
    """The canonical weight of c(t) on the velocity error of the linear path: c exp(-lam/2) at t = sigmoid(lam/2)."""
    return lambda lam: c(special.expit(lam / 2)) * np.exp(-lam / 2)


def logit_normal(t: np.ndarray) -> np.ndarray:
    return stats.norm.pdf(special.logit(t)) / (t * (1 - t))


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
    @pytest.mark.default_cases(4)
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

    def test_two_routes_have_to_agree(self) -> None:
        """To half of what falsifies; a route that does not falsify agrees with none."""
        found = of_iddpm()
        short = found.right - found.left
        assert witnesses._agree(found, replace(found, left=found.left + 0.2 * short))
        for left, right in ((0.45, 0), (0, 0.6), (0.3, -0.3), (1.5, 0)):
            other = replace(found, left=found.left + left * short, right=found.right + right * short)
            assert not witnesses._agree(found, other)

    @pytest.mark.parametrize("off", [0.6, 1.2])
    def test_a_witness_of_one_route_alone_is_none(self, off: float, monkeypatch: pytest.MonkeyPatch) -> None:
        verified = Witness.verified

        def other(found: Witness, lam: np.ndarray, w: np.ndarray) -> Witness:
            again = verified(found, lam, w)
            return replace(again, left=again.left + off * (again.right - again.left))

        monkeypatch.setattr(Witness, "verified", other)
        subject = objective("iddpm")
        assert witnesses.find(subject, bounds.analyse(subject.w, subject.lam, points=5001), whole=True) is None


def of_iddpm() -> Witness:
    subject = objective("iddpm")
    found = witnesses.find(subject, bounds.analyse(subject.w, subject.lam, points=5001), whole=True)
    assert found is not None
    return found


def found_scale(spec: str, given: dict, w: Weight) -> float:
    """The constant between a weight as judged and its form here (1, but for p2 of no path of its own)."""
    at = np.array([0.4])
    subject = objective(spec, **given)
    return float(subject.w(at)[0] / w(subject.lam(at))[0])
