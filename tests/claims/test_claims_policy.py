"""The policy: every verdict branch, controls with and without effect, the exit code; nothing that raises is lost."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from reproflow.claims import policy
from reproflow.claims.policy import Context, Measurement, claim, decide, gate, row_ok, run_claim
from reproflow.foundation import registry
from reproflow.foundation.errors import InterruptedRun, UndecidedError, UsageError

NAN = math.nan
INF = math.inf


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILT_IN", registry.Registry())


@pytest.mark.parametrize(
    ("kind", "measurement", "verdict"),
    [
        ("exact", Measurement(0.1), "supported"),
        ("exact", Measurement(0.11), "refuted"),
        ("exact", Measurement(INF), "refuted"),
        ("exact", Measurement(NAN), "inconclusive"),
        ("identity", Measurement(0.0, 100, -0.09, 0.09), "supported"),
        ("identity", Measurement(0.0, 100, -0.1, 0.1), "supported"),
        ("identity", Measurement(0.0, 100, -0.11, 0.05), "inconclusive"),
        ("identity", Measurement(0.0, 100, -0.05, 0.11), "inconclusive"),
        ("identity", Measurement(0.5, 100, 0.11, 0.9), "refuted"),
        ("identity", Measurement(-0.5, 100, -0.9, -0.11), "refuted"),
        ("identity", Measurement(0.5, 100, 0.05, 0.9), "inconclusive"),
        ("identity", Measurement(0.0, 29, -0.01, 0.01), "inconclusive"),
        ("identity", Measurement(0.0, 100), "inconclusive"),
        ("identity", Measurement(NAN, 100, 0.0, 0.0), "inconclusive"),
        ("bound", Measurement(-5.0), "supported"),
        ("bound", Measurement(0.2), "refuted"),
        ("bound", Measurement(-1.0, 100, -2.0, 0.1), "supported"),
        ("bound", Measurement(-1.0, 100, -2.0, 0.2), "inconclusive"),
        ("bound", Measurement(0.5, 100, 0.2, 0.8), "refuted"),
        ("bound", Measurement(0.5, 5, 0.2, 0.8), "inconclusive"),
        ("textual", Measurement(NAN, detail="a typo"), "not_applicable"),
    ],
)
def test_verdicts(kind: str, measurement: Measurement, verdict: str) -> None:
    assert decide(kind, measurement, 0.1)[0] == verdict


def test_reasons_say_why_it_is_undecided() -> None:
    assert "29 samples" in decide("identity", Measurement(0.0, 29, 0.0, 0.0), 0.1)[1]
    assert "no interval" in decide("identity", Measurement(0.0, 99), 0.1)[1]
    assert "not a number" in decide("exact", Measurement(NAN), 0.1)[1]


def register(values: dict[str, Any], **meta: Any) -> registry.Entry:
    """A claim "X-1" whose variants return, or raise, the values given."""
    options: dict[str, Any] = {"title": "a title", "source": "002", "kind": "exact", "tolerance": 0.1, **meta}
    options.setdefault("controls", tuple(name for name in values if name != "statement"))

    @claim("X-1", **options)
    def statement(case: str, variant: str, context: Context) -> Measurement:
        """A statement."""
        value = values[variant]
        if isinstance(value, BaseException):
            raise value
        return value(case) if callable(value) else Measurement(value)

    return registry.get("claim", "X-1", "any")


def test_a_true_statement_with_an_effective_control_is_supported() -> None:
    (row,) = run_claim(register({"statement": 0.0, "wrong": 3.0}))
    assert row["verdict"] == "supported"
    assert (row["control"], row["control_verdict"]) == ("wrong", "refuted")
    assert "wrong: refuted at 3" in row["reason"]
    assert row_ok(row)
    assert gate([row]) == 0


@pytest.mark.parametrize(("control", "verdict"), [(0.05, "supported"), (NAN, "inconclusive")])
def test_a_control_without_effect_takes_the_verdict_away(control: float, verdict: str) -> None:
    (row,) = run_claim(register({"statement": 0.0, "good": 1.0, "weak": control, "fine": 2.0}))
    assert (row["verdict"], row["control_verdict"]) == ("inconclusive", verdict)
    assert row["control"] == "good;weak;fine"
    assert "test has no power" in row["reason"]
    assert gate([row]) == 3


def test_a_control_that_raises_has_no_effect_either() -> None:
    (row,) = run_claim(register({"statement": 0.0, "wrong": ZeroDivisionError("by zero")}))
    assert row["verdict"] == "inconclusive"
    assert "ZeroDivisionError: by zero" in row["reason"]
    assert gate([row]) == 3


def test_a_false_statement_is_refuted_and_fails_the_gate() -> None:
    (row,) = run_claim(register({"statement": 0.2, "wrong": 3.0}))
    assert row["verdict"] == "refuted"
    assert not row_ok(row)
    assert gate([row]) == 3


def test_a_statement_that_raises_is_an_inconclusive_row() -> None:
    def fails(case: str) -> Measurement:
        if case == "b":
            raise ValueError("two\n lines")
        return Measurement(0.0)

    rows = run_claim(register({"statement": fails, "wrong": 1.0}, cases=("a", "b", "c")))
    assert [row["verdict"] for row in rows] == ["supported", "inconclusive", "supported"]
    assert rows[1]["reason"] == "ValueError: two lines"
    assert rows[1]["control_verdict"] == ""
    assert gate(rows) == 5


def test_cases_that_raise_are_an_inconclusive_row() -> None:
    def cases() -> tuple[str, ...]:
        raise KeyError("gone")

    (row,) = run_claim(register({"statement": 0.0, "wrong": 1.0}, cases=cases))
    assert row["verdict"] == "inconclusive"
    assert "KeyError" in row["reason"]


def test_what_a_claim_lacks_is_said_plainly_and_an_interrupt_passes_through() -> None:
    (row,) = run_claim(register({"statement": UndecidedError("needs a network"), "wrong": 1.0}))
    assert row["reason"] == "needs a network"
    with pytest.raises(InterruptedRun):
        run_claim(register_again(InterruptedRun("stopped")))


def forget() -> None:
    registry.BUILT_IN._entries.clear()


def register_again(error: BaseException) -> registry.Entry:
    forget()
    return register({"statement": error, "wrong": 1.0})


def test_a_misprint_is_expected_refuted_and_its_control_supported() -> None:
    expected = {"printed": "refuted"}

    def controls(case: str) -> tuple[str, ...]:
        return ("right form",) if case == "printed" else ("printed form",)

    values = {
        "statement": lambda case: Measurement(5.0 if case == "printed" else 0.0),
        "right form": 0.0,
        "printed form": 5.0,
    }
    rows = run_claim(register(values, cases=("printed", "corrected"), expected=expected, controls=controls))
    assert [(r["verdict"], r["expected"], r["control_verdict"]) for r in rows] == [
        ("refuted", "refuted", "supported"),
        ("supported", "supported", "refuted"),
    ]
    assert gate(rows) == 0
    forget()
    # A checker that refutes whatever it sees must not confirm the misprint.
    (row,) = run_claim(register({"statement": 5.0, "right form": 5.0}, cases=("printed",), expected=expected))
    assert row["verdict"] == "inconclusive"
    assert gate([row]) == 3


def test_textual_claims_need_no_control() -> None:
    entry = register({"statement": lambda case: Measurement(NAN, detail="a typo")}, kind="textual", tolerance=None)
    (row,) = run_claim(entry)
    assert (row["verdict"], row["expected"], row["reason"]) == ("not_applicable", "not_applicable", "a typo")
    assert (row["statistic"], row["tolerance"]) == (None, None)
    assert gate([row]) == 0


@pytest.mark.parametrize(
    "meta", [{"controls": ()}, {"tolerance": None}, {"kind": "exakt"}, {"tier": "slow"}], ids=lambda m: next(iter(m))
)
def test_a_computed_claim_without_control_or_tolerance_is_refused(meta: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="X-1"):
        register({"statement": 0.0, "wrong": 1.0}, **meta)


def test_the_gate_prefers_a_decided_fault_and_takes_no_rows_for_undecided() -> None:
    def row(verdict: str, control: str = "", expected: str = "supported") -> dict[str, str]:
        return {"verdict": verdict, "expected": expected, "control_verdict": control}

    good, undecided, false = row("supported", "refuted"), row("inconclusive"), row("refuted", "refuted")
    assert gate([good]) == 0
    assert gate([good, undecided]) == 5
    assert gate([good, undecided, false]) == 3
    assert gate([good, row("supported")]) == 3
    assert gate([]) == 5


def test_rows_are_json_with_the_contract_columns() -> None:
    def infinite(case: str) -> Measurement:
        return Measurement(INF)

    (row,) = run_claim(register({"statement": infinite, "wrong": 1.0}, tolerance=lambda case: 0.5))
    assert list(row) == [*policy.COLUMNS, "seconds"]
    assert (row["statistic"], row["tolerance"]) == ("inf", 0.5)
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_both_tiers_of_one_id_live_side_by_side() -> None:
    register({"statement": 0.0, "wrong": 1.0})
    register({"statement": 0.0, "wrong": 1.0}, tier="mc", kind="identity")
    assert {entry.name for entry in registry.entries("claim")} == {"X-1", "X-1@mc"}


def test_a_context_reaches_the_claim() -> None:
    seen: list[Any] = []
    collect: Callable[[str, str, Context], Measurement] = lambda case, variant, context: (  # noqa: E731
        seen.append(context.samples) or Measurement(0.0 if variant == "statement" else 1.0)
    )

    def function(case: str, variant: str, context: Context) -> Measurement:
        """A statement."""
        return collect(case, variant, context)

    claim("X-2", title="", source="", kind="exact", tolerance=0.1, controls=("wrong",))(function)
    run_claim(registry.get("claim", "X-2", "any"), Context(samples=77))
    assert seen == [77, 77]


def test_the_worst_of_numbers_keeps_a_nan() -> None:
    assert policy.worst(1e-16, [0.5, 0.25], 0.1) == 0.5
    for values in ([1e-16, math.nan], [math.nan, 1e-16]):
        assert math.isnan(policy.worst(values))
        assert math.isnan(policy.worst(*values))
