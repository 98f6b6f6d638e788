"""Errata in code, tutorials on averages, batches, noise: what each defect does, and oracles for the numbers."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from reproflow.claims import ledger
from reproflow.claims.errata import attention, averaging, defects, listings, networks, notation, reflow, training_loops
from reproflow.claims.policy import Context, row_ok, run_claim
from reproflow.claims.tutorials import averaging as ema
from reproflow.claims.tutorials import batches, noise
from reproflow.exact import three_gaussians
from reproflow.numerics import gauss_rules
from reproflow.theory.paths import get_path

CONTEXT = Context()

# The error that a user would meet, by defect: a control must fail for its own reason and not by accident.
MESSAGES = [
    (listings.syntax, listings.STAR, "SyntaxError"),
    (listings.syntax, listings.QUOTES, "U+2019"),
    (listings.syntax, listings.INDENTATION, "IndentationError"),
    (listings.syntax, listings.DENSITY, "mass nan"),
    (listings.squeezed_time, "printed", "batch of 1: IndexError: too many indices"),
    (networks.unet, networks.ENCODER, "expected input[2, 4, 8, 8] to have 3 channels"),
    (networks.unet, networks.DECODER, "to have 16 channels, but got 24"),
    (networks.unet, networks.BOTTLENECK, "moves by 0 with"),
    (networks.unet, networks.RESOLUTION, "sees 8x8 of 8x8"),
    (networks.time_conditioning, networks.UNSCALED, "82.8% of 64"),
    (attention.dit, attention.ARGUMENTS, "'key' and 'value'"),
    (attention.dit, attention.ANSWER, "TypeError"),
    (attention.dit, attention.GATES, "tensor a (2) must match the size of tensor b (5)"),
    (training_loops.script, training_loops.LOADER, "'list' object has no attribute 'to'"),
    (training_loops.accumulated, "printed", "gradient 6 after"),
    (reflow.reflow, reflow.DATA, "mean 4.5, std 0.25"),
    (reflow.reflow, reflow.OPTIMIZER, "by 0"),
]


@pytest.mark.parametrize(("function", "defect", "message"), MESSAGES, ids=[defect for _, defect, _ in MESSAGES])
def test_a_defect_shows_for_its_own_reason(function, defect: str, message: str) -> None:
    assert message in function(defect, CONTEXT).detail


@pytest.mark.parametrize("id", ["E10", "E12", "E13", "E14", "E15", "E17", "E21", "E25"])
def test_every_defect_of_the_printed_form_shows(id: str) -> None:
    (entry,) = ledger.find([id])
    rows = {row["case"]: row for row in run_claim(entry) if row["kind"] == "exact"}
    alone = [name for name in rows["corrected"]["control"].split(";") if name != "printed"]
    assert rows["printed"]["statistic"] == len(alone) > 1


def test_what_no_run_could_find_otherwise_is_textual() -> None:
    """Names that a page leaves undefined, a loop's own range: nothing to compute, with a reason, and no surprise."""
    found = {id: [row for row in ledger.run([id]) if row["kind"] == "textual"] for id in ("E12", "E13", "E17", "E25")}
    assert {id: {row["case"] for row in rows} for id, rows in found.items()} == {
        "E12": {networks.UNDEFINED},
        "E13": {attention.IDENTITY, attention.UNDEFINED},
        "E17": {reflow.ROUNDS, reflow.SIGNATURES, reflow.UNDEFINED},
        "E25": {notation.ARGUMENT, notation.SIGMA},
    }
    for row in (row for rows in found.values() for row in rows):
        assert (row["verdict"], row["expected"], row["control"], row["statistic"]) == ("not_applicable",) * 2 + (
            "",
            None,
        )
        assert row["reason"]
        assert row_ok(row)


def test_other_errors_than_the_one_meant_are_not_counted() -> None:
    with pytest.raises(ZeroDivisionError):
        defects.raises(TypeError, lambda: 1 / 0)


def test_networks_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, two = (defects.seeded(lambda: nn.Linear(3, 3), "same") for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one.weight, two.weight)


# E11, E12, E13, E14


def test_the_squeezed_batch_axis_waits_for_a_batch_of_one() -> None:
    assert [listings.epoch(True, size).statistic for size in (8, 9, 10, 13)] == [0, 1, 0, 1]


@torch.no_grad()
def test_the_corrected_unet_returns_an_image_that_depends_on_time() -> None:
    network, image, embedding = networks._network("")
    out = network(image, embedding)
    assert out.shape == image.shape
    assert float((out - network(image, -embedding)).abs().max()) > 1e-3


@pytest.mark.parametrize(("fault", "samples"), [(attention.AXES, 2), (attention.GATES, 5)])
def test_silent_faults_mix_samples(fault: str, samples: int) -> None:
    assert attention.leak(fault, samples, 5).statistic > 0.1
    assert attention.leak("", samples, 5).statistic == 0


@torch.no_grad()
def test_the_corrected_attention_is_softmax_attention() -> None:
    block, x, c = attention._case("", 2, 5)
    shift, scale, gate = block.modulation(nn.functional.silu(c)).chunk(3, -1)
    h = block.norm(x) * (1 + scale[:, None]) + shift[:, None]
    q, k, v = (
        (h @ w.T + b).view(2, 5, 2, 4).transpose(1, 2)
        for w, b in zip(block.attention.in_proj_weight.chunk(3), block.attention.in_proj_bias.chunk(3), strict=True)
    )
    mixed = ((q @ k.transpose(-1, -2) / 2).softmax(-1) @ v).transpose(1, 2).reshape(2, 5, 8)
    torch.testing.assert_close(block(x, c), x + gate[:, None] * block.attention.out_proj(mixed))


