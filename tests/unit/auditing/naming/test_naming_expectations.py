"""What a loss is meant to be: on the measured path unless another is stated, and told where it cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from measured_tables import linear_betas, of_betas, of_specs, quantiles, reading, table

from reproflow.auditing.expected import Expected
from reproflow.auditing.identification import Identification
from reproflow.auditing.measured_loss import MeasuredLoss
from reproflow.auditing.naming import identify


def against(measured: MeasuredLoss, expect: Expected) -> Identification:
    return identify(reading(measured), expect)


@pytest.mark.parametrize(
    ("measured", "path"),
    [
        (of_specs("cosine", target="eps"), "cosine"),
        (of_specs("vp", target="eps"), "vp"),
        (of_betas(linear_betas()), "vp"),
        (of_specs("linear", target="eps"), "linear"),
    ],
    ids=["cosine", "vp", "steps", "linear"],
)
@pytest.mark.default_cases(2)
def test_without_a_path_it_is_the_measured_one(measured: MeasuredLoss, path: str) -> None:
    """Uniform times and a level weight on eps, on each path; the linear one was taken for all of them."""
    found = against(measured, Expected("uniform", on="eps"))
    assert found.expected["verdict"] == "same"
    assert found.expected["spec"]["path"] == path
    assert "sigma_data" not in found.expected["spec"]
    other = "cosine" if path == "linear" else "linear"
    stated = against(measured, Expected("uniform", on="eps", path=other))
    assert stated.expected["verdict"] == "different"
    assert [each.id for each in stated.findings] == ["not-as-stated"]


def test_of_paths_that_carry_the_law_the_stated_times_choose() -> None:
    """Logit-normal times on the linear path: that law is stated, or the uniform one, and the path stays linear."""
    measured = of_specs("linear", "logit_normal", target="straight")
    for time, verdict in (("logit_normal", "same"), ("uniform", "different")):
        found = against(measured, Expected("uniform", on="velocity", time=time)).expected
        assert (found["verdict"], found["spec"]["path"]) == (verdict, "linear")


def bent() -> MeasuredLoss:
    """A path that preserves the variance, with times whose law has a name on no path."""
    u = quantiles()
    angle = 0.5 * np.pi * (0.6 * u + 0.4 * u**4)
    return table(np.sin(angle), np.cos(angle), 0.0, 1.0, 1.0, u, u)


def test_a_path_without_a_name_must_be_stated() -> None:
    found = against(bent(), Expected("uniform", on="eps"))
    assert found.expected["verdict"] == "cannot"
    assert "give --path" in found.expected["reason"]
    assert not [each for each in found.findings if each.id == "not-as-stated"]
    assert against(bent(), Expected("uniform", on="eps", path="cosine")).expected["verdict"] == "different"


def test_a_weight_of_the_log_snr_needs_no_path() -> None:
    assert against(bent(), Expected("elbo")).expected["verdict"] == "different"
