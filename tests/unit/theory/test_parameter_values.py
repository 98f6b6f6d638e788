"""Parameters whose numbers float64 does not hold are refused, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reproflow import judge
from reproflow.foundation import config, registry
from reproflow.foundation.errors import UsageError
from reproflow.learning import preflight
from reproflow.theory import parameter_values
from reproflow.theory.components import resolve
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

HUGE = "edm:rho=1e-308"
MESSAGE = "path 'edm:rho=1e-308': its parameters make a number that float64 does not hold"
DOORS: dict[str, Callable[[], object]] = {
    "the path itself": lambda: get_path(HUGE),
    "its judgement": lambda: judge.path(HUGE),
    "an objective": lambda: judge.weighting("uniform", path=HUGE),
    "what one is compared with": lambda: judge.weighting("uniform", against=judge.Against("uniform", path=HUGE)),
    "a chain of its levels": lambda: judge.chain("uniform", levels=4, path=HUGE),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_path_is_refused(door: str) -> None:
    with pytest.raises(UsageError, match=MESSAGE):
        DOORS[door]()


def test_a_configuration_is_refused_before_the_first_job() -> None:
    experiment = {"name": "one", "process": "gaussian", "dataset": "eight_gaussians", "paths": [HUGE], "seeds": [0]}
    with pytest.raises(UsageError, match=MESSAGE):
        preflight.admit_config(config.check({"name": "t", "experiments": [experiment | {"weightings": ["uniform"]}]}))


def fails(*arguments: object) -> None:
    raise OverflowError


@pytest.mark.parametrize("kind", parameter_values.ARGUMENTS)
def test_each_kind_is_asked(kind: str) -> None:
    with pytest.raises(UsageError, match=rf"^{kind} 'a:b=1': .* \(OverflowError\)\.$"):
        parameter_values.check(kind, "a:b=1", fails)
    parameter_values.check("target", "a:b=1", fails)


@pytest.mark.parametrize("kind", parameter_values.ARGUMENTS)
def test_each_that_is_registered_passes_at_its_own_parameters(kind: str) -> None:
    """Said out loud, they are called; a kind's functions take the numbers that are told here."""
    for entry in registry.entries(kind, "gaussian"):
        said = ",".join(f"{name}={value}" for name, value in entry.params.items())
        resolve(kind, f"{entry.name}:{said}" if said else entry.name)


def test_others_pass() -> None:
    for made in (get_path("edm:rho=0.1"), get_time_law("mode:s=0.1"), get_weighting("min_snr:gamma=1e300")):
        assert made.params
