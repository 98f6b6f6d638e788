"""Time laws by a density: the accuracy that one tells is no less than how far its cdf is off."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from reproflow import judge
from reproflow.foundation.errors import UsageError
from reproflow.reporting.figures import style
from reproflow.reporting.figures.judgement import draw
from reproflow.theory import density_laws
from reproflow.theory.density_laws import ACCURACY, MASS, density_law

T = torch.linspace(0.0005, 0.9995, 1999, dtype=torch.float64)


def test_the_accuracy_is_measured() -> None:
    """1 + sin(200 t)/2 has the mass 1 + (1 - cos 200)/400; the cubics between the table's ends miss some digits."""
    law = density_law("density:expr:1 + sin(200*t)/2")
    mass = 1 + (1 - math.cos(200)) / 400
    assert abs(law.entry.meta[MASS] - mass) < 1e-12
    exact = (T + (1 - torch.cos(200 * T)) / 400) / mass
    off = float((law.cdf(T) - exact).abs().max())
    assert 1e-14 < off <= 2 * law.entry.meta[ACCURACY] < 1e-4


def test_of_a_polynomial_hardly_a_digit_is_missed() -> None:
    law = density_law("density:expr:12*t**2*(1 - t)")
    assert 2**-52 <= law.entry.meta[ACCURACY] < 1e-9
    torch.testing.assert_close(law.cdf(T), 4 * T**3 - 3 * T**4, rtol=0, atol=1e-9)


def test_a_pole_inside_is_an_end_of_pieces() -> None:
    """|t - 0.3|^(-1/2): beside the pole its cumulative is told to be good to fewer digits, and is."""
    law = density_law("density:expr:abs(t - 0.3)**-0.5")
    exact = ((T - 0.3).sign() * (T - 0.3).abs().sqrt() + 0.3**0.5) / (0.3**0.5 + 0.7**0.5)
    off = float((law.cdf(T) - exact).abs().max())
    assert off <= 2 * law.entry.meta[ACCURACY] < 1e-6


def test_a_pole_beside_which_no_digits_are_left_is_refused() -> None:
    """|t - 0.3|^-0.9: three hundredths of the mass lie closer to the pole than float64 tells apart."""
    with pytest.raises(UsageError, match=r"is known to 0\.03 only"):
        density_law("density:expr:abs(t - 0.3)**-0.9")


def test_a_check_tabulates_a_density_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judgement on a law, its figure, and one on an objective that is compared with another under the same law."""
    tabulated, asked = density_laws.tabulated, []
    monkeypatch.setattr(density_laws, "tabulated", lambda density: asked.append(density) or tabulated(density))
    found = judge.time("density:expr:1 + t**3")
    with style.styled():
        draw(found)
    judge.weighting("uniform", time="density:expr:1 + t**3", against=judge.Against("elbo"))
    assert len(asked) == 1
    assert found.source["mass"] == pytest.approx(5 / 4)
    assert judge.time("density:expr:1 + t**3", time_runs="data-to-noise").density_at["pi"] == pytest.approx(
        found.density_at["pi"][::-1]
    )
    assert len(asked) == 2, "turned round it is another law"


def test_two_files_of_one_name_are_two_laws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, density, mass in (("a", "1 + t", 3 / 2), ("b", "1 + t**3", 5 / 4)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(f"def f(t, a=1): return {density} + 0 * a\n")
        monkeypatch.chdir(tmp_path / folder)
        assert density_law("density:own.py:f").entry.meta[MASS] == pytest.approx(mass)
        assert density_law("density:own.py:f:a=2") is not density_law("density:own.py:f")
