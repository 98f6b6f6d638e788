"""The canonical form over the whole registry, against finite differences of the bare path and quantile functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor

import reproflow.theory  # noqa: F401
from reproflow.foundation import processes, registry
from reproflow.numerics.derivatives import Mode
from reproflow.theory import log_snr
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path, get_path
from reproflow.theory.times import TimeLaw, get_time_law
from reproflow.theory.weightings import Weighting, get_weighting


def names(kind: str, process: str) -> list[str]:
    return [entry.name for entry in registry.entries(kind, process)]


# Away from the ends, where differences lose digits, and from t = 1/2, where some laws and weightings have a kink.
T = torch.cat([torch.linspace(0.08, 0.46, 12), torch.linspace(0.54, 0.92, 12)]).double()
PATHS = [(process, name) for process in processes.known() for name in names("path", process)]
# In reverse mode, which is faster and gives the same (tested below).
LAWS = {name: get_time_law(name, fine=True) for name in names("time", "gaussian")}


def difference(f: Callable[[Tensor], Tensor], x: Tensor, h: Tensor | float = 1e-3) -> Tensor:
    """f' by central differences of order six: h^6 f^(7) / 140 is below 1e-10 of f' for h of a hundredth of x."""
    steps = torch.tensor([-3, -2, -1, 1, 2, 3], dtype=torch.float64)[:, None]
    weights = torch.tensor([-1, 9, -45, 45, -9, 1], dtype=torch.float64) / 60
    return weights @ f((x + steps * h).flatten()).view(6, -1) / h


def own_lam(path: Path, t: Tensor) -> Tensor:
    alpha, sigma = path(t)
    return torch.log(alpha / sigma) * (2 if path.process == "gaussian" else 1)


def own_density(law: TimeLaw) -> Tensor:
    """1/Q' at the u that bisection of Q itself gives."""
    low, high = torch.zeros_like(T), torch.ones_like(T)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = law.quantile(middle) < T
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    u = 0.5 * (low + high)
    return 1 / difference(law.quantile, u, 5e-3 * torch.minimum(u, 1 - u))


DENSITIES = {name: own_density(law) for name, law in LAWS.items()}


