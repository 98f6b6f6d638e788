"""Domination as far as it is seen: singular laws, atoms at all dyadic times, short gaps; and honest laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.foundation.registry import Entry
from reproflow.theory import time_law_gaps, time_law_resolution
from reproflow.theory.times import TimeLaw, get_time_law

Map = Callable[[Tensor], Tensor]
WHOLE = (0.0, 1.0)


def law(quantile: Map) -> TimeLaw:
    """A law with this quantile map and nothing stated."""
    base = get_time_law("mode", fine=True)
    return replace(base, function=quantile, entry=_bare(base.entry))


def _bare(entry: Entry) -> Entry:
    return replace(entry, meta={})


def cantor(u: Tensor) -> Tensor:
    """The uniform law on Cantor's set: binary digits of u, doubled, as ternary digits."""
    t = torch.zeros_like(u)
    for k in range(1, 51):
        u = 2 * u
        t, u = t + 2 * torch.floor(u) * 3.0**-k, u - torch.floor(u)
    return t


def devils_staircase(u: Tensor) -> Tensor:
    """Cantor's function as the map: atoms at all dyadic times, which add up to 1, and no gap."""
    t, open_still, step = torch.zeros_like(u), torch.ones_like(u, dtype=torch.bool), 0.5
    for _ in range(33):
        u = 3 * u
        digit = torch.floor(u).clamp(max=2)
        t, u = t + torch.where(open_still & (digit > 0), step, 0.0), u - digit
        open_still, step = open_still & (digit != 1), step / 2
    return t


def digits(*probabilities: float) -> Map:
    """Digits of t drawn independently: singular, without atoms, of full support, unless all are as likely."""
    below = np.concatenate([[0.0], np.cumsum(probabilities)])
    base = len(probabilities)

    def quantile(u: Tensor) -> Tensor:
        t, low, width = torch.zeros_like(u), torch.zeros_like(u), torch.ones_like(u)
        for k in range(1, int(40 / np.log2(base)) + 1):
            digit = sum((u >= low + width * cut).to(u) for cut in below[1:-1])
            index = digit.long()
            t = t + digit * float(base) ** -k
            low = low + width * torch.from_numpy(below)[index]
            width = width * torch.tensor(probabilities, dtype=torch.float64)[index]
        return t + float(base) ** -k * (u - low) / width

    return quantile


def combed(period: float, share: float) -> Map:
    """Uniform on the first share of every period."""

    def quantile(u: Tensor) -> Tensor:
        whole = torch.floor(u / period)
        return (whole + (u / period - whole) * share) * period

    return quantile


# None of them dominates: a set of positive length, the whole of it for most, is never drawn.
NOT_DOMINATING: dict[str, Map] = {
    "Cantor's set": cantor,
    "the devil's staircase": devils_staircase,
    "binary digits, 0.3": digits(0.7, 0.3),
    "binary digits, 0.45": digits(0.55, 0.45),
    "binary digits, 0.49": digits(0.51, 0.49),
    "binary digits, 0.498": digits(0.502, 0.498),
    "ternary digits": digits(0.3, 0.4, 0.3),
    "ternary digits without a 1": digits(0.5, 0.0, 0.5),
    "base four": digits(0.25, 0.25, 0.3, 0.2),
    "half in gaps of 5e-10": combed(1e-9, 0.5),
    "a tenth in gaps of 2e-11": combed(2e-10, 0.9),
    "a twentieth in gaps of 5e-11": combed(1e-9, 0.95),
    "1e10 atoms": lambda u: torch.floor(1e10 * u) / 1e10,
    "3e10 atoms": lambda u: torch.floor(3e10 * u) / 3e10,
    "a comb, then uniform": lambda u: torch.where(u < 0.5, combed(1e-9, 0.5)(u), u),
}


def table(u: Tensor) -> Tensor:
    """A piecewise linear map between a thousand quantiles of a sample."""
    steps = np.random.default_rng(0).exponential(size=1000)
    knots = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    return torch.from_numpy(np.interp(u.numpy(), np.linspace(0, 1, 1001), knots))


def with_an_atom(u: Tensor) -> Tensor:
    return torch.where(u < 0.3, u / 0.6, torch.clamp((u - 0.3) / 0.6 - 1 / 6, min=0.5))


HONEST: dict[str, Map] = {
    "u": lambda u: u,
    "u^20": lambda u: u**20,
    "u^0.05": lambda u: u**0.05,
    "1 - (1 - u)^0.5": lambda u: 1 - (1 - u) ** 0.5,
    "1 - (1 - u)^0.2": lambda u: 1 - (1 - u) ** 0.2,
    "logit-normal": lambda u: torch.sigmoid(torch.special.ndtri(u)),
    "logit-normal, shifted": lambda u: torch.sigmoid(1.2 + 1.2 * torch.special.ndtri(u)),
    "shifted by 3": lambda u: u / (u + 3 * (1 - u)),
    "arcsine": lambda u: torch.sin(0.5 * torch.pi * u) ** 2,
    "steep in the middle": lambda u: 0.5 + 0.5 * torch.tanh(3000 * (u - 0.5)),
    "flat in the middle": lambda u: 0.5 + 4 * (u - 0.5) ** 3,
    "a kink": lambda u: torch.where(u < 0.5, 0.2 * u, 0.1 + 1.8 * (u - 0.5)),
    "a table": table,
    "with an atom": with_an_atom,
    "digits as likely": digits(0.5, 0.5),
}


