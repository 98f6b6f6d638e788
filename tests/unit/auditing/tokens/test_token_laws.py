"""The law of the rates: its ends, its steps when not all are read, and laws that only draws show."""

from __future__ import annotations

import functools

import masked_losses as losses
import numpy as np
import pytest
import torch

from reproflow import audit, judge
from reproflow.auditing.reading import MeasuredTokens, Subject
from reproflow.auditing.tokens.instrument import read


def weighted(times, rate=lambda t: t, coefficient=lambda m: 1 / m, told=True):
    """`coefficient` of the rate on the cross-entropy of tokens masked with `rate(times(n))`."""

    def loss(model, x1):
        t = times(len(x1))
        m = rate(t)
        zt = losses._masked(x1, m)
        logits = model(zt, t) if told else model(zt)
        return (losses._ce(logits, x1) * (zt == losses.M) * coefficient(m)[:, None]).sum(1)

    return loss


def measured(loss) -> MeasuredTokens:
    found = read(Subject(loss, (losses.L,), vocabulary=losses.V, mask=losses.M))
    assert isinstance(found.measured, MeasuredTokens)
    return found.measured


def audited(loss):
    return audit(loss, (losses.L,), vocab=losses.V, mask=losses.M)


def numpys(count):
    return torch.as_tensor(np.random.uniform(size=count), dtype=torch.float32)  # noqa: NPY002


