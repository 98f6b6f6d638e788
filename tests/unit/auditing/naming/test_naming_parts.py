"""Path, time, law, target and coefficient of tables of levels by name, and what is near a name but is not it."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from measured_tables import linear_betas, of_betas, of_specs, quantiles, table

from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.naming import coefficients, laws, paths, targets, times
from reproflow.auditing.naming.levels import levels_of
from reproflow.theory.times import get_time_law


def target_of(measured: MeasuredLoss) -> targets.TargetName:
    levels = levels_of(measured)
    return targets.name_target(levels, paths.name_path(levels), times.state_slope(levels))


def law_of(measured: MeasuredLoss) -> laws.LawName:
    levels = levels_of(measured)
    return laws.name_law(levels, paths.name_path(levels))


def coefficient_of(measured: MeasuredLoss) -> coefficients.CoefficientName:
    levels, target = levels_of(measured), target_of(measured)
    own = coefficients.own_divisor(levels)
    return coefficients.name_coefficient(levels, levels.c, target.name, target.prediction, None, own)


def straight(a: object, b: object) -> MeasuredLoss:
    """A loss on the linear path with this target."""
    t = quantiles()
    return table(t, 1 - t, a, b, 1.0, t, t)


@pytest.mark.parametrize(
    ("measured", "relation"),
    [
        (of_specs("linear"), "linear"),
        (of_specs("polynomial"), "linear"),
        (of_specs("cosine"), "vp"),
        (of_specs("vp"), "vp"),
        (of_specs("ve", scale=lambda A, B: 1 / A), "ve"),
        (of_specs("ve", scale=lambda A, B: 1 / A / np.sqrt(0.25 + (B / A) ** 2)), "scaled"),
        (table(quantiles(), 1 - 0.99 * quantiles(), 1.0, -0.99, 1.0, quantiles(), quantiles()), "sigma_min"),
    ],
)
def test_path(measured: MeasuredLoss, relation: str) -> None:
    found = paths.name_path(levels_of(measured))
    assert found.relation == relation
    assert found.error < 1e-6


def test_parameters_of_paths_are_read_off() -> None:
    """The scale of EDM's input, and sigma_min."""
    scaled = of_specs("ve", scale=lambda A, B: 1 / A / np.sqrt(0.09 + (B / A) ** 2))
    assert paths.name_path(levels_of(scaled)).parameter == pytest.approx(0.3, rel=1e-6)
    t = quantiles()
    least = table(t, 1 - 0.99 * t, 1.0, -0.99, 1.0, t, t)
    assert paths.name_path(levels_of(least)).parameter == pytest.approx(0.01, rel=1e-4)


def test_a_path_off_by_a_thousandth_has_no_name() -> None:
    """1 - alpha² for its root is far off; a state whose noise is a thousandth too small is off all the same."""
    t = quantiles()
    A, B = np.sin(0.5 * np.pi * t), np.cos(0.5 * np.pi * t)
    for wrong in (B**2, B * (1 - 2e-3 * t)):
        assert paths.name_path(levels_of(table(A, wrong, 0.0, 1.0, 1.0, t, t))).name is None


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        (1.0, 0.0, "x1"),
        (0.0, 1.0, "eps"),
        (1.0, -1.0, "x1 - eps"),
        (-1.0, 1.0, "eps - x1"),
        (0.0, -1 / (1 - quantiles()), "score = -eps/B"),
        (3.0, 0.0, "3 (x1)"),
    ],
)
def test_constant_targets(a: object, b: object, name: str) -> None:
    found = target_of(straight(a, b))
    assert found.name == name
    assert found.error < 1e-6


def test_what_is_left_to_the_data() -> None:
    """x1 - S on the linear path, whose 1 - A has lost three digits at the data end."""
    found = target_of(straight(1 - quantiles(), quantiles() - 1))
    assert found.name == "x1 - S"
    assert found.error < 1e-4


def test_targets_that_are_no_velocity() -> None:
    """x1 - 0.99 eps is near x1 - eps and is not named so; x1 - 0.9 eps is near nothing."""
    near = target_of(straight(1.0, -0.99))
    assert near.name is None
    assert near.near is not None
    assert near.near[0] == "x1 - eps"
    far = target_of(straight(1.0, -0.9))
    assert far.name is None
    assert far.near is None


def test_a_less_exact_reading_makes_no_name_of_what_is_far() -> None:
    """Where bfloat16 leaves 4e-3 the name is given with that error, and x1 - 0.9 eps still has none."""
    t = quantiles()
    assert target_of(table(t, 1 - t, 1.0, -1.0, 1.0, t, t, noise=2e-3)).name == "x1 - eps"
    assert target_of(table(t, 1 - t, 1.0, -0.9, 1.0, t, t, noise=2e-3)).name is None


