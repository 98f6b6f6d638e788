"""The bound property of the catalogue's weightings: certified or not, and up to where, by closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from judged_objectives import MASKED, quick_objective
from scipy import optimize

from reproflow.theory import bounds


def found_bound(spec: str, **given: str) -> bounds.Bound:
    """The bound property alone, on a grid that is enough for smooth weights."""
    objective = quick_objective(spec, **given)
    return bounds.analyse(objective.w, objective.lam, points=10_001)


def argmax(log_w: Callable[[float], float]) -> float:
    return float(
        optimize.minimize_scalar(lambda x: -log_w(x), bounds=(-10, 10), method="bounded", options={"xatol": 1e-10}).x
    )


def log_edm(lam: float) -> float:
    """ST-8: N(lam; 2.4, 2.4²) (exp(-lam) + 0.5²)."""
    return -0.5 * ((lam - 2.4) / 2.4) ** 2 + math.log(math.exp(-lam) + 0.25)


def log_sech(x: float) -> float:
    return -math.log(math.cosh(x))


EDM_PEAK = argmax(log_edm)
HALF = {"target": "velocity"}


# Certified, by ST-8, ST-9, ST-10 and derivations by hand.
CERTIFIED = [
    ("elbo", {}),
    ("sigmoid:k=2", {}),
    ("fm", {}),
    ("v_cosine", {}),
    ("indi", {}),
    ("edm_monotone", {}),
    ("expr:1", {"target": "v", "path": "cosine"}),
    ("expr:1", {"target": "x1"}),
    ("uniform", {}),
    ("expr:1/snr", HALF),
    ("expr:(1 - t)**2", HALF),
    ("expr:t/(1 - t)", HALF),
    ("uniform", {"time": "expr:1 - (1 - u)**2"}),
    ("uniform", {"time": "expr:u**2"}),
    *((name, MASKED) for name in ("elbo", "sigmoid", "fm", "simple", "edm_monotone")),
    *(
        ("simple", {"process": "masked", "path": path})
        for path in ("linear", "polynomial:n=2", "polynomial:n=0.5", "geometric")
    ),
]

# Not representable: w rises from the start of the range up to this log-SNR.
RISING = [
    ("iddpm", {}, 0.0),
    ("expr:1", {"target": "eps", "path": "cosine"}, 0.0),
    ("edm", {}, EDM_PEAK),
    ("p2:gamma=1", {}, argmax(lambda x: log_sech(x / 2) - math.log1p(math.exp(x)))),
    ("p2:gamma=0.5", {}, argmax(lambda x: log_sech(x / 2) - 0.5 * math.log1p(math.exp(x)))),
    ("min_snr", {"path": "cosine"}, 0.0),
    ("expr:min(snr, 5)", {"target": "x1", "path": "cosine"}, 0.0),
    ("iddpm", MASKED, 0.0),
    ("edm", MASKED, EDM_PEAK),
]

# The same on the velocity of the linear path: w falls for noise-times beyond this one only.
UNTIL = [
    ("expr:t**2", {}, 0.5),
    ("expr:min(snr, 5)", {}, 1 / (1 + math.sqrt(5))),
    ("expr:min(snr, 5)/(snr + 1)", {}, 0.5),
    ("uniform", {"time": "logit_normal"}, None),
]


class TestCatalogue:
    @pytest.mark.parametrize(("spec", "given"), CERTIFIED)
    @pytest.mark.default_cases(6)
    def test_certified(self, spec: str, given: dict[str, str]) -> None:
        assert found_bound(spec, **given).verdict == "certified"

    @pytest.mark.parametrize(("spec", "given", "end"), RISING)
    def test_rises_with_lam_up_to(self, spec: str, given: dict[str, str], end: float) -> None:
        found = found_bound(spec, **given)
        assert found.verdict == "not_representable"
        assert [rise.t[0] for rise in found.rises] == [1e-4]
        assert found.rises[0].lam[1] == pytest.approx(end, abs=2e-6)

    @pytest.mark.parametrize(("spec", "given", "noise_time"), UNTIL)
    def test_rises_on_the_velocity_up_to(self, spec: str, given: dict[str, str], noise_time: float | None) -> None:
        if noise_time is None:  # logit-normal: w = pi (1 - t)/t, with pi = N(logit t; 0, 1)/(t (1 - t))
            noise_time = 1 - float(
                optimize.minimize_scalar(
                    lambda t: 0.5 * math.log(t / (1 - t)) ** 2 + 2 * math.log(t), bounds=(0.01, 0.9), method="bounded",
                    options={"xatol": 1e-10},
                ).x
            )  # fmt: skip
            assert noise_time == pytest.approx(0.844, abs=5e-4), "the catalogue's number"
        found = found_bound(spec, **given)
        assert [rise.t for rise in found.rises] == [pytest.approx((1e-4, 1 - noise_time), abs=1e-6)]

    def test_catalogue_numbers(self) -> None:
        assert pytest.approx(-3.308, abs=5e-4) == EDM_PEAK
        assert [round(end, 2) for spec, _, end in RISING if spec.startswith("p2")] == [-1.10, -0.69]

    def test_simple_follows_the_schedule(self) -> None:
        """ST-10: simple is w = m/|m'| with m = 1 - alpha, here m = (s + 4 s^8)/5 at noise-time s, not log-concave."""

        def w(s: float) -> float:
            return (s + 4 * s**8) / (1 + 32 * s**7)

        search = {"bounds": (0.2, 0.8), "method": "bounded", "options": {"xatol": 1e-11}}
        peak = optimize.minimize_scalar(lambda s: -w(s), **search).x
        found = found_bound("simple", process="masked", path="expr:1 - ((1 - t) + 4*(1 - t)**8)/5")
        assert [rise.t for rise in found.rises] == [pytest.approx((1e-4, 1 - peak), abs=1e-6)]

    @pytest.mark.parametrize("name", ["sigmoid", "fm", "indi"])
    def test_reversed_in_time_they_are_refused(self, name: str) -> None:
        """The control: w(1 - t) of a falling weight rises. On the linear path 1 - t is -lam."""
        forms = {"sigmoid": "sigmoid(lam)", "fm": "exp(lam/2)", "indi": "exp(lam)/cosh(lam/4)**2"}
        found = found_bound(f"expr:{forms[name]}", target="canonical")
        assert [rise.t for rise in found.rises] == [(1e-4, 1 - 1e-4)]
