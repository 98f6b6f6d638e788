"""Objectives against closed forms worked out by hand, and what `judge.objective` makes of them."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from reproflow import judge
from reproflow.foundation.errors import UsageError
from reproflow.theory.divergences import get_divergence
from reproflow.theory.equivalence import proportional
from reproflow.theory.objective import LAM, Objective, canonical, get_objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

T = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)


def flow_matching(prediction: str = "") -> Objective:
    """A unit weight on the velocity of the linear path under uniform time, or on another prediction."""
    return Objective(get_path("linear"), get_time_law("uniform"), get_weighting("uniform"), prediction)


def close(computed: Tensor, expected: Tensor, rtol: float = 1e-12) -> None:
    torch.testing.assert_close(computed, expected, rtol=rtol, atol=0)


class TestClosedForms:
    """On the linear path lam = 2 log(t/(1-t)), dlam/dt = 2/(t(1-t)), and dv = -deps/t at fixed x."""

    def test_flow_matching(self) -> None:
        objective = flow_matching()
        assert (objective.prediction, objective.process, objective.loss) == ("velocity", "gaussian", None)
        close(objective.coefficient(T), T**-2)
        close(objective.weight(T), (1 - T) / T)
        # w = exp(-lam/2), so its slope is -w/2.
        close(objective.weight_slope(T), -0.5 * (1 - T) / T)

    @pytest.mark.parametrize(
        ("prediction", "coefficient"),
        [
            ("x1", ((1 - T) / T) ** 2),  # dx1 = -(sigma/alpha) deps
            ("eps", torch.ones_like(T)),
            ("score", (1 - T) ** -2),
            ("v", (T + (1 - T) ** 2 / T) ** 2),  # dv = (alpha + sigma²/alpha) deps
        ],
    )
    def test_another_prediction_is_another_loss(self, prediction: str, coefficient: Tensor) -> None:
        """A factor 1 on another prediction; the velocity's own weight, the control, is no multiple of it."""
        objective = flow_matching(prediction)
        assert objective.weighting.on == objective.prediction == prediction
        close(objective.coefficient(T), coefficient)
        close(objective.weight(T), coefficient * T * (1 - T))
        assert proportional(objective.signature(), flow_matching().signature()) is None

    def test_a_law_multiplies_the_weight_and_not_the_coefficient(self) -> None:
        objective = get_objective("linear", "u_squared", "uniform")
        close(objective.coefficient(T), T**-2)
        close(objective.weight(T), 0.5 * T.rsqrt() * (1 - T) / T)

    def test_a_law_divides_the_coefficient_of_a_canonical_weighting(self) -> None:
        objective = get_objective("linear", "u_squared", "fm")
        assert objective.prediction == "canonical"
        close(objective.weight(T), (1 - T) / T)
        close(objective.coefficient(T), (1 - T) / T / (T * (1 - T)) / (0.5 * T.rsqrt()))

    def test_masked_cross_entropy(self) -> None:
        """w = pi c_CE (1-alpha)/alpha'; with lam = log(t/(1-t)) and w = 1 - t, dw/dlam = -t(1-t)."""
        objective = get_objective("linear", "uniform", "simple", "masked")
        assert (objective.prediction, objective.process) == ("ce", "masked")
        close(objective.coefficient(T), torch.ones_like(T))
        close(objective.weight(T), 1 - T)
        close(objective.weight_slope(T), -T * (1 - T))

    def test_by_log_snr(self) -> None:
        close(flow_matching().signature(), torch.exp(-0.5 * LAM), 1e-9)
        lam = torch.tensor([-2.0, 0.5], dtype=torch.float64)
        close(flow_matching().at_log_snr(lam), torch.exp(-0.5 * lam), 1e-9)
        close(get_objective("cosine", "uniform", "uniform").at_log_snr(lam), math.pi / 2 * torch.exp(-0.5 * lam), 1e-9)

    def test_out_of_the_paths_reach_it_is_no_number(self) -> None:
        assert get_objective("vp", "uniform", "elbo").at_log_snr(torch.tensor([-1000.0])).isnan().all()


class TestConstruction:
    def test_canonical_is_the_weight(self) -> None:
        objective = get_objective("cosine", "logit_normal:std=0.8", "min_snr:gamma=3")
        w = canonical(objective.path, objective.time, objective.weighting, T)
        assert torch.equal(w, objective.weight(T))

    @pytest.mark.parametrize(("process", "prediction"), [("gaussian", "ce"), ("masked", "velocity")])
    def test_a_prediction_of_another_process_is_refused(self, process: str, prediction: str) -> None:
        path, law = get_path("linear", process), get_time_law("uniform")
        with pytest.raises(UsageError, match=f"'elbo'.*{prediction!r} is not a {process} prediction"):
            Objective(path, law, get_weighting("elbo", process), prediction)

    def test_the_default_loss_is_no_divergence(self) -> None:
        assert get_objective("linear", "uniform", "fm", loss="squared").loss is None
        loss = get_objective("linear", "uniform", "uniform", loss="exponential").loss
        assert loss is not None
        assert loss.name == "exponential"

    def test_an_unknown_component_is_named(self) -> None:
        with pytest.raises(UsageError, match="linaer"):
            get_objective("linaer", "uniform", "fm")


class TestJudgement:
    @pytest.mark.parametrize(
        ("spec", "process", "path", "time", "target"),
        [
            ("min_snr:gamma=3", "gaussian", "cosine", "logit_normal", ""),
            ("uniform", "gaussian", "linear", "uniform", "eps"),
            ("expr:1/cosh(lam/2)", "gaussian", "linear", "uniform", "canonical"),
            ("simple", "masked", "linear", "u_squared", ""),
        ],
    )
    @pytest.mark.default_cases(2)
    def test_is_that_of_the_weighting(self, spec: str, process: str, path: str, time: str, target: str) -> None:
        by_spec = judge.weighting(spec, process, path, time, target or None).as_dict()
        components = get_path(path, process), get_time_law(time), get_weighting(spec, process)
        by_value = judge.objective(Objective(*components, target)).as_dict()
        assert by_value.keys() == by_spec.keys()
        for key in by_spec.keys() - {"seconds"}:
            assert by_value[key] == by_spec[key], key

    def test_options_are_the_same(self) -> None:
        options = {"t_range": (0.1, 0.9), "lam": (-1.0, 1.0), "tokens": 4, "time_agnostic": True}
        by_spec = judge.weighting("simple", "masked", **options).as_dict()
        by_value = judge.objective(get_objective("linear", "uniform", "simple", "masked"), **options).as_dict()
        assert by_value | {"seconds": 0.0} == by_spec | {"seconds": 0.0}

    def test_another_loss_has_no_canonical_weight(self) -> None:
        objective = dataclasses.replace(flow_matching(), loss=get_divergence("exponential"))
        with pytest.raises(UsageError, match="'exponential'"):
            judge.objective(objective)
