"""`judge.path`: registered and broken paths of both processes, against closed forms, scipy and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from judged_paths import judged, refuted
from scipy import integrate, special, stats

from reproflow import judge
from reproflow.foundation import processes, registry
from reproflow.foundation.errors import UsageError
from reproflow.judge.paths import continuity
from reproflow.judge.paths.discontinuities import NONE, breaks
from reproflow.judge.paths.path_values import Course
from reproflow.judge.processes import gaussian
from reproflow.numerics.differences import derivative
from reproflow.theory.paths import get_path

REGISTERED = [(entry.name, process) for process in processes.known() for entry in registry.entries("path", process)]


class TestRegistered:
    @pytest.mark.parametrize(("name", "process"), REGISTERED)
    @pytest.mark.default_cases(3)
    def test_every_path(self, name: str, process: str) -> None:
        """All is well but for the two variance-preserving paths whose coefficients move at infinite speed (LOSS-7)."""
        found = judged(name, process)
        assert refuted(found) == ({"integrable"} if name in ("vp", "vp_sigma_t") else set())
        assert found.exit_code == (3 if refuted(found) else 0)
        assert (found.spec, found.process) == (name, process)
        assert found.velocity["residual"] < 1e-8
        assert found.continuity["residual"] < 1e-8
        assert (found.velocity["kinks"], found.velocity["jumps"]) == ([], [])

    @pytest.mark.parametrize(
        ("name", "process", "missed"),
        [
            ("linear", "gaussian", []),
            ("vp", "gaussian", ["alpha(0)", "sigma(0)"]),
            ("edm", "gaussian", ["alpha(0)", "sigma(0)", "alpha(1)", "sigma(1)"]),
            ("geometric", "masked", ["alpha(1)", "sigma(1)"]),
        ],
    )
    def test_ends_missed_by_design(self, name: str, process: str, missed: list[str]) -> None:
        found = judged(name, process).boundary
        assert found["by_design"] == missed
        assert ("by design" in found["reason"]) == bool(missed)

    def test_ends_have_the_closed_form(self) -> None:
        """alpha(0) of vp is exp(-(b1 - b0)/4 - b0/2); masked geometric shows exp(-20), and masks 1 - exp(-1e-5)."""
        assert judged("vp").boundary["values"]["alpha(0)"] == pytest.approx(math.exp(-19.9 / 4 - 0.05), rel=1e-12)
        values = judged("geometric", "masked").boundary["values"]
        assert values["alpha(0)"] == pytest.approx(math.exp(-20), rel=1e-12)
        assert values["sigma(1)"] == pytest.approx(-math.expm1(-1e-5), rel=1e-9)

    @pytest.mark.parametrize(
        ("spec", "process", "value"),
        [
            ("linear", "gaussian", 2.0),
            ("cosine", "gaussian", math.pi**2 / 4),
            ("polynomial:n=2", "gaussian", 8 / 3),
            ("polynomial:n=0.75", "gaussian", 2.25),
            ("polynomial:n=3", "masked", 1.0),
            ("vp_sigma_t", "gaussian", "inf"),
            ("vp", "gaussian", "inf"),
            ("polynomial:n=0.5", "gaussian", "inf"),
            ("polynomial:n=0.25", "gaussian", "inf"),
            ("polynomial:n=0.25", "masked", 1.0),
        ],
    )
    @pytest.mark.default_cases(2)
    def test_integral(self, spec: str, process: str, value: float | str) -> None:
        """n²/(2n - 1) for each of alpha = t^n and sigma = 1 - t^n."""
        found = judged(spec, process).integrable
        assert found["integral"] == (value if value == "inf" else pytest.approx(value, rel=1e-9))
        assert found["verdict"] == ("refuted" if value == "inf" else "supported")

    def test_integral_by_scipy(self) -> None:
        """edm: alpha = 1/sqrt(1 + r²), sigma = r alpha, so alpha'² + sigma'² = (r'/(1 + r²))²."""

        def squared(t: float) -> float:
            base, slope = 80 ** (1 / 7) * (1 - t) + 0.002 ** (1 / 7) * t, 0.002 ** (1 / 7) - 80 ** (1 / 7)
            return (7 * base**6 * slope / (1 + base**14)) ** 2

        wanted = integrate.quad(squared, 0, 1, limit=200, epsabs=0, epsrel=1e-12)[0]
        assert judged("edm").integrable["integral"] == pytest.approx(wanted, rel=1e-9)

    def test_vp_is_infinitely_fast_at_the_data_end(self) -> None:
        """sigma² = 1 - exp(-0.1 s + ..) ~ 0.1 s, so sigma'² ~ 0.025/s with s = 1 - t: no finite integral (LOSS-7)."""
        s = np.array([1e-6, 1e-7, 1e-9])
        assert Course(get_path("vp")).slopes(1 - s)[1] ** 2 * s == pytest.approx(0.025, rel=1e-3)
        assert "|t - 1|^-1 at t = 1" in judged("vp").integrable["reason"]


BROKEN = {
    "reversed": ("expr:1 - t, t", {"boundary", "monotone_snr"}),
    "reversed cosine": ("expr:cos(pi*t/2), sin(pi*t/2)", {"boundary", "monotone_snr"}),
    "noise left": ("expr:t, 1 - t/2", {"boundary"}),
    "data left": ("expr:0.1 + 0.9*t, 1 - t", {"boundary"}),
    "just too much": ("expr:t, 1 - t + 2e-6", {"boundary"}),
    "too large": ("expr:2*t, 2 - 2*t", {"boundary"}),
    "infinite end": ("expr:t/(1 - t), 1 - t", {"boundary", "integrable"}),
    "value is not the limit": ("expr:where(t <= 0, 0, 0.1 + 0.9*t), 1 - t", {"boundary"}),
    "negative": ("expr:t, 1 - 2*t", {"boundary", "positive", "monotone_snr"}),
    "zero inside": ("expr:(2*t - 1)**2, 1 - t", {"boundary", "positive", "monotone_snr"}),
    "zero on a stretch": ("expr:max(t - 0.25, 0)/0.75, 1 - t", {"positive"}),
    "waves": ("expr:t - 0.1*sin(4*pi*t), 1 - t + 0.1*sin(4*pi*t)", {"positive", "monotone_snr"}),
    "constant": ("expr:0.5, 0.5", {"boundary", "monotone_snr"}),
    "stands still": ("expr:where(t < 0.4, t, where(t < 0.6, 0.4, 1.5*t - 0.5)), "
                     "1 - where(t < 0.4, t, where(t < 0.6, 0.4, 1.5*t - 0.5))", {"monotone_snr"}),
    "step up": ("expr:where(t < 0.5, t/2, t/2 + 0.5), 1 - t", {"velocity", "continuity", "integrable"}),
    "step down": ("expr:where(t < 0.5, t, t - 0.25), 1 - t",
                  {"boundary", "monotone_snr", "velocity", "continuity", "integrable"}),
    "infinite speed at the noise end": ("expr:sqrt(t), 1 - t", {"integrable"}),
    "infinite speed at the data end": ("expr:t, sqrt(1 - t)", {"integrable"}),
    "no derivative": ("expr:t, 1 - t + 0*sqrt(0*t)", {"velocity", "continuity"}),
}  # fmt: skip


class TestBroken:
    @pytest.mark.parametrize("name", BROKEN)
    @pytest.mark.default_cases(5)
    def test_what_is_refuted(self, name: str) -> None:
        spec, wanted = BROKEN[name]
        found = judged(spec)
        assert refuted(found) == wanted
        assert found.exit_code == 3

    @pytest.mark.parametrize(
        ("spec", "wanted"),
        [
            ("expr:1 - t", {"boundary", "monotone_snr", "continuity"}),
            ("expr:1.2*t", {"boundary", "positive", "continuity"}),
            ("expr:t - 0.3", {"boundary", "positive", "continuity"}),
            ("expr:t + 0.3*sin(2*pi*t)", {"monotone_snr", "continuity"}),
            ("expr:0.5", {"boundary", "monotone_snr"}),
            ("expr:0.5 + t/2", {"boundary"}),
            ("expr:where(t < 0.5, t/2, t/2 + 0.5)", {"velocity", "continuity", "integrable"}),
            ("expr:min(t/0.9, 1)", {"positive"}),
            ("expr:sqrt(t)", set()),
            ("expr:1 - (1 - t)**4", set()),
            ("expr:exp(1 - 1/t)", set()),
        ],
    )
    @pytest.mark.default_cases(3)
    def test_masked(self, spec: str, wanted: set[str]) -> None:
        assert refuted(judged(spec, "masked")) == wanted

    def test_what_the_ladder_cannot_decide(self) -> None:
        """t^0.505: the squared slope goes like t^-0.99, which is integrable, but only just."""
        found = judged("expr:t**0.505, 1 - t")
        assert found.integrable["verdict"] == "inconclusive"
        assert found.exit_code == 5

    @pytest.mark.parametrize("spec", ["expr:t/2 + t**2/2, 1 - t", "expr:t**0.75, (1 - t)**2", "expr:exp(1-1/t), 1-t"])
    def test_sound_expressions(self, spec: str) -> None:
        assert judged(spec).exit_code == 0

    def test_where_the_snr_falls(self) -> None:
        """alpha = t + 0.3 sin(2 pi t) turns where cos(2 pi t) = -1/(0.6 pi); lam there is log(alpha/(1 - alpha))."""
        found = judged("expr:t + 0.3*sin(2*pi*t)", "masked").monotone_snr["violation"]
        first = math.acos(-1 / (0.6 * math.pi)) / (2 * math.pi)
        lam = special.logit(first + 0.3 * math.sin(2 * math.pi * first))
        assert found["t"] == pytest.approx([first, 1 - first], abs=1e-6)
        assert found["lam"] == pytest.approx([-lam, lam], abs=1e-9)
        assert len(found["intervals"]) == 1

    def test_pieces_of_a_violation(self) -> None:
        found = judged("expr:t, 1 - t + 0.2*sin(10*pi*t)*t").monotone_snr["violation"]
        t = np.linspace(1e-6, 1 - 1e-6, 200_001)
        with np.errstate(invalid="ignore"):
            lam = 2 * np.log(t) - 2 * np.log(np.abs(1 - t + 0.2 * np.sin(10 * np.pi * t) * t))
        starts = np.flatnonzero((np.diff(lam)[1:] < 0) & (np.diff(lam)[:-1] >= 0))
        assert [piece["t"][0] for piece in found["intervals"]] == pytest.approx(list(t[starts + 1]), abs=2e-5)

    def test_the_hull_of_a_path_in_the_opposite_time(self) -> None:
        found = judged("expr:1 - t, t")
        assert found.monotone_snr["violation"]["t"] == [0, 1]
        assert found.boundary["values"] == {"alpha(0)": 1, "sigma(0)": 0, "alpha(1)": 0, "sigma(1)": 1}

    def test_training_refuses_what_is_mentioned(self) -> None:
        """The SNR of t + 0.3 sin(2 pi t) over 1 - t rises, while alpha falls in the middle."""
        found = judged("expr:t + 0.3*sin(2*pi*t), 1 - t")
        assert found.monotone_snr["verdict"] == "supported"
        assert "alpha falls" in found.monotone_snr["reason"]


class TestBreaks:
    @pytest.mark.parametrize(
        ("spec", "kinks", "jumps"),
        [
            ("expr:where(t < 0.5, t/2, 1.5*t - 0.5), 1 - t", [0.5], []),
            ("expr:t, 1 - t + 1e-6*abs(t - 1/3)", [1 / 3], []),
            ("expr:0.5*t + 0.5*max(t - 0.2, 0)/0.8, 1 - min(2*t, 0.3 + 0.7*t)", [0.2, 3 / 13], []),
            ("expr:where(t < 0.7123, t, t + 1e-6), 1 - t", [], [0.7123]),
            ("expr:where(t < 0.3, t, where(t < 0.6, 2*t - 0.3, t + 0.3)), 1 - t", [0.3, 0.6], []),
            ("expr:sigmoid(500*(t - 0.37)), 1 - t", [], []),
            ("expr:t + 0.01*sin(200*t), 1 - t", [], []),
        ],
    )
    @pytest.mark.default_cases(2)
    def test_located(self, spec: str, kinks: list[float], jumps: list[float]) -> None:
        found = judged(spec).velocity
        assert found["kinks"] == pytest.approx(kinks, abs=1e-6)
        assert found["jumps"] == pytest.approx(jumps, abs=1e-9)
        assert found["verdict"] == ("refuted" if jumps else "supported")
        assert (found["residual"] == "inf") == bool(jumps)

    def test_an_infinite_derivative_inside(self) -> None:
        """alpha' ~ |t - 1/2|^(-2/3): a single time for the velocity, but its square is not integrable."""
        spec = "expr:0.5 + where(t > 0.5, 1, -1)*exp(log(abs(t - 0.5))/3)*0.6299605249474366, 1 - t"
        found = judged(spec)
        assert refuted(found) == {"integrable"}
        assert found.velocity["kinks"] == pytest.approx([0.5], abs=1e-6)
        assert "t = 0.5" in found.integrable["reason"]

    def test_random_knots(self) -> None:
        """Piecewise linear in t through random points: every knot is found, and nothing else."""
        knots = np.sort(np.random.default_rng(5).uniform(0.05, 0.95, 9)).round(4)
        bend = " + ".join(f"{0.01 * (-1) ** i:g}*abs(t - {knot:g})" for i, knot in enumerate(knots))
        found = breaks(Course(get_path(f"expr:t + {bend}, 1 - t")))
        assert found.kinks == pytest.approx(knots.tolist(), abs=1e-6)
        assert found.jumps == ()

    @pytest.mark.parametrize(
        ("spec", "word"),
        [
            ("linaer", "did you mean 'linear'"),
            ("expr:log(t - 0.5), 1 - t", "NaN at t = "),
            ("expr:t", "must give two values|must give"),
            ("vp:beta_max=-1", "outside its range"),
        ],
    )
    def test_bad_specs(self, spec: str, word: str) -> None:
        with pytest.raises(UsageError, match=word):
            judge.path(spec)


class TestMeans:
    """What the verdicts rest on."""

    @pytest.mark.parametrize(
        ("f", "slope"),
        [(np.sin, np.cos), (lambda x: x**0.3, lambda x: 0.3 * x**-0.7), (lambda x: np.exp(-40 * x), None)],
    )
    def test_derivative(self, f: Callable, slope: Callable | None) -> None:
        x = np.linspace(0.01, 0.99, 50)
        wanted = slope(x) if slope else -40 * np.exp(-40 * x)
        found, error = derivative(f, x, np.minimum(x, 1 - x) / 3)
        assert (np.abs(found - wanted) <= 1e-9 * (1 + np.abs(wanted))).all()
        assert (error < 1e-7 * (1 + np.abs(wanted))).all()

    def test_a_wrong_field_is_refuted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """PATH-5's controls: u + 0.05 sin x and -u."""
        course, flux = Course(get_path("linear")), gaussian._flux
        assert continuity.continuity(course, NONE)["verdict"] == "supported"
        for wrong in (
            lambda values, slopes, x: flux(values, slopes, x) + 0.05 * np.sin(x) * gaussian._density(values, x),
            lambda values, slopes, x: -flux(values, slopes, x),
        ):
            monkeypatch.setattr(gaussian, "_flux", wrong)
            found = continuity.continuity(course, NONE)
            assert found["verdict"] == "refuted"
            assert found["residual"] > 1e-3

    def test_the_density_is_that_of_the_mixture(self) -> None:
        """By scipy, and by sampling nothing: weights, means and widths of alpha x1 + sigma eps."""
        mixture, alpha, sigma = gaussian.MIXTURE, 0.3, 0.8
        x = np.linspace(-3, 3, 13)
        scales = np.sqrt(alpha**2 * mixture.stds.numpy() ** 2 + sigma**2)
        wanted = stats.norm.pdf(x[:, None], alpha * mixture.means.numpy()[:, 0], scales) @ mixture.weights.numpy()
        values = np.array([[alpha] * 13, [sigma] * 13])
        assert gaussian._density(values, x) == pytest.approx(wanted, rel=1e-12)

    @pytest.mark.parametrize(("spec", "limit"), [("expr:3*t**0.1 + 0.25, 1 - t", 0.25), ("expr:t*log(t), 1 - t", 0)])
    def test_limits(self, spec: str, limit: float) -> None:
        """Powers of t are extrapolated; t log t has no power, and comes close enough."""
        found, error = Course(get_path(spec)).limit(0.0)
        assert found[0] == pytest.approx(limit, abs=1e-9)
        assert error[0] < 1e-6
