"""The policy: a claim function computes a number, this file decides what the number says.

| kind | supported | refuted | otherwise |
|---|---|---|---|
| exact | statistic <= tolerance | statistic > tolerance | inconclusive (NaN) |
| identity | the 95 % interval lies inside +-tolerance | it lies outside altogether | inconclusive (also: n too small) |
| bound | upper end (or the statistic itself) <= tolerance | lower end > tolerance | inconclusive |
| textual | never | never | not_applicable, with its reason |

Every computed claim runs its controls as well, the same computation with one thing made wrong, and they must come out
refuted (where the claim expects `refuted`, as for a misprint, its control is the right form and must be supported). A
statement that meets its expectation while a control does not is inconclusive: the test has no power.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from reproflow.foundation import registry
from reproflow.foundation.errors import InterruptedRun, UndecidedError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")

SUPPORTED = "supported"
REFUTED = "refuted"
INCONCLUSIVE = "inconclusive"
NOT_APPLICABLE = "not_applicable"
KINDS = ("exact", "identity", "bound", "textual")
TIERS = ("exact", "mc")
STATEMENT = "statement"
MINIMUM_N = 30
NO_POWER = "test has no power"

COLUMNS = (
    "id", "title", "source", "kind", "tier", "case", "verdict", "expected", "reason", "statistic", "tolerance", "n",
    "control", "control_verdict", "control_statistic",
)  # fmt: skip
"""The columns of claims.csv; rows carry `seconds` besides. `control_statistic` is in the order of `control`."""


@dataclass(frozen=True)
class Measurement:
    """What a claim function returns: a statistic, its number of independent samples and its 95 % interval, if any."""

    statistic: float
    n: int = 0
    low: float = math.nan
    high: float = math.nan
    detail: str = ""


def worst(*values: float | Iterable[float]) -> float:
    """The largest of numbers and of collections of them; NaN where one of them is, which `max` may overlook."""
    flat = [float(x) for each in values for x in (each if isinstance(each, Iterable) else [each])]
    return math.nan if any(map(math.isnan, flat)) else max(flat)


def told(parts: Mapping[str, Any]) -> str:
    """Named numbers as the detail of a measurement, such as `gradient 1e-16, constant 3e-15`."""
    return ", ".join(f"{name} {float(value):.2g}" for name, value in parts.items())


@dataclass(frozen=True)
class Digits:
    """A trained network on the digits and the points it was trained on, for the mc tier.

    denoiser: `.path`, `.parameters()` and a differentiable `.x1(x, t, y)`; data (N, D) in [-1, 1]; labels (N,).
    """

    denoiser: Any
    data: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Context:
    """What claim functions may use besides their case: a trained network, the mc sample size, blocks and seed."""

    digits: Digits | None = None
    samples: int = 65_536
    blocks: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Claim:
    """One registered statement.

    `function(case, variant, context)` returns a `Measurement`; `variant` is "statement" or a control's name. The cases
    may depend on what is registered, tolerance and controls on the case.
    """

    id: str
    title: str
    source: str
    kind: str
    tier: str
    tolerance: Callable[[str], float]
    controls: Callable[[str], tuple[str, ...]]
    cases: Callable[[], tuple[str, ...]]
    function: Callable[[str, str, Context], Measurement]
    expected: Mapping[str, str] = field(default_factory=dict)
    textual: Mapping[str, str] = field(default_factory=dict)

    def kind_of(self, case: str) -> str:
        """The kind of a case: the claim's, or textual."""
        return "textual" if case in self.textual else self.kind

    def expectation(self, case: str) -> str:
        """The verdict expected of a case: supported unless `expected` says otherwise."""
        return self.expected.get(case, NOT_APPLICABLE if self.kind_of(case) == "textual" else SUPPORTED)


def claim(
    id: str,
    *,
    title: str,
    source: str,
    kind: str,
    tier: str = "exact",
    tolerance: float | Callable[[str], float] | None = None,
    controls: tuple[str, ...] | Callable[[str], tuple[str, ...]] = (),
    cases: tuple[str, ...] | Callable[[], tuple[str, ...]] = ("",),
    expected: Mapping[str, str] | None = None,
    textual: Mapping[str, str] | None = None,
    process: str = "any",
) -> Callable[..., Any]:
    """Decorator: registers `function(case, variant, context) -> Measurement` as a claim of one tier.

    With `process` its cases are those that a process adds to the claim of the same id, in a file of that process.
    Raises `UsageError` for an unknown kind or tier, a computed claim without tolerance or without a control.
    """
    if kind not in KINDS or tier not in TIERS:
        raise UsageError(f"claim {id}: kind {kind!r} is not one of {KINDS}, or tier {tier!r} not one of {TIERS}.")
    if kind != "textual" and (not controls or tolerance is None):
        raise UsageError(f"claim {id}: a computed claim states its tolerance and at least one negative control.")

    def enter(function: Callable[[str, str, Context], Measurement]) -> Callable[[str, str, Context], Measurement]:
        entry = Claim(
            id, title, source, kind, tier, _of_case(math.nan if tolerance is None else tolerance), _of_case(controls),
            _always(cases), function, expected or {}, textual or {},
        )  # fmt: skip
        name = id if tier == "exact" else f"{id}@{tier}"
        return registry.register("claim", name, process=process, cite=source, claim=entry)(function)

    return enter