def test_targets_on_other_paths() -> None:
    """v; the derivative in the time that is given, also where it is infinite at an end; EDM's F with its scale."""
    assert target_of(of_specs("vp", target="v")).name == "v = A eps - B x1"
    assert target_of(of_specs("cosine")).name == "dx/dtau"
    found = target_of(of_specs("vp"))
    assert found.name == "dx/dtau"
    assert found.error < 2e-3
    r = np.exp(1.2 * laws.normal_quantile(quantiles()) - 1.2)
    root = np.sqrt(r**2 + 0.25)
    network = target_of(table(1 / root, r / root, 2 * r / root, -0.5 / root, 1.0, 1 - quantiles(), np.log(r) / 4))
    assert network.name == "EDM's F, sigma_data 0.5"
    assert network.error < 5e-5


def test_a_function_of_the_level_times_a_target() -> None:
    """(x1 - S)/(1 - t + 0.01): an epsilon in the division."""
    t = quantiles()
    found = target_of(straight((1 - t) / (1.01 - t), -(1 - t) / (1.01 - t)))
    assert found.factor is not None
    assert found.prediction is None


def test_the_posterior_mean_of_ddpm() -> None:
    """Ho et al. 2020, eq. 7, from its own coefficients; with the mean of another level it has no name."""
    betas = linear_betas()
    kept = np.cumprod(1 - betas)
    before = np.append(1.0, kept[:-1])
    a = betas * np.sqrt(before) / (1 - kept)
    c = (1 - before) * np.sqrt(1 - betas) / (1 - kept)
    A, B = np.sqrt(kept), np.sqrt(1 - kept)
    index, law = np.arange(1000), np.full(1000, 1e-3)
    rest = {"times": Times.STEPS, "steps": index}
    assert target_of(table(A, B, a + c * A, c * B, 1.0, law, index, **rest)).name == "posterior mean of DDPM"
    wrong = table(A, B, a + c * A, 1.5 * c * B, 1.0, law, index, **rest)
    assert target_of(wrong).name != "posterior mean of DDPM"


@pytest.mark.parametrize(
    ("given", "name", "given_as"),
    [
        (lambda t, lam: t, "t", "t"),
        (lambda t, lam: 999 * (1 - t), "t", "999 (1 - t)"),
        (lambda t, lam: -lam / 8, "log sigma/alpha", "0.25 log sigma/alpha"),
        (lambda t, lam: (1 - t) / t, "sigma/alpha", "sigma/alpha"),
        (lambda t, lam: 0 * t + 0.5, None, "constant 0.5"),
        (lambda t, lam: np.nan * t, None, "none"),
    ],
)
def test_given_time(given: object, name: str | None, given_as: str) -> None:
    levels = levels_of(of_specs("linear", given=given))
    found = times.name_time(levels, paths.name_path(levels))
    assert (found.name, found.given_as) == (name, given_as)


def test_a_shifted_time_has_no_name() -> None:
    levels = levels_of(of_specs("linear", given=lambda t, lam: t / (3 - 2 * t)))
    assert times.name_time(levels, paths.name_path(levels)).name is None


@pytest.mark.parametrize(
    ("path", "time", "name", "spec"),
    [
        ("linear", "uniform", "tau ~ uniform(0, 1)", ("linear", "uniform")),
        (
            "linear",
            "logit_normal:mean=-0.8,std=0.8",
            "logit tau ~ N(-0.8, 0.8²)",
            ("linear", "logit_normal:mean=-0.8,std=0.8"),
        ),
        ("linear", "expr:0.02 + 0.9*u", "tau ~ uniform(0.02, 0.92)", ("linear", "expr:0.02 + 0.9*u")),
        ("linear", "beta", "beta in t of the linear path", ("linear", "beta")),
        ("linear", "laplace", "laplace in t of the linear path", ("linear", "laplace")),
        ("vp", "uniform", "tau ~ uniform(0, 1)", ("vp", "uniform")),
    ],
)
def test_law(path: str, time: str, name: str, spec: tuple[str, str]) -> None:
    found = law_of(of_specs(path, time))
    assert found.name == name
    assert found.error < 1e-5
    assert (found.on_paths[0].carrier.name, found.on_paths[0].time) == spec