def test_the_printed_update_is_right_and_is_torchs() -> None:
    net, other = averaging.Net(), averaging.Net()
    shadow, average = averaging.Shadow(net), averaging.averaged(other)
    values = averaging.trained(shadow, net)
    averaging.trained(average, other)
    expected = averaging.moving_average(values)
    assert float(shadow.average) == pytest.approx(expected, rel=1e-14)
    assert float(next(average.parameters()).detach()) == pytest.approx(expected, rel=1e-14)


# E16, E17, E21


def test_accumulated_descent_is_an_undamped_oscillation() -> None:
    _, reached = training_loops.gradients(True, lambda w: w**2 / 2, 50)
    rate, path = training_loops.RATE, [1.0, *reached]
    for before, now, after in zip(path, path[1:], path[2:], strict=False):
        assert after == pytest.approx((2 - rate) * now - before, abs=1e-12)
    assert np.abs(np.roots([1, rate - 2, 1])) == pytest.approx([1, 1])


def test_the_exact_flow_of_a_gaussian_is_affine() -> None:
    starts = torch.tensor([[-2.0], [0.0], [3.0]], dtype=torch.float64)
    torch.testing.assert_close(
        reflow.carried(starts), reflow.MEAN + reflow.STD * starts, rtol=0, atol=defects.SHOWS / 2
    )


def test_how_far_sinusoids_move_in_closed_form() -> None:
    rates = 1e4 ** (-np.arange(32) / 31)
    for scale, share in ((1, 53 / 64), (1000, 7 / 64)):
        angle = np.minimum(scale * rates, math.pi / 2)
        cosine = 1 - np.cos(np.minimum(scale * rates, math.pi))
        assert np.mean(np.concatenate([np.sin(angle), cosine]) < networks.SLOW) == share


# TUT-5, TUT-6, TUT-10, TUT-12


def test_torchs_weights_are_geometric() -> None:
    weights = ema.iterate_weights(get_ema_multi_avg_fn(0.9), 6)
    assert weights == pytest.approx([0.9**5, *(0.1 * 0.9**k for k in (4, 3, 2, 1, 0))], rel=1e-14)


def test_the_error_of_an_average_by_its_sum() -> None:
    d, n = 0.99, 300
    weights = np.array([d**n, *((1 - d) * d ** (n - k) for k in range(1, n + 1))])
    steps = np.arange(n + 1)
    mean = ema.START_ERROR * ema.RHO**steps
    earlier = np.minimum.outer(steps, steps)
    lags = np.abs(np.subtract.outer(steps, steps))
    covariance = ema.SPREAD**2 * ema.RHO**lags * (1 - ema.RHO ** (2.0 * earlier))
    raw, averaged = ema.errors(d, n)
    assert raw == pytest.approx(mean[-1] ** 2 + covariance[-1, -1], rel=1e-12)
    assert averaged == pytest.approx((weights @ mean) ** 2 + weights @ covariance @ weights, rel=1e-12)
    weights[0] = 0
    weights /= 1 - d**n
    expected = (weights @ mean) ** 2 + weights @ covariance @ weights
    assert ema.errors(d, n, debias=True)[1] == pytest.approx(expected, rel=1e-12)


def test_the_mean_of_a_clipped_normal() -> None:
    inner = integrate.quad(lambda g: g * stats.norm.pdf(g, 1.2, 2), -1, 1)[0]
    expected = inner + stats.norm.sf(1, 1.2, 2) - stats.norm.cdf(-1, 1.2, 2)
    assert batches.mean_clipped(1.2, 2.0, 1.0) == pytest.approx(expected, abs=1e-12)


def test_the_toy_networks_gradient_by_hand_is_autograds() -> None:
    x, target = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    theta = three_gaussians.parameters(0).requires_grad_()
    losses = (three_gaussians.network(theta, x, t) - target).square()
    expected = torch.stack([torch.autograd.grad(loss, theta, retain_graph=True)[0] for loss in losses])
    torch.testing.assert_close(batches.sample_gradients(x, target, t), expected)


def test_the_variance_of_one_sample_by_monte_carlo_over_the_same_twelve() -> None:
    c = get_path("linear").at(batches._times(gauss_rules.legendre_on(0.0, 1.0, 3)[0][:, None], "statement")[:, 0])
    rows, weights = [], []
    for t, alpha, sigma, weight in zip(c.t, c.alpha, c.sigma, gauss_rules.legendre_on(0.0, 1.0, 3)[1], strict=True):
        for z in (-0.5, 1.5):
            for eps in (-1.0, 1.0):
                x = (alpha * z + sigma * eps)[None]
                rows.append(batches.sample_gradients(x, torch.full_like(x, z - eps), t)[0])
                weights.append(float(weight) / 4)
    covariance = np.cov(torch.stack(rows).numpy().T, aweights=weights, ddof=0)
    assert batches.gradient_variance(1) == pytest.approx(np.trace(covariance), rel=1e-12)


@pytest.mark.parametrize(("variant", "low", "high"), [(batches.SHARED, -0.95, -0.5), (batches.STRATIFIED, -2, -1.01)])
def test_other_drawings_have_other_slopes(variant: str, low: float, high: float) -> None:
    variance = partial(batches.gradient_variance, variant=variant)
    assert low < math.log2(variance(2) / variance(1)) < high


def test_sparse_noise_by_its_own_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(100_000, generator=generator) * (torch.rand(100_000, generator=generator) > noise.RATE)
    at = torch.tensor([-1.0, -1e-9, 0.0, 0.7], dtype=torch.float64)
    measured = (drawn[:, None] <= at).double().mean(0)
    torch.testing.assert_close(measured, noise.sparse_cdf(at, noise.RATE), rtol=0, atol=0.006)