def decide(kind: str, measurement: Measurement, tolerance: float) -> tuple[str, str]:
    """Verdict and reason of one measurement (the table at the head of this file)."""
    m = measurement
    if kind == "textual":
        return NOT_APPLICABLE, m.detail
    if math.isnan(m.statistic):
        return INCONCLUSIVE, m.detail or "the statistic is not a number"
    if kind == "exact":
        return (SUPPORTED if m.statistic <= tolerance else REFUTED), m.detail
    if kind == "bound" and m.n == 0:
        return (SUPPORTED if m.statistic <= tolerance else REFUTED), m.detail
    if m.n < MINIMUM_N:
        return INCONCLUSIVE, _join(f"{m.n} samples, at least {MINIMUM_N} needed", m.detail)
    if math.isnan(m.low) or math.isnan(m.high):
        return INCONCLUSIVE, _join("no interval", m.detail)
    return _from_interval(kind, m, tolerance)


def run_claim(entry: registry.Entry, context: Context | None = None) -> list[dict[str, Any]]:
    """One row a case: the columns of claims.csv and `seconds`; not-a-number is None. Nothing that raises is lost."""
    context = context or Context()
    each: Claim = entry.meta["claim"]
    try:
        cases = each.cases()
    except Exception as error:
        return [_row(each, "", INCONCLUSIVE, _said(error), Measurement(math.nan), "", {}, 0.0)]
    said = [
        _row(each, case, NOT_APPLICABLE, reason, Measurement(math.nan), "", {}, 0.0)
        for case, reason in each.textual.items()
    ]
    return [*(_run_case(each, case, context) for case in cases), *said]


def row_ok(row: Mapping[str, Any]) -> bool:
    """Whether a row has its expected verdict and its controls came out as they must (a computed one has controls)."""
    return row["verdict"] == row["expected"] and _filled(row["control_verdict"]) == _opposite(row["expected"])


def gate(rows: Iterable[Mapping[str, Any]]) -> int:
    """The exit code of a ledger.

    0 all as expected; 3 a decided verdict other than expected, or a control without effect; 5 undecided, or no rows.
    """
    rows = list(rows)
    bad = [row for row in rows if not row_ok(row)]
    if any(row["verdict"] != INCONCLUSIVE or _filled(row["control_verdict"]) for row in bad):
        return 3
    return 5 if bad or not rows else 0


def _run_case(each: Claim, case: str, context: Context) -> dict[str, Any]:
    start = time.perf_counter()
    expected, wanted = each.expectation(case), _opposite(each.expectation(case))
    control_verdict, results = "", {}
    verdict, reason, measured = _measure(each, case, STATEMENT, context)
    # Controls of an undecided statement say nothing; leaving their verdict empty tells "not run" from "no effect".
    if verdict in (SUPPORTED, REFUTED):
        results = {name: _measure(each, case, name, context) for name in each.controls(case)}
        control_verdict = next((v for v, _, _ in results.values() if v != wanted), wanted)
        if verdict == expected and control_verdict != wanted:
            verdict, reason = INCONCLUSIVE, _join(f"{NO_POWER}: a control is {control_verdict}, not {wanted}", reason)
        reason = _join(reason, *(_control(name, *result) for name, result in results.items()))
    seconds = time.perf_counter() - start
    return _row(each, case, verdict, reason, measured, control_verdict, results, seconds)


def _measure(each: Claim, case: str, variant: str, context: Context) -> tuple[str, str, Measurement]:
    try:
        measured = each.function(case, variant, context)
    except InterruptedRun:
        raise
    except Exception as error:
        return INCONCLUSIVE, _said(error), Measurement(math.nan)
    return (*decide(each.kind, measured, each.tolerance(case)), measured)


def _from_interval(kind: str, m: Measurement, tolerance: float) -> tuple[str, str]:
    interval = f"95 % interval [{m.low:.3g}, {m.high:.3g}] against {'+-' if kind == 'identity' else ''}{tolerance:.3g}"
    reason = _join(interval, m.detail)
    if m.high <= tolerance and (kind == "bound" or m.low >= -tolerance):
        return SUPPORTED, reason
    if m.low > tolerance or (kind == "identity" and m.high < -tolerance):
        return REFUTED, reason
    return INCONCLUSIVE, reason


def _control(name: str, verdict: str, reason: str, measured: Measurement) -> str:
    said = f" ({reason})" if reason else ""
    return f"control {name}: {verdict} at {measured.statistic:.3g}{said}"


def _opposite(expected: str) -> str:
    return {SUPPORTED: REFUTED, REFUTED: SUPPORTED}.get(expected, "")


def _filled(value: Any) -> str:
    """A text column's value; empty also where a data frame holds NaN for it."""
    return value if isinstance(value, str) else ""


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UndecidedError) else f"{type(error).__name__}: {text}"


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _row(
    each: Claim,
    case: str,
    verdict: str,
    reason: str,
    measured: Measurement,
    control_verdict: str,
    results: Mapping[str, tuple[str, str, Measurement]],
    seconds: float,
) -> dict[str, Any]:
    textual = case in each.textual
    tolerance, controls = (math.nan, ()) if textual else (each.tolerance(case), each.controls(case))
    values = (
        each.id, each.title, each.source, each.kind_of(case), each.tier, case, verdict, each.expectation(case), reason,
        _plain(measured.statistic), _plain(tolerance), measured.n, ";".join(controls),
        control_verdict, ";".join(f"{found.statistic:.17g}" for _, _, found in results.values()),
    )  # fmt: skip
    return {**dict(zip(COLUMNS, values, strict=True)), "seconds": seconds}


def _plain(value: float) -> float | str | None:
    """What JSON can hold: None for not-a-number, "inf" or "-inf" for the infinities."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _of_case(value: Value | Callable[[str], Value]) -> Callable[[str], Value]:
    """A constant as a function of the case."""
    return value if callable(value) else lambda case: value


def _always(value: Value | Callable[[], Value]) -> Callable[[], Value]:
    """A constant as a function of nothing."""
    return value if callable(value) else lambda: value
