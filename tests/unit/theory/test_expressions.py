"""Expressions: what they mean, by numpy; and that nothing else than arithmetic gets through."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reproflow.foundation import expression_syntax
from reproflow.foundation.errors import UsageError
from reproflow.theory.divergences import get_divergence
from reproflow.theory.objective import canonical
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

T = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
# What numpy makes of the same words.
MEANING = {
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "abs", "sin", "cos", "tanh", "cosh", "where", "pi")},
    "min": lambda *values: np.minimum.reduce(np.broadcast_arrays(*values)),
    "max": lambda *values: np.maximum.reduce(np.broadcast_arrays(*values)),
    "clamp": np.clip,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize(
    "text",
    [
        "exp(-lam/2)", "1", "-t", "+t", "2*t**2 - 3*t + 1", "1/cosh(lam/2)", "min(snr, 5)/(1+sqrt(snr))**2",
        "sigmoid(-lam)", "where(lam < -1, 1, exp(-lam))", "(0.2 < t) * 3", "0.2 < t <= 0.6", "max(t, 0.5, sigma)",
        "clamp(lam, -2, 2)",
        "abs(sin(pi*t)) + tanh(lam) * cos(t)", "log(alpha) - log(sigma)", "2**-t",
        "1 - (t == 0.5)", "alpha != sigma",
    ],
)  # fmt: skip
def test_values(text: str) -> None:
    c = get_path("cosine").at(T)
    names = {"t": T, "lam": c.lam, "dlam": c.dlam, "snr": c.snr, "alpha": c.alpha, "sigma": c.sigma}
    numpy = {name: value.numpy() for name, value in names.items()}
    chained = text.replace("0.2 < t <= 0.6", "(0.2 < t) & (t <= 0.6)")
    wanted = np.broadcast_to(np.asarray(eval(chained, {"__builtins__": {}}, MEANING | numpy), dtype=float), T.shape)
    found = get_weighting(f"expr:{text}").at(c)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-13, atol=1e-15)


def test_dlam_makes_the_elbo_of_an_eps_weight() -> None:
    for path in ("linear", "cosine", "vp"):
        weighting = get_weighting("expr:dlam/2", on="eps")
        found = canonical(get_path(path), get_time_law("uniform"), weighting, T)
        torch.testing.assert_close(found, torch.ones_like(T), rtol=1e-12, atol=0)


def test_paths_times_and_divergences_have_expressions_too() -> None:
    c = get_path("expr:sin(pi*t/2), cos(pi*t/2)").at(T)
    torch.testing.assert_close(c.dlam, get_path("cosine").at(T).dlam, rtol=1e-12, atol=0)
    alpha, sigma = get_path("expr:1 - (1-t)**3", "masked")(T)
    torch.testing.assert_close(alpha + sigma, torch.ones_like(T), rtol=1e-15, atol=0)
    law = get_time_law("expr:u**2")
    torch.testing.assert_close(law.density(T), 0.5 / T.sqrt(), rtol=1e-9, atol=0)
    a, b = torch.rand(2, 5, 3, dtype=torch.float64)
    found = get_divergence("expr:(1+t)*(a-b)**2")(a, b, T[:5], a)
    np.testing.assert_allclose(found, (1 + T[:5].numpy()) * ((a - b).numpy() ** 2).sum(1))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')", "().__class__.__bases__", "t.__class__", "lambda: 1", "[t]", "{t}",
        "t if t else t", "'a'", "f'{t}'", "t[0]", "t and lam", "not t", "~t", "t // 2", "t % 2", "t @ t", "t << 2",
        "1j", "True",
        "None", "...", "exp(x=1)", "exp(*[t])", "exp.f(t)", "exp", "open('f')", "t := 1", "t; t", "import os", "",
        "t +",
        "\x00", "(yield t)", "u", "exp(t, t)", "min(t)", "where(t, t)", "1e400", "9" * 400, "t, lam",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"expression|characters"):
        expression_syntax.parse(text, "weighting")


@pytest.mark.parametrize("text", ["t+" * 400 + "t", "(" * 90 + "t" + ")" * 90 + "*t" * 150, "-" * 450 + "t"])
def test_large_expressions_are_refused_before_evaluation(text: str) -> None:
    with pytest.raises(UsageError, match=r"characters|parts|cannot be read"):
        expression_syntax.parse(text, "weighting")


def test_towers_of_powers_are_numbers_not_memory() -> None:
    found = get_weighting("expr:9**9**9**9**9").at(get_path("linear").at(T))
    assert (found == math.inf).all()


def test_a_path_expression_gives_two_values() -> None:
    with pytest.raises(UsageError, match="alpha, sigma"):
        get_path("expr:t")
    with pytest.raises(UsageError, match="one value"):
        get_path("expr:t, 1-t", "masked")