@pytest.mark.parametrize("name", NOT_DOMINATING)
@pytest.mark.default_cases(4)
def test_what_does_not_dominate_is_not_said_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = law(NOT_DOMINATING[name])
    monkeypatch.setattr(time_law_resolution, "gaps", lambda _: ())  # whatever else is found
    length, below = time_law_resolution.resolution(subject).within(WHOLE)
    assert length is None
    assert below > time_law_resolution.UNSEEN


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.default_cases(4)
def test_an_honest_law_is_seen_to_dominate(name: str) -> None:
    """Callables all of them, without a stated density."""
    subject = law(HONEST[name])
    if name != "digits as likely":
        assert time_law_gaps.gaps(subject) == ()
    length, below = time_law_resolution.resolution(subject).within(WHOLE)
    assert length is not None
    assert length <= 1e-5
    assert below < 0.01


@pytest.mark.parametrize("name", [entry.name for entry in registry.entries("time", "gaussian")])
def test_registered_laws(name: str) -> None:
    found = time_law_resolution.resolution(get_time_law(name, fine=True))
    length, below = found.within(WHOLE)
    assert below == 0
    assert length == (1 / 16384 if found.by_density else time_law_resolution.FINEST)


def test_half_on_cantors_set_and_half_uniform_dominates() -> None:
    """Its cdf has the derivative 1/2 almost everywhere: what is singular beside that does no harm."""
    middle = digits(0.5, 0.0, 0.5)

    def cdf(t: Tensor) -> Tensor:
        low, high = torch.zeros_like(t), torch.ones_like(t)
        for _ in range(54):
            half = 0.5 * (low + high)
            below = middle(half) < t
            low, high = torch.where(below, half, low), torch.where(below, high, half)
        return 0.5 * t + 0.5 * high

    base = get_time_law("mode", fine=True)
    mixed = replace(base, entry=replace(base.entry, meta={"cdf": cdf}), function=lambda u: u)
    length, below = time_law_resolution.resolution(mixed).within(WHOLE)
    assert length == time_law_resolution.FINEST
    assert below < 0.01


def test_a_range_has_a_resolution_of_its_own() -> None:
    """Uniform on t < 1/2, and a comb beyond."""
    found = time_law_resolution.resolution(law(lambda u: torch.where(u < 0.5, u, combed(1e-9, 0.5)(u))))
    assert found.within((0.0, 0.49))[0] == time_law_resolution.FINEST
    assert found.within((0.51, 1.0))[0] is None
    assert "not spread evenly" in found.text((0.51, 1.0))
    turned = time_law_resolution.Resolution(found.places, found.lengths[::-1], found.starved)
    assert turned.within((0.51, 1.0))[0] == time_law_resolution.FINEST
    assert turned.within((0.0, 0.49))[0] is None


def test_where_u_has_too_few_digits_the_reason_says_so() -> None:
    """1 - (1 - u)^0.05 has t > 0.84 beyond the last u below 1: 2^-53 to the power 0.05 is 0.16."""
    found = time_law_resolution.resolution(law(lambda u: 1 - (1 - u) ** 0.05))
    assert found.within(WHOLE)[0] is None
    assert "too few digits" in found.text(WHOLE)
    assert found.places[np.isinf(found.lengths)].min() < 1 - 2 ** (-53 * 0.05)


def test_the_length_is_that_of_nearly_all_places() -> None:
    """Of 99 %: two in a hundred places that are coarser decide, one in two hundred does not."""
    places = np.linspace(0.001, 0.999, 1000)
    for coarser, expected in ((20, 1e-6), (5, 1e-10)):
        lengths = np.where(np.arange(1000) < coarser, 1e-6, 1e-10)
        found = time_law_resolution.Resolution(places, lengths, np.zeros(1000, dtype=bool))
        assert found.within(WHOLE) == (expected, 0.0)


@pytest.mark.parametrize("stated", [False, True])
def test_a_gap_is_no_question_of_resolution(stated: bool) -> None:
    """Uniform on both sides of (0.3, 0.7), with and without the density that is zero there."""
    subject = law(lambda u: torch.where(u < 0.5, 0.6 * u, 0.4 + 0.6 * u))
    if stated:
        density = {"density": lambda t: torch.where((t > 0.3) & (t < 0.7), 0.0, 1 / 0.6)}
        subject = replace(subject, entry=replace(subject.entry, meta=density))
    [gap] = time_law_gaps.gaps(subject)
    assert gap == pytest.approx((0.3, 0.7), abs=1e-9)
    found = time_law_resolution.resolution(subject)
    assert found.within(WHOLE) == (time_law_resolution.FINEST, 0.0)
    assert not found.by_density