DRAWS = {
    "independent": torch.rand,
    "strata": lambda n: (torch.rand(n) + torch.arange(n)) / n,
    "strata modulo one": lambda n: (torch.rand(n) / n + torch.arange(n) / n) % 1,
    "one draw, moved on": lambda n: (torch.rand(1) + torch.arange(n) / n) % 1,
    "antithetic": lambda n: torch.cat([u := torch.rand(n // 2), 1 - u]),
}
ENDS = {
    "whole": (0.0, 1.0, "uniform", "certified"),
    "no data": (0.001, 1.0, "expr:0.999*u", "certified"),
    "no noise": (0.0, 0.999, "expr:0.001 + 0.999*u", "falsified"),
    "neither": (0.001, 0.999, "expr:0.001 + 0.998*u", "falsified"),
}

DAILY = (("independent", "no noise"), ("strata modulo one", "no noise"), ("strata modulo one", "no data"))


def cut(draws, low, high):
    return lambda n: low + (high - low) * draws(n)


@functools.cache
def stated(time: str) -> str:
    return judge.weighting("expr:1/sigma", "masked", "linear", time, "ce").bound["verdict"]


@pytest.mark.parametrize(
    ("draws", "ends"),
    [
        pytest.param(draws, ends, marks=() if (draws, ends) in DAILY else pytest.mark.slow)
        for draws in DRAWS
        for ends in ENDS
    ],
)
@pytest.mark.default_cases(1)
def test_each_end_of_the_law_is_decided_however_times_are_drawn(draws: str, ends: str) -> None:
    low, high, time, verdict = ENDS[ends]
    judged = audited(weighted(cut(DRAWS[draws], low, high))).identification.judged
    assert judged["by"] == "parts"
    assert judged["spec"]["path"] == "linear"
    assert judged["spec"]["time"] in (time, time.replace("0.999*u", "0 + 0.999*u"))
    assert judged["bound"]["verdict"] == verdict == stated(time)


@pytest.mark.parametrize("draws", DRAWS.values(), ids=DRAWS)
@pytest.mark.default_cases(2)
def test_the_law_is_exact_however_times_are_drawn(draws) -> None:
    table = measured(weighted(cut(draws, 0.01, 0.99)))
    law = (0.99 - table.m) / 0.98
    assert np.abs(table.law - law).max() < (0.6 / len(table.m) if table.read == "ranks" else 1e-6)
    assert table.ends == pytest.approx((0.01, 0.99), abs=1e-6)


@pytest.mark.parametrize("draws", [DRAWS["independent"], DRAWS["strata"]], ids=["independent", "strata"])
@pytest.mark.default_cases(1)
def test_a_weight_without_a_name_is_no_bound_either_where_noise_is_left_out(draws) -> None:
    """The weight w = c m of a measured table, which falls with lam here where it is not cut."""
    whole, without = (
        audited(weighted(cut(draws, 0.001, high), coefficient=lambda m: (1 + m**3) / m)).identification.judged
        for high in (1.0, 0.99)
    )
    assert (whole["by"], whole["bound"]["verdict"]) == ("table", "certified")
    assert (without["by"], without["bound"]["verdict"]) == ("table", "falsified")


def test_where_draws_cannot_tell_whether_noise_is_left_out_nothing_is_said() -> None:
    judged = audited(weighted(cut(numpys, 0.001, 0.999), coefficient=torch.ones_like)).identification.judged
    assert judged["bound"]["verdict"] == "inconclusive"
    assert judged["admissible"]["verdict"] == "inconclusive"
    assert "certified with times uniform, falsified with times expr" in judged["bound"]["reason"]
    assert judged["exit_code"] == 5
    plain = audited(weighted(cut(numpys, 0.001, 0.7), coefficient=torch.ones_like)).identification.judged
    assert plain["bound"]["verdict"] == "falsified"


def steps(count: int):
    return lambda n: torch.randint(1, count + 1, (n,)) / count


@pytest.mark.parametrize("count", [20, 1000])
@pytest.mark.parametrize(
    ("rate", "path"), [(lambda t: t, "linear"), (lambda t: t**2, "polynomial:n=2")], ids=["linear", "quadratic"]
)
@pytest.mark.default_cases(2)
def test_steps_are_read_as_such_whether_or_not_all_are_seen(count: int, rate, path: str) -> None:
    loss = weighted(steps(count), rate)
    table = measured(loss)
    assert (table.steps, table.count, table.complete) == (True, count, count == 20)
    assert len(table.m) == min(count, 192)
    assert np.abs(table.law - 1 / count).max() < 1e-15
    assert table.places is not None
    assert np.abs(rate((count - table.places) / count) - table.m).max() < 2e-7
    names = audited(loss).identification
    assert names.time["law"]["name"] == f"uniform on {count} values"
    assert names.path["name"] == path
    assert names.coefficient["form"] == "1/m"


@pytest.mark.parametrize("count", [20, 1000])
def test_the_weight_of_steps_is_that_of_continuous_time(count: int) -> None:
    canonical = audited(weighted(steps(count))).identification.canonical
    assert np.abs(np.array(canonical["w"]) / canonical["w"][0] - 1).max() < 1e-3


@pytest.mark.parametrize("count", [20, 1000])
@pytest.mark.parametrize(
    ("coefficient", "certified"), [(lambda m: (1 + m**3) / m, True), (lambda m: (2 - m**3) / m, False)]
)
@pytest.mark.default_cases(2)
def test_steps_without_a_name_are_judged_by_their_weights(count: int, coefficient, certified: bool) -> None:
    """All of them as a chain, a part as a function."""
    refuted = "not_representable" if count == 20 else "falsified"
    judged = audited(weighted(steps(count), coefficient=coefficient)).identification.judged
    assert (judged["by"], judged["bound"]["verdict"]) == ("table", "certified" if certified else refuted)


@pytest.mark.parametrize(("told", "least"), [(True, 4000), (False, 1500)])
def test_a_law_that_cannot_be_set_is_that_of_many_draws(told: bool, least: int) -> None:
    """To Kolmogorov's distance, which the reading states."""
    found = read(Subject(weighted(numpys, told=told), (losses.L,), vocabulary=losses.V, mask=losses.M))
    table = found.measured
    assert isinstance(table, MeasuredTokens)
    assert table.draws >= least
    error = 1.2 * table.draws**-0.5
    assert np.abs(table.law - (1 - table.m)).max() < error
    assert found.limits == (
        f"the draws of the rates cannot be set: their law is that of {table.draws} draws, known to {error:.2g}",
    )


def test_batches_that_share_a_rate_are_one_draw_each() -> None:
    table = measured(weighted(lambda n: numpys(1).expand(n), told=False))
    assert len(table.m) == 24
    assert table.draws == 24 + 36


def test_batches_that_share_a_rate_of_ranks_are_one_draw_each() -> None:
    """Of masks by rank the law is that of the rows: each shared rate counts once, however many sentences have it."""

    def loss(model, x1):
        m = numpys(1).expand(len(x1))
        hidden = torch.rand(x1.shape).argsort(-1).argsort(-1) < (m * losses.L).round()[:, None]
        zt = torch.where(hidden, losses.M, x1)
        return (losses._ce(model(zt), x1) * hidden).sum(1)

    assert measured(loss).draws == 24
