"""A formula for the SNR against a path: right ones in several forms, and the mistakes that are made."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import schema

from reproflow import judge
from reproflow.foundation.errors import UsageError


@pytest.mark.parametrize(
    ("path", "process", "formula"),
    [
        ("linear", "gaussian", "expr:(t/(1 - t))**2"),
        ("cosine", "gaussian", "expr:sin(pi*t/2)**2/cos(pi*t/2)**2"),
        ("ve", "gaussian", "expr:(50*exp(t*log(0.01/50)))**-2"),
        ("linear", "masked", "expr:t/(1 - t)"),
    ],
)
def test_right_ones(path: str, process: str, formula: str) -> None:
    found = judge.path(path, process, snr=formula)
    assert found.snr["verdict"] == "supported"
    assert found.snr["relative"] <= 1e-8
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("path", "formula", "words"),
    [
        ("linear", "expr:t/(1 - t)", "its square root, alpha/sigma"),
        ("linear", "expr:(1 - t)/t", "the inverse of its square root, sigma/alpha"),
        ("cosine", "expr:cos(pi*t/2)**2/sin(pi*t/2)**2", "its inverse, noise over data"),
        ("linear", "expr:2*t**2/(1 - t)**2", "2 times it"),
        ("linear", "expr:log(t**2/(1 - t)**2)", "its logarithm, lam"),
        ("cosine", "expr:sin(pi*t/2)**2", "SNR/(1 + SNR), the share of the data"),
        ("polynomial", "expr:((1-t)**2/(1 - (1-t)**2))**2", "that of the path in reverse, with t and 1 - t exchanged"),
        ("linear", "expr:(t/(1 - t))**4", "its square"),
        ("cosine", "expr:(t/(1 - t))**2", None),
    ],
)  # fmt: skip
@pytest.mark.default_cases(2)
def test_wrong_ones_and_what_they_are(path: str, formula: str, words: str | None) -> None:
    found = judge.path(path, snr=formula)
    assert (found.snr["verdict"], found.snr["is"], found.exit_code) == ("refuted", words, 3)
    schema("check-path").validate(found.as_dict())


@pytest.mark.parametrize(
    "factor",
    [
        "(1 + 5e-8)",
        "(1 + 5e-6*t)",
        "where(t < 1e-5, 2, 1)",
        "where(1 - t < 1e-5, 2, 1)",
        "where(t < 0.3, log(t - 0.3), 1)",
        "where(abs(t - 0.5) < 0.001, 1.01, 1)",
    ],
)
@pytest.mark.default_cases(2)
def test_what_is_nearly_right_is_wrong(factor: str) -> None:
    """By a little, near an end, on a stretch, or no number there: all are computed in double precision."""
    found = judge.path("linear", snr=f"expr:{factor}*(t/(1 - t))**2")
    assert (found.snr["verdict"], found.exit_code) == ("refuted", 3)


def test_in_the_users_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "def path(t): return 1 - t, t\ndef snr(t): return (1 - t)**2 / t**2\ndef rough(t): return snr(t).float()\n"
    (tmp_path / "own.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    found = judge.path("own.py:path", time_runs="data-to-noise", snr="own.py:snr")
    assert (found.snr["verdict"], found.exit_code) == ("supported", 0)
    rough = judge.path("own.py:path", time_runs="data-to-noise", snr="own.py:rough")
    assert (rough.snr["verdict"], rough.exit_code) == ("inconclusive", 5)


@pytest.mark.parametrize(
    ("formula", "words"),
    [("snr", "write the formula"), ("expr:lam", "unknown 'lam'"), ("nowhere.py:f", "no file nowhere.py")],
)
def test_what_is_no_formula(formula: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        judge.path("linear", snr=formula)


def test_without_a_formula_the_answer_is_as_ever() -> None:
    assert judge.path("vp").snr is None
    assert judge.path("vp").exit_code == 3
    assert judge.path("vp", snr="expr:1/(exp(9.95*(1-t)**2 + 0.1*(1-t)) - 1)").exit_code == 0
