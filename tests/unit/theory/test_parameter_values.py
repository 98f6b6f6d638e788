"""Parameters whose numbers float64 does not hold are refused, wherever they come from."""

from __future__ import annotations

import pytest

from reproflow import judge
from reproflow.foundation import config
from reproflow.foundation.errors import UsageError
from reproflow.learning import preflight
from reproflow.theory import parameter_values
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

HUGE = "edm:rho=1e-308"
MESSAGE = "path 'edm:rho=1e-308': its parameters make a number that float64 does not hold"


def test_a_path_is_refused_by_the_judge() -> None:
    with pytest.raises(UsageError, match=MESSAGE):
        judge.path(HUGE)
    with pytest.raises(UsageError, match=MESSAGE):
        judge.weighting("uniform", path=HUGE)


def test_a_configuration_is_refused_before_the_first_job() -> None:
    experiment = {"name": "one", "process": "gaussian", "dataset": "eight_gaussians", "paths": [HUGE], "seeds": [0]}
    with pytest.raises(UsageError, match=MESSAGE):
        preflight.admit_config(config.check({"name": "t", "experiments": [experiment | {"weightings": ["uniform"]}]}))


@pytest.mark.parametrize(
    "component", [get_path("edm"), get_path("edm:rho=0.1"), get_time_law("mode"), get_weighting("min_snr:gamma=1e300")]
)
def test_others_pass(component) -> None:
    parameter_values.check(component)
