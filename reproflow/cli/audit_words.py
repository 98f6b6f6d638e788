"""An audit in words, for the terminal and for the page: what was read, a line a part."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproflow.auditing.findings import Finding, Level

if TYPE_CHECKING:
    from reproflow.auditing.audit import Audit
    from reproflow.auditing.reading import DrawFacts, LossForm

SHOWN = (-8.0, -4.0, 0.0, 4.0, 8.0)
"""Log-SNRs at which the terminal shows the canonical weight, where the loss reaches them."""
MOST_SAME = 3
CALLS = {
    0: "nothing against it",
    3: "a defect, or a verdict that was asked for and went against it",
    5: "an open question",
}


def summary(found: Audit) -> str:
    """What was run, in a line."""
    reading = found.reading
    calls = "one call" if reading.calls == 1 else f"{reading.calls} calls, of which number {reading.graded + 1} counts,"
    return f"{calls} of the network; {reading.evaluations} evaluations, {found.seconds:.3g} s"


def standing(found: Audit, finding: Finding) -> str:
    """The level of a finding, or what has answered it."""
    if finding.level is not Level.QUESTION:
        return str(finding.level)
    if finding.id in found.accepted:
        return "accepted"
    return "settled" if finding.id in found.settled else str(finding.level)


def parts(found: Audit) -> list[tuple[str, str]]:
    """What was read: (name, words), from the state to the verdict."""
    named = found.identification
    rows = [
        ("input", _arguments(found)),
        ("path", _named(named.path)),
        ("time", _time(named.time, found.reading.per_batch)),
        ("target", _named(named.target)),
        ("loss", _loss(found.reading.form)),
        ("coefficient", _coefficient(named.coefficient)),
        ("weight", _weight(named.canonical)),
        ("same as", _same(named.same_as)),
        ("judged", _judged(named.judged)),
        ("expected", _expected(named.expected)),
        ("sampler", _sampler(found.sampler)),
        *(("limit", each) for each in found.reading.limits),
        *(("accepted", f"{each} does not occur: leave it out of --accept") for each in found.unmet),
    ]
    return [(key, words) for key, words in rows if words]


def draws(found: Audit) -> list[tuple[str, str, str]]:
    """(role, FILE:LINE, what is drawn), the draws of one line of code with one role together."""
    groups: dict[tuple[str, str, int], list[DrawFacts]] = {}
    for each in found.reading.draws:
        groups.setdefault((each.role, each.file, each.line), []).append(each)
    rows = []
    for (role, file, line), alike in groups.items():
        first, times = alike[0], f" {len(alike)} times" if len(alike) > 1 else ""
        rows.append((role, f"{_near(file)}:{line}", f"{first.kind} {_size(first.shape)}{times}"))
    return rows


def _near(file: str) -> str:
    """A file as it is called from here, where it lies below the working directory."""
    with contextlib.suppress(ValueError):
        return str(Path(file).relative_to(Path.cwd()))
    return file


def _loss(form: LossForm) -> str:
    what = f"{form.form} error" if form.form == "squared" else form.form
    returned = {"number": "a number", "per sample": "one number a sample", "per element": "one an element"}
    return f"{what}; it returns {returned.get(form.reduction, form.reduction)}" if form.reduction else what


def _arguments(found: Audit) -> str:
    return ", ".join(f"{_called(each.name)} {_size(each.shape)}: {each.role}" for each in found.reading.arguments)


def _called(name: str) -> str:
    """An argument's keyword, or its place."""
    place = name.removeprefix("arg")
    return f"argument {int(place) + 1}" if name.startswith("arg") and place.isdigit() else name


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if shape else "a number"


def _named(part: dict[str, Any] | None) -> str:
    if part is None:
        return ""
    return f"{part['name'] or 'no registered one'}{_error(part.get('error'))}"


def _error(error: Any) -> str:
    return f" (to {error:.0e})" if isinstance(error, int | float) and error else ""


def _time(part: dict[str, Any] | None, per_batch: str) -> str:
    if part is None:
        return per_batch
    law = part.get("law") or {}
    given = part.get("name") or part.get("given_as")
    words = [f"the network is given {given}" if given else ""]
    if law.get("name"):
        words.append(f"law: {law['name']}{_error(law.get('error'))}")
    words.append("discrete steps" if part.get("discrete") else "")
    words.append(per_batch)
    return "; ".join(each for each in words if each)


def _coefficient(part: dict[str, Any] | None) -> str:
    if part is None:
        return ""
    on = f" on {part['on']}" if part.get("on") else ""
    return f"{part.get('form') or 'no named one'}{on}{_error(part.get('error'))}"


def _weight(part: dict[str, Any] | None) -> str:
    """w at a few log-SNRs, divided by its largest value there."""
    import numpy as np

    if part is None:
        return ""
    lam, w = (np.asarray(part[key], dtype=float) for key in ("lam", "w"))
    good = np.isfinite(lam) & np.isfinite(w)
    lam, w = lam[good], w[good]
    points = [point for point in SHOWN if len(lam) and lam[0] <= point <= lam[-1]]
    if len(points) < 2:
        return "canonical, read off"
    values = np.interp(points, lam, w)
    scale = np.abs(values).max() or 1.0
    said = ", ".join(f"{value / scale:.3g} at {point:g}" for point, value in zip(points, values, strict=True))
    return f"canonical, by λ: {said}"


def _same(equal: Sequence[dict[str, Any]]) -> str:
    best: dict[str, Any] = {}
    for each in equal:
        best.setdefault(each["name"], each.get("error_bulk"))
    return "; ".join(f"{name}{_error(error)}" for name, error in list(best.items())[:MOST_SAME])


def _judged(part: dict[str, Any] | None) -> str:
    if part is None:
        return ""
    asked = ("admissible", "identified", "bound")
    verdicts = [f"{key} {part[key]['verdict']}" for key in asked if isinstance(part.get(key), dict)]
    by = {"parts": "by its named parts", "same_as": "as that objective", "table": "from the measured table"}
    return f"{', '.join(verdicts)} ({by.get(part.get('by', ''), 'judged')})"


def _sampler(part: dict[str, Any] | None) -> str:
    if part is None:
        return ""
    steps = f" ({' and '.join(map(str, part['steps']))} steps)" if part.get("steps") else ""
    return f"{part['verdict']}{steps}" + ("" if part["findings"] else f": {part['reason']}")


def _expected(part: dict[str, Any] | None) -> str:
    if part is None:
        return ""
    ratio = part.get("ratio") or {}
    places = {"noise": "the noise end", "middle": "λ = 0", "data": "the data end"}
    said = [f"{ratio[key]:.4g} at {place}" for key, place in places.items() if isinstance(ratio.get(key), int | float)]
    compared = f"; measured/stated: {', '.join(said)}" if said else ""
    return f"{_spec(part['spec'])}: {part['verdict']}{compared}"


def _spec(stated: str | dict[str, Any]) -> str:
    if isinstance(stated, str):
        return stated
    words = [stated["weighting"], f"on {stated['on']}" if stated.get("on") else ""]
    words += [f"{stated[key]} {key}" if stated.get(key) else "" for key in ("path", "time")]
    return ", ".join(each for each in words if each)