def own_factors(path: Path) -> dict[str, Tensor]:
    """|change of the target|² when eps moves by one and x stays, as targets are defined; 1 for losses of tokens."""
    if path.process != "gaussian":
        return {prediction: torch.ones_like(T) for prediction in processes.facts(path.process).predictions}
    alpha, sigma = path(T)
    eps, x1 = torch.ones_like(T), -sigma / alpha

    def x(t: Tensor) -> Tensor:
        a, s = path(t)
        return a * x1.repeat(len(t) // len(x1)) + s

    found = {"velocity": difference(x, T), "x1": x1, "eps": eps, "score": -eps / sigma, "v": alpha * eps - sigma * x1}
    return {name: change**2 for name, change in found.items()}


def own_elbo(path: Path) -> Tensor:
    """The coefficient of the ELBO integrand, |lam'|/2, of tokens alpha'/(1 - alpha)."""
    if path.process != "gaussian":
        return difference(lambda t: path(t)[0], T) / path(T)[1]
    return 0.5 * difference(lambda t: own_lam(path, t), T).abs()


def close(found: Tensor, wanted: Tensor, rtol: float = 1e-8) -> None:
    torch.testing.assert_close(found, wanted, rtol=rtol, atol=0)


@pytest.mark.parametrize(("process", "name"), PATHS)
class TestEveryCombination:
    @pytest.mark.default_cases(3)
    def test_agrees_with_finite_differences(self, process: str, name: str) -> None:
        """w = pi c / (ELBO coefficient), or the value itself if canonical; every derivative by differences."""
        path = get_path(name, process)
        factors, elbo, lam = own_factors(path), own_elbo(path), own_lam(path, T)
        for weighting in names("weighting", process):
            noun = get_weighting(weighting, process)
            value = noun.function(T, lam) * torch.ones_like(T)
            for time, law in LAWS.items():
                wanted = value if noun.on == "canonical" else DENSITIES[time] * value * factors[noun.on] / elbo
                close(Objective(path, law, noun).weight(T), wanted)
                # What training puts on the loss, where the law has to cancel for a canonical weighting.
                close(Objective(path, law, noun).coefficient(T) * DENSITIES[time] / elbo, wanted)

    @pytest.mark.default_cases(3)
    def test_is_the_same_on_every_target(self, process: str, name: str) -> None:
        """The loss's coefficient, carried to another prediction, is another weighting with the same w."""
        path = get_path(name, process)
        factors = own_factors(path)
        for weighting, law in itertools.product(names("weighting", process), LAWS.values()):
            noun = get_weighting(weighting, process)
            w, on_eps = Objective(path, law, noun).weight(T), Objective(path, law, noun).coefficient(T)
            for target, factor in factors.items():
                moved = Weighting("moved", process, noun.entry, lambda t, lam, v=on_eps / factor: v, target)
                close(Objective(path, law, moved).weight(T), w)

    @pytest.mark.default_cases(3)
    def test_derivative_agrees_with_finite_differences(self, process: str, name: str) -> None:
        """Where two step sizes agree to 1e-8 of the scale w + |dw/dlam|, so that the function is smooth there."""
        path = get_path(name, process)
        dlam = difference(lambda t: own_lam(path, t), T)
        for weighting in names("weighting", process):
            noun = get_weighting(weighting, process)
            for law in [LAWS["uniform"]] if noun.on == "canonical" else LAWS.values():
                self.check_derivative(path, law, noun, dlam)

    @staticmethod
    def check_derivative(path: Path, law: TimeLaw, noun: Weighting, dlam: Tensor) -> None:
        def w(t: Tensor) -> Tensor:
            return Objective(path, law, noun).weight(t)

        wide, narrow = (difference(w, T, h) / dlam for h in (1e-3, 5e-4))
        found = Objective(path, get_time_law(law.name), noun).weight_slope(T)
        scale = w(T) + narrow.abs()
        smooth = (wide - narrow).abs() <= 1e-8 * scale
        assert smooth.sum() >= len(T) - 2, (law.name, noun.name)
        assert ((found - narrow).abs() <= 1e-7 * scale)[smooth].all(), (law.name, noun.name)
        assert found.isfinite().all()

    @pytest.mark.default_cases(3)
    def test_by_log_snr_is_by_time(self, process: str, name: str) -> None:
        path = get_path(name, process)
        for weighting in names("weighting", process):
            noun = get_weighting(weighting, process)
            found = Objective(path, LAWS["uniform"], noun).at_log_snr(own_lam(path, T))
            close(found, Objective(path, LAWS["uniform"], noun).weight(T), 1e-9)

    def test_reverse_mode_gives_the_same_coefficients(self, process: str, name: str) -> None:
        forward, reverse = (get_path(name, process, mode).at(T) for mode in (Mode.FORWARD, Mode.REVERSE))
        for field in ("alpha", "sigma", "dalpha", "dsigma", "lam", "dlam"):
            close(getattr(reverse, field), getattr(forward, field), 1e-12)


def test_reverse_mode_gives_the_same_densities() -> None:
    for name, law in LAWS.items():
        close(law.density(T), get_time_law(name).density(T), 1e-12)


@pytest.mark.parametrize(("process", "name"), PATHS)
@pytest.mark.default_cases(3)
def test_expectation_is_the_integral_over_log_snr(process: str, name: str) -> None:
    """E_{t~D}[c f] over quantiles, which needs no density, equals the integral of w f against the ELBO's integrand."""
    path = get_path(name, process)
    weightings = itertools.cycle(names("weighting", process))
    for law, weighting in zip(LAWS.values(), weightings, strict=False):
        noun = get_weighting(weighting, process)
        if noun.on == "canonical" and process == "gaussian":
            noun = get_weighting("uniform")
        ends = [float(law.cdf(torch.tensor([t]).double())[0]) for t in (0.56, 0.68)]

        def by_quantile(u: np.ndarray, law: TimeLaw = law, noun: Weighting = noun) -> np.ndarray:
            t = law.quantile(torch.from_numpy(u))
            return (Objective(path, law, noun).coefficient(t) * torch.cos(t)).numpy()

        def by_lam(lam: np.ndarray, law: TimeLaw = law, noun: Weighting = noun) -> np.ndarray:
            at = torch.from_numpy(lam)
            t = log_snr.invert_lam(path, at)
            # Of tokens: d lam = d alpha / (alpha (1 - alpha)), so d alpha / (1 - alpha) = alpha d lam.
            unit = 0.5 if process == "gaussian" else path(t)[0]
            return (Objective(path, law, noun).at_log_snr(at) * unit * torch.cos(t)).numpy()

        lams = own_lam(path, law.quantile(torch.tensor(ends, dtype=torch.float64)))
        wanted = integrate.fixed_quad(by_quantile, *ends, n=40)[0]
        assert integrate.fixed_quad(by_lam, *lams.tolist(), n=40)[0] == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("weighting", ["uniform", "elbo", "min_snr"])
@pytest.mark.parametrize("spec", ["expr:0.5 + 0.5*u", "expr:where(u < 0.5, 0.4*u, 0.4 + 0.6*u)"])
def test_is_zero_where_the_law_never_goes(weighting: str, spec: str) -> None:
    law, u = get_time_law(spec), torch.linspace(1e-6, 1 - 1e-6, 100001, dtype=torch.float64)
    drawn = np.histogram(law.quantile(u).numpy(), 100, (0, 1))[0] > 10
    t = (torch.arange(100) + 0.5).double() / 100
    w = Objective(get_path("linear"), law, get_weighting(weighting)).weight(t)
    assert ((w > 0).numpy() == drawn).all()
    assert not drawn.all()
