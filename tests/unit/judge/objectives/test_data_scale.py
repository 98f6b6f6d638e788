"""Data of another scale: what moves, by integrals of their own, and what must not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judged_objectives import quick_objective
from scipy import integrate, optimize

from reproflow import judge
from reproflow.foundation.errors import UsageError
from reproflow.judge.objectives import restatements
from reproflow.theory import bounds

S = 0.5


def denoiser_error(lam: float, s: float) -> float:
    """The eps error of the best linear denoiser of N(0, s²), by minimising it: alpha² = SNR, sigma = 1."""
    alpha = math.exp(lam / 2)

    def error(k: float) -> float:
        """E (eps - k x)² for x = alpha s z + eps."""
        return (1 - k) ** 2 + (k * alpha * s) ** 2

    return float(optimize.minimize_scalar(error, tol=1e-14).fun)


def quartiles(s: float) -> list[float]:
    """Where a quarter, a half and three quarters of the ELBO's loss lie, by scipy's quadrature."""
    low, high = (2 * math.log(t / (1 - t)) for t in (1e-4, 1 - 1e-4))
    lam = np.linspace(low, high, 4001)
    rate = np.array([denoiser_error(each, s) for each in lam])
    below = integrate.cumulative_simpson(rate, x=lam, initial=0)
    return np.interp([0.25, 0.5, 0.75], below / below[-1], lam).tolist()


def test_the_loss_moves_with_the_data_and_nothing_else() -> None:
    plain, scaled = judge.weighting("elbo"), judge.weighting("elbo", sigma_data=S)
    assert scaled.per_log_snr["quartiles"]["loss"] == pytest.approx(quartiles(S), abs=2e-3)
    assert plain.per_log_snr["quartiles"]["loss"] == pytest.approx(quartiles(1.0), abs=2e-3)
    assert scaled.per_log_snr["quartiles"]["loss"] != pytest.approx(quartiles(1.0), abs=0.1)
    for key in ("admissible", "identified", "bound", "canonical", "gradient", "variance", "equivalent"):
        assert getattr(scaled, key) == getattr(plain, key), key
    assert scaled.per_log_snr["quartiles"]["share"] == plain.per_log_snr["quartiles"]["share"]
    assert scaled.sigma_data["shift"] == pytest.approx(2 * math.log(S))
    assert plain.sigma_data is None


@pytest.mark.parametrize("scale", [0.25, 0.5, 3.0])
@pytest.mark.parametrize(
    ("weighting", "time"), [("snr", "uniform"), ("elbo", "uniform"), ("snr", "logit_normal"), ("edm", "uniform")]
)
@pytest.mark.default_cases(3)
def test_it_is_unit_data_on_a_path_of_another_scale(weighting: str, time: str, scale: float) -> None:
    """x1 = s z: alpha is s times as large for z, lam is 2 log s more, and so are the quartiles of the loss.

    A weighting of lam is turned into one of lam - 2 log s; snr is 1 on eps, whatever the scale.
    """
    shift = 2 * math.log(scale)
    scaled = loss_quartiles({"spec": weighting, "time": time}, scale)
    own = {
        "snr": {"spec": "expr:1", "target": "eps"},
        "elbo": {"spec": "elbo"},
        "edm": {
            "spec": f"expr:exp(-0.5*((lam - {shift} - 2.4)/2.4)**2)*(exp({shift} - lam) + 0.25)",
            "target": "canonical",
        },
    }
    unit = loss_quartiles({**own[weighting], "path": f"expr:{scale}*t, 1 - t", "time": time}, 1.0)
    assert scaled == pytest.approx(np.array(unit) - shift, abs=1e-3)
    assert loss_quartiles({"spec": weighting, "time": time}, 1.0) != pytest.approx(scaled, abs=0.02)


def loss_quartiles(parts: dict[str, str], scale: float) -> list[float]:
    subject = quick_objective(**parts)
    bound = bounds.analyse(subject.w, subject.lam, points=20_001)
    return restatements.per_log_snr(subject, bound, {}, scale)["quartiles"]["loss"]


def test_unit_data_change_nothing() -> None:
    assert judge.weighting("fm", sigma_data=1.0).per_log_snr == judge.weighting("fm").per_log_snr


@pytest.mark.parametrize("path", ["linear", "edm"])
@pytest.mark.default_cases(1)
def test_the_weight_of_edm_is_one_on_its_network(path: str) -> None:
    """lambda(r) = (r² + s²)/(r s)² on the error of x1, r = sigma/alpha, is 1 on F (Karras et al. 2022, table 1)."""
    weight = f"expr:(sigma**2/alpha**2 + {S**2})/(sigma/alpha*{S})**2"
    found = judge.weighting(weight, path=path, target="x1", sigma_data=S)
    values = [each for each in found.targets["preconditioned"] if each is not None]
    assert values == pytest.approx(np.ones(len(values)), rel=1e-9)
    other = judge.weighting(weight, path=path, target="x1", sigma_data=2 * S)
    assert other.targets["preconditioned"] != pytest.approx(found.targets["preconditioned"], rel=1e-2)


def test_of_unit_data_the_network_predicts_v() -> None:
    found = judge.weighting("uniform", path="cosine", sigma_data=1.0)
    assert found.targets["preconditioned"] == pytest.approx(found.targets["v"], rel=1e-9)


def test_edm_with_another_scale_of_its_own_warns() -> None:
    [warning] = judge.weighting("edm", sigma_data=1.0).warnings
    assert "edm:sigma_data=1" in warning
    assert judge.weighting("edm", sigma_data=0.5).warnings == []
    assert judge.weighting("edm").warnings == []


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_what_is_no_scale(scale: float) -> None:
    with pytest.raises(UsageError, match="no standard deviation"):
        judge.weighting("elbo", sigma_data=scale)


def test_tokens_have_no_scale() -> None:
    with pytest.raises(UsageError, match="Gaussian noise"):
        judge.weighting("elbo", "masked", sigma_data=2.0)
