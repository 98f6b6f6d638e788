"""The law that replaces a weight, the factors on the other targets, and the loss per log-SNR, against closed forms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from judged_objectives import SCHEMA, Weight, edm, objective, sech
from scipy import integrate, special

from reproflow import judge
from reproflow.judge.objectives import restatements
from reproflow.judge.objectives.integrability import mass
from reproflow.theory import bounds


def law_of(spec: str, t_range: tuple[float, float] = (0.0, 1.0), **given: str) -> tuple[dict, dict]:
    subject = objective(spec, **given)
    return restatements.replacement(subject, mass(subject, t_range), [], t_range)


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
        law, _ = restatements.replacement(
            objective("expr:t - 0.25"), mass(objective("expr:t - 0.25"), (0.0, 1.0)), [(0.0, 0.25)], (0.0, 1.0)
        )
        assert law["K"] is None
        assert "negative" in law["reason"]


class TestTargets:
    def test_the_table_of_conversions(self) -> None:
        """LOSS-5, printed for the linear path: velocity error c is c/(1-t)² on x1, c/t² on eps, and so on."""
        lam = (-3.0, 0.0, 2.0, 500.0)
        found = restatements.on_targets(objective("uniform"), lam)
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
        for name, values in restatements.on_targets(given, lam).items():
            for each, value, w in zip(lam, values, own, strict=True):
                if name != "lam":
                    again = objective(f"expr:{value!r}", path="cosine", target=name)
                    assert again.w(np.array([2 / math.pi * math.atan(math.exp(each / 2))]))[0] == pytest.approx(w)

    def test_masked_has_one_target(self) -> None:
        assert restatements.on_targets(objective("simple", "masked"), (0.0,)) is None


class TestPerLogSnr:
    @pytest.mark.parametrize(("spec", "process", "w"), [
        ("edm", "gaussian", edm), ("fm", "gaussian", lambda lam: np.exp(-lam / 2)),
        ("iddpm", "masked", lambda lam: sech(lam / 2)),
    ])  # fmt: skip
    def test_shares_against_scipy(self, spec: str, process: str, w: Weight) -> None:
        subject = objective(spec, process)
        bound = bounds.analyse(subject.w, subject.lam, points=5001)
        found = restatements.per_log_snr(subject, bound, {})
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
        found = restatements.per_log_snr(subject, bounds.analyse(subject.w, subject.lam, points=5001), {})
        end = 2 * special.logit(1 - 1e-4)
        assert found["quartiles"]["share"] == pytest.approx([-end / 2, 0, end / 2], abs=1e-6)

    @pytest.mark.parametrize("law", ["expr:0.5", "expr:0.2 + 0.6*(u > 0.5)"])
    def test_under_a_law_of_atoms_alone_there_is_none(self, law: str) -> None:
        found = judge.weighting("uniform", time=law).as_dict()
        assert (found["per_log_snr"]["bands"], found["per_log_snr"]["quartiles"]) == ([], None)
        SCHEMA.validate(json.loads(json.dumps(found, allow_nan=False)))

    def test_what_is_no_weight_has_none(self) -> None:
        subject = objective("expr:t - 0.5")
        found = restatements.per_log_snr(subject, bounds.analyse(subject.w, subject.lam, points=1001), {})
        assert (found["bands"], found["quartiles"]) == ([], None)


def test_all_of_it_is_json_by_the_schema() -> None:
    found = judge.weighting("expr:t**2", lam=(-3.0, 0.0)).as_dict()
    SCHEMA.validate(json.loads(json.dumps(found, allow_nan=False)))
    assert found["bound"]["verdict"] == "falsified"
    assert set(found["targets"]) == {"lam", "x1", "eps", "score", "v"}
