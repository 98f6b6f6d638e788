"""What is read of small losses of real data: roles, forms, constants, and who depends on whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from reproflow.auditing.audit import audit
from reproflow.auditing.continuous.instrument import read
from reproflow.auditing.reading import Reading, Subject

SHAPE = (3, 4, 4)


def reading(loss, shape: tuple[int, ...] = SHAPE, **more) -> Reading:
    return read(Subject(loss, shape, 16, **more))


def ids(found: Reading) -> set[str]:
    return {each.id for each in found.findings}


def flow(x1):
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = t.view(-1, 1, 1, 1)
    return t, s, s * x1 + (1 - s) * eps, eps


def squares(error):
    return error.square().flatten(1).sum(1)


def test_a_plain_loss_is_read_to_the_last_digit() -> None:
    """State, target, coefficient 1, law, and who is who."""

    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        return squares(model(sample=xt, timestep=t) - (x1 - eps))

    found = reading(loss)
    assert {each.name: each.role for each in found.arguments} == {"sample": "state", "timestep": "time"}
    assert [each.role for each in found.draws] == ["time", "noise"]
    assert (found.form.form, found.form.reduction, found.coupled) == ("squared", "per sample", False)
    assert found.offset == pytest.approx(0, abs=1e-6)
    levels = found.measured
    assert np.abs(levels.A + levels.B - 1).max() < 1e-6
    assert np.abs(levels.A - levels.given).max() < 1e-6
    assert np.abs(levels.a - 1).max() < 1e-5
    assert np.abs(levels.b + 1).max() < 1e-5
    assert np.abs(levels.c - 1).max() < 1e-5
    assert np.abs(levels.law - levels.A).max() < 1e-6
    assert len(levels.law) >= 160
    assert levels.law[0] < 2e-3
    assert levels.law[-1] > 1 - 2e-3


@pytest.mark.parametrize("names", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_range_of_the_data_is_the_stated_one(names: bool) -> None:
    """In which the loss is called, and of which the offset and the names are."""
    seen = []

    def loss(model, x1):
        seen.append((float(x1.min()), float(x1.max())))
        t, _, xt, eps = flow(2 * x1 - 1)
        return mse_loss(model(xt, t), 2 * x1 - 1 - eps)

    data = (0.0, 1.0)
    found = audit(loss, SHAPE, batch=16, data=data) if names else None
    read_now = reading(loss, data=data) if found is None else found.reading
    assert 0 <= seen[0][0] < 0.1
    assert 0.9 < seen[0][1] <= 1
    assert read_now.offset == pytest.approx(-0.5, abs=1e-5)
    if found is not None:
        assert found.identification.path["name"] == "linear"
        assert found.identification.target["name"] == "x1 - eps"


def other_form(form):
    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        return form(model(xt, t), x1 - eps)

    return loss


def adaptive(answer, target):
    error = squares(answer - target)
    return (error / (error.detach() + 1e-3) ** 0.75).mean()


@pytest.mark.parametrize(
    ("form", "name", "words"),
    [
        pytest.param(lambda y, target: huber_loss(y, target, delta=0.1), "huber", "delta = 0.1.", id="huber"),
        pytest.param(l1_loss, "l1", "absolute errors", marks=pytest.mark.slow, id="absolute"),
        pytest.param(adaptive, "other", "as (error^2 + c)^-0.75", marks=pytest.mark.slow, id="adaptive"),
    ],
)
def test_a_loss_that_is_no_square_is_told_by_its_profile(form, name: str, words: str) -> None:
    """And its target is read all the same."""
    found = reading(other_form(form))
    (finding,) = [each for each in found.findings if each.id == "not-affine"]
    assert words in finding.text
    assert found.form.form == name
    assert np.abs(found.measured.a - 1).max() < 1e-4
    assert np.abs(found.measured.b + 1).max() < 1e-4
    if name == "huber":
        assert np.ptp(found.measured.c) < 1e-2 * found.measured.c.max()


def state_of_another_answer(model, x1):
    t, s, xt, eps = flow(x1)
    with torch.no_grad():
        guess = model(xt, t)
    return mse_loss(model(xt + s * guess, t), x1 - eps)


def curved_noise(model, x1):
    t, s, _, eps = flow(x1)
    return mse_loss(model(s * x1 + (1 - s) * eps**3, t), x1)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "finding"), [(state_of_another_answer, "bootstrapped"), (curved_noise, "noise-law")])
def test_states_that_are_no_sum_of_data_and_noise(loss, finding: str) -> None:
    found = ids(reading(loss))
    assert finding in found
    assert "state-not-linear" not in found


def test_a_coin_that_decides_what_is_drawn_next_is_control() -> None:
    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        coin = torch.rand(())
        if coin < 0.5:
            torch.rand(3)
        return mse_loss(model(xt, t), x1 - eps)

    assert [each.role for each in reading(loss).draws][2] == "control"


def test_weights_that_are_drawn_do_not_blur_the_levels() -> None:
    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        return ((torch.rand(len(x1)) + 0.5) * squares(model(xt, t) - (x1 - eps))).sum()

    found = reading(loss)
    assert ids(found) == {"weight-random"}
    assert np.ptp(found.measured.c) < 1e-4 * found.measured.c.max()


def test_a_label_is_not_the_time() -> None:
    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        return mse_loss(model(xt, torch.randint(0, 10, (len(x1),)), t), x1 - eps)

    found = reading(loss)
    assert {each.name: each.role for each in found.arguments} == {"arg0": "state", "arg1": "other", "arg2": "time"}
    assert [each.role for each in found.draws] == ["time", "noise", "conditioning"]


def test_antithetic_noise_has_one_sign() -> None:
    """Its second half is the first one turned."""

    def loss(model, x1):
        t, half = torch.rand(len(x1)), torch.randn_like(x1[: len(x1) // 2])
        eps, s = torch.cat([half, -half]), t.view(-1, 1, 1, 1)
        return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)

    levels = reading(loss).measured
    assert np.abs(levels.A + levels.B - 1).max() < 1e-5
    assert np.abs(levels.b + 1).max() < 1e-4


def test_uniform_noise_is_brought_to_variance_1() -> None:
    def loss(model, x1):
        t, eps = torch.rand(len(x1)), torch.rand_like(x1)
        s = t.view(-1, 1, 1, 1)
        return mse_loss(model(s * x1 + (1 - s) * eps, t), x1)

    levels = reading(loss).measured
    assert np.abs(levels.A + np.sqrt(12) * levels.B - 1).max() < 1e-5


def test_samples_of_two_numbers_are_read_together() -> None:
    def loss(model, x1):
        t, eps = torch.rand(len(x1), 1), torch.randn_like(x1)
        return mse_loss(model(t * x1 + (1 - t) * eps, t), x1 - eps)

    levels = reading(loss, (2,)).measured
    assert np.abs(levels.A + levels.B - 1).max() < 1e-5


def test_a_large_target_is_not_rounded_away() -> None:
    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        return squares(model(xt, t) - 1e5 * eps)

    levels = reading(loss).measured
    assert np.abs(levels.b / 1e5 - 1).max() < 1e-5
    assert np.abs(levels.c - 1).max() < 1e-5


def test_patches_of_a_turned_state_are_put_in_order() -> None:
    """The state is -(t x1 + (1 - t) eps)."""

    def patches(x):
        return x.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        return mse_loss(model(-patches(xt), t), patches(x1 - eps))

    levels = reading(loss).measured
    assert np.abs(np.abs(levels.A) + np.abs(levels.B) - 1).max() < 1e-5


def shuffled(order):
    def loss(model, x1):
        t, eps = torch.rand(len(x1)), torch.randn_like(x1)
        eps, s = eps[order(x1, eps)], t.view(-1, 1, 1, 1)
        return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)

    return loss


def nearest(x1, eps):
    """The pairs of least squares."""
    cost = torch.cdist(x1.flatten(1), eps.flatten(1)).square()
    return torch.as_tensor(linear_sum_assignment(cost.numpy())[1])


def test_pairs_that_are_closer_than_chance_are_a_transport_plan() -> None:
    close, any_order = (reading(shuffled(order)) for order in (nearest, lambda x1, eps: torch.randperm(len(x1))))
    assert ids(close) == ids(any_order) == {"batch-coupled"}
    assert "optimal transport" in close.findings[0].text
    assert "optimal transport" not in any_order.findings[0].text


def test_of_two_graded_calls_the_weightier_is_read() -> None:
    def loss(model, x1):
        total = 0
        for weight in (100, 1):
            t, _, xt, eps = flow(x1)
            total = total + weight * squares(model(xt, t) - (x1 - eps)).sum()
        return total

    found = reading(loss)
    assert ids(found) == {"several-heads"}
    assert (found.calls, found.graded, found.coupled) == (2, 0, True)
    assert np.abs(found.measured.c / 100 - 1).max() < 1e-5


def test_a_weight_of_the_state_is_legal() -> None:
    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        return (squares(model(xt, t) - (x1 - eps)) / (1 + squares(xt))).sum()

    assert ids(reading(loss)) == set()


def test_a_weight_of_another_input_of_the_network_is_legal() -> None:
    def loss(model, x1):
        t, _, xt, eps = flow(x1)
        bright = (x1.flatten(1).mean(1) > 0).float()
        return ((1 + 2 * bright) * squares(model(xt, t, label=bright) - (x1 - eps))).sum()

    assert ids(reading(loss)) == set()
