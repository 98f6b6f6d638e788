"""`--sigma-data` as users give it: the right scale, the wrong one, wrong units, what is no scale, data without one.

EDM's weighting at a scale s, on the error of x1, is 1 on EDM's network (Karras et al. 2022, table 1) where the
data has that scale, and nowhere else.
"""

from __future__ import annotations

import json
import math

import pytest
from judged_objectives import quick_objective

from reproflow import cli, judge
from reproflow.foundation.errors import UsageError
from reproflow.judge.objectives import data_scale
from reproflow.theory.objective import get_objective

RATIO = "sigma**2/alpha**2"


def of_edm(s: float) -> str:
    """lambda(r) = (r² + s²)/(r s)² on the error of x1."""
    return f"expr:({RATIO} + {s**2})/({RATIO}*{s**2})"


def on_network(spec: str, path: str, scale: float, lam: tuple[float, ...] = (-6.0, -1.0, 0.0, 3.0)) -> list[float]:
    """The factor on the error of EDM's network for data of a scale."""
    return data_scale.on_targets(quick_objective(spec, path=path, target="x1"), lam, scale)["preconditioned"]


@pytest.mark.parametrize("path", ["linear", "edm", "cosine"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 127.5])
def test_the_right_scale(scale: float, path: str) -> None:
    """Pixels in [-1, 1], standardised ones, and pixels from 0 to 255."""
    assert on_network(of_edm(scale), path, scale) == pytest.approx([1.0] * 4, rel=1e-9)


@pytest.mark.parametrize(("own", "data"), [(0.5, 1.0), (1.0, 0.5), (0.5, 127.5), (0.5, 0.51)])
def test_another_scale_than_the_data_has(own: float, data: float) -> None:
    """lambda c_out² = s²(r² + S²)/(S²(r² + s²)) for data of scale s and a weight of scale S."""
    lam = (-4.0, 0.0, 4.0)
    squared = [math.exp(-each) for each in lam]
    expected = [data**2 * (r + own**2) / (own**2 * (r + data**2)) for r in squared]
    assert on_network(of_edm(own), "edm", data, lam) == pytest.approx(expected, rel=1e-9)
    assert max(abs(each - 1) for each in expected) > 0.01


def test_verdicts_do_not_know_the_data() -> None:
    wrong, right = (judge.weighting(of_edm(0.5), path="edm", target="x1", sigma_data=s) for s in (127.5, 0.5))
    for key in ("admissible", "identified", "bound", "gradient"):
        assert getattr(wrong, key) == getattr(right, key), key
    assert wrong.targets["preconditioned"] != pytest.approx(right.targets["preconditioned"], rel=0.1)


@pytest.mark.parametrize(
    ("spec", "data", "cure"),
    [
        ("edm", 1.0, "edm:sigma_data=1 "),
        ("edm", 127.5, "edm:sigma_data=127.5 "),
        ("edm_monotone", 0.25, "edm_monotone:sigma_data=0.25 "),
        ("edm:sigma_data=1", 0.5, "edm:sigma_data=0.5 "),
        ("edm", 0.50001, "edm:sigma_data=0.50001 "),
        ("edm", 0.5, None),
        ("edm", 0.1 + 0.2 + 0.2 + 1e-12, None),
        ("edm:sigma_data=16", 16.0, None),
        ("elbo", 3.0, None),
    ],
)
def test_the_scale_that_a_registered_weighting_has_of_its_own(spec: str, data: float, cure: str | None) -> None:
    """The warning names both with the digits that tell them apart, and its cure takes it away."""
    warned = data_scale.warnings(data, get_objective("edm", "uniform", spec))
    assert [cure in each for each in warned] == [True] * (cure is not None)
    if cure:
        assert data_scale.warnings(data, get_objective("edm", "uniform", cure.strip())) == []


def test_the_judgement_warns() -> None:
    assert judge.weighting("edm", path="edm", sigma_data=1.0).warnings
    assert judge.weighting("edm", path="edm", sigma_data=0.5).warnings == []


@pytest.mark.parametrize("scale", [0.0, -0.5, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("spec", ["edm", "elbo"])
def test_no_scale(spec: str, scale: float) -> None:
    with pytest.raises(UsageError, match=r"is no standard deviation; it must be above 0"):
        judge.weighting(spec, sigma_data=scale)


@pytest.mark.parametrize("scale", [1e200, 1e-200, 5e-324, 1e23])
def test_a_scale_beyond_numbers(scale: float) -> None:
    with pytest.raises(UsageError, match="give the data in other units"):
        judge.weighting("elbo", sigma_data=scale)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_a_scale_that_numbers_hold(scale: float) -> None:
    """All of the loss at one end: finite numbers that JSON can hold."""
    found = judge.weighting("elbo", sigma_data=scale)
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert json.loads(text)["sigma_data"]["value"] == scale
    quartiles = found.per_log_snr["quartiles"]["loss"]
    assert quartiles == sorted(quartiles)


@pytest.mark.parametrize("process", ["masked", "uniform_tokens"])
def test_tokens_have_no_scale(process: str) -> None:
    with pytest.raises(UsageError, match=f"about Gaussian noise on numbers; the process is {process}"):
        judge.weighting("elbo", process, sigma_data=0.5)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "half"])
def test_the_command_line_refuses(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "weighting", "elbo", f"--sigma-data={text}"]) == 2
    assert capfd.readouterr().out == ""