def test_a_shifted_law() -> None:
    """Mode sampling whose times a scheduler shifts by 3 (Esser et al. 2024)."""
    found = law_of(
        of_specs("linear", "expr:(u + 1.29*(cos(pi*u/2)**2 - 1 + u))/(3 - 2*(u + 1.29*(cos(pi*u/2)**2 - 1 + u)))")
    )
    assert found.on_paths[0].time.endswith("/(3 - (3 - 1)*(u + 1.29*(cos(pi*u/2)**2 - 1 + u)))")


def test_laws_that_are_not_the_named_one() -> None:
    """u with a tenth of its cube is near uniform and is not named so; U-shaped times are neither uniform nor normal."""
    near = law_of(of_specs("linear", "expr:0.9*u + 0.1*u**3"))
    assert near.name is None
    assert near.on_paths == ()
    assert 1e-3 < near.error < 0.1
    assert law_of(of_specs("linear", "u_shaped")).name == "u_shaped in t of the linear path"


def law_of_draws(law: str) -> laws.LawName:
    """The name of a law of times on the linear path of which 20 000 draws are known."""
    u = torch.from_numpy(np.sort(np.random.default_rng(1).random(20000)))
    t = get_time_law(law).quantile(u).numpy()[31::62]
    rank = (np.arange(20000) + 0.5)[31::62] / 20000
    return law_of(table(t, 1 - t, 1.0, -1.0, 1.0, rank, t, times=Times.DRAWN, draws=20000))


@pytest.mark.parametrize("std", [1.0, 1.1])
def test_laws_of_draws_are_named_by_their_distance(std: float) -> None:
    """20 000 draws of a logit-normal law are told from those of one a tenth wider."""
    found = law_of_draws(f"logit_normal:mean=0,std={std}")
    mean, deviation = re.fullmatch(r"logit tau ~ N\((.*), (.*)²\)", str(found.name)).groups()
    assert float(mean) == pytest.approx(0, abs=0.03)
    assert float(deviation) == pytest.approx(std, abs=0.03)
    assert found.as_dict()["n"] == 20000


def test_uniform_draws_are_named_too() -> None:
    assert str(law_of_draws("uniform").name).startswith("tau ~ uniform(0, 1)")


def test_steps() -> None:
    found = law_of(of_betas(linear_betas()))
    assert found.name == "uniform on 1000 values"
    assert found.on_paths[0].carrier.name == "vp"


@pytest.mark.parametrize(
    ("target", "c", "form", "belongs"),
    [
        ("eps", lambda snr: 1.0, "1", None),
        ("eps", lambda snr: np.minimum(snr, 5) / snr, "min(SNR, 5)/SNR", None),
        ("v", lambda snr: np.minimum(snr, 5) / (snr + 1), "min(SNR, 5)/(SNR + 1)", None),
        ("x1", lambda snr: np.minimum(snr, 5), "min(SNR, 5)", None),
        ("x1", lambda snr: np.maximum(snr, 1), "max(SNR, 1)", None),
        ("eps", lambda snr: np.minimum(snr, 5) / (snr + 1), "min(SNR, 5)/(SNR + 1)", "SNR"),
        ("v", lambda snr: np.minimum(snr, 5) / snr, "min(SNR, 5)/SNR", "(SNR + 1)"),
        ("v", lambda snr: np.minimum(snr + 1, 5) / (snr + 1), "min(SNR + 1, 5)/(SNR + 1)", "(SNR + 1)"),
        ("eps", lambda snr: snr**-0.5, "1/sqrt(SNR)", None),
        ("eps", lambda snr: 1 / (1 + snr) ** 0.5, "(SNR + 1)**(-0.5)", None),
        ("x1", lambda snr: (1 / snr + 0.25) * snr / 0.25, "(sigma² + 0.5²)/(sigma 0.5)²", None),
        ("x1", lambda snr: 4 * snr / (snr + 4), "SNR*4/(SNR + 4)", None),
        ("eps", lambda snr: 1 + 0.1 * np.sin(np.log(snr)), None, None),
    ],
)
def test_coefficient(target: str, c: object, form: str | None, belongs: str | None) -> None:
    found = coefficient_of(of_betas(linear_betas(), target, c))
    assert (found.form, found.belongs) == (form, belongs)
    assert (found.weighting is None) == (form is None)


def test_a_level_without_a_weight_has_no_target() -> None:
    """What is read there is rounding; with a weight it would count."""
    measured = straight(1.0, -1.0)
    a, c = np.array(measured.a), np.array(measured.c)
    a[3], c[3] = 5.0, 0.0
    without, weighed = (levels_of(replace(measured, a=a, c=each)) for each in (c, measured.c))
    one = np.ones(len(weighed))
    assert targets.fit(without, one, -one)[1] < 1e-6
    assert targets.fit(weighed, one, -one)[1] > 0.5
