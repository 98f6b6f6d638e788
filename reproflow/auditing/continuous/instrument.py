"""A loss of real data, read from one end to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.continuous import (
    checks,
    draw_roles,
    layout,
    neighbours,
    not_affine,
    opening,
    repeated,
    squared,
    weights,
)
from reproflow.auditing.continuous import (
    levels as level_reading,
)
from reproflow.auditing.continuous.draw_roles import Roles
from reproflow.auditing.continuous.fit import Reader
from reproflow.auditing.continuous.frames import Bench
from reproflow.auditing.continuous.table import LevelTable, graded, measured
from reproflow.auditing.evaluation import generators_kept
from reproflow.auditing.findings import Finding
from reproflow.auditing.reading import Argument, DrawFacts, LossForm, Reading, Subject

USUAL = (-1.0, 1.0)
"""Range of the data that a loss is called with unless another is stated."""


def read(subject: Subject) -> Reading:
    """What `subject` does; the global generators are afterwards as they were.

    Raises `UsageError` for a loss that cannot be called, cannot be replayed, ignores the network or is not finite.
    """
    with generators_kept():
        opened = opening.start(subject, data(subject))
        bench = opened.bench
        if opened.dead:
            text = "no gradient of the loss reaches the network's answer: it is detached, or not differentiable."
            return _reading(_Found(bench, Roles([""] * len(bench.base.draws))), [Finding("no-gradient", text)])
        return _examined(subject, bench, opened.findings, opened.coupled)


def data(subject: Subject) -> tuple[float, float]:
    """Range of the batches."""
    return USUAL if subject.data is None else subject.data


@dataclass
class _Found:
    """What is known so far."""

    bench: Bench
    roles: Roles
    form: LossForm | None = None
    table: LevelTable | None = None
    coupled: bool = False
    usable: bool = False


def _examined(subject: Subject, bench: Bench, findings: list[Finding], coupled: bool) -> Reading:
    low, high = data(subject)
    other = (low + (high - low) * torch.rand(bench.base.x1.shape, generator=bench.random, dtype=torch.float64)).to(
        bench.base.x1.dtype
    )
    bench.measure_rounding()
    still = bench.frame()
    examined = squared.examine(bench, still)
    clamp = not examined.affine and not_affine.clamped(bench)
    if clamp:
        bench.clamped = True
        still = bench.frame()
        text = "the network's answer is clamped before it is graded: answers outside get no gradient."
        findings.append(Finding("clamp", text))
    roles = draw_roles.find(bench, still, other)
    found = _Found(bench, roles, coupled=coupled)
    form = "other" if clamp else "squared"
    found.form = LossForm(form, opening.reduction(bench.base), value_gap=examined.value_gap)
    if examined.affine and not examined.consistent:
        findings.append(checks.value_gap(examined.value_gap))
    noise = checks.main_noise(bench, roles, still)
    near = neighbours.examine(bench, roles, noise, still, other)
    if near.paired and noise in roles.crooked:
        roles.crooked.remove(noise)
    elif noise in roles.crooked:
        noise = None  # the state is not affine in it: what is not data is taken as one noise
    findings += neighbours.finding(near) + checks.of_draws(bench, roles, noise, near)
    findings += repeated.finding(bench, roles, other) + checks.other_answers(bench, still)
    found.coupled |= near.state or near.target or any(each.id == "bootstrapped" for each in findings)
    if not examined.affine and not clamp:
        profile = not_affine.profile(bench, not_affine.center(bench))
        findings.append(Finding("not-affine", f"the loss is not a squared error: {profile.text}."))
        form = profile.form if profile.form in ("huber", "l1") else "other"
        found.form = LossForm(form, found.form.reduction, profile.points, examined.value_gap)
        bench.read = not_affine.frame
    blocked = checks.without_levels(bench, roles, noise, near)
    if blocked:
        return _reading(found, findings + blocked)
    reader = Reader(bench, roles, noise, data(subject), neighbours.pairs if near.paired else None)
    if not near.paired:
        reader.layout = layout.find(bench, noise, {**reader.held, **reader.without_more}, roles.moving)
        inside = checks.inside(bench, roles, reader.layout)
        if inside:
            return _reading(found, findings + inside)
    found.table = level_reading.read(reader)
    if bench.read is None:
        findings += weights.findings(reader, near.weight)
    told = checks.of_levels(found.table, found.coupled)
    if any(each.id == "state-not-linear" for each in told):
        findings = [each for each in findings if each.id != "noise-law"]  # a draw that enters curved is that
    findings += told
    found.usable = checks.readable(found.table)
    if clamp:
        found.table = graded(found.table)
    return _reading(found, findings)


def _reading(found: _Found, findings: list[Finding]) -> Reading:
    bench, base = found.bench, found.bench.base
    table = measured(found.table, bench.limits) if found.table is not None and found.usable else None
    roles = found.roles.roles
    offset = 0.0
    if table is not None:
        inner = np.abs(table.A) > 0.1 * np.max(np.abs(table.A))
        offset = float(np.median(table.offset[inner] / table.A[inner]))
    return Reading(
        calls=len(base.calls),
        graded=bench.graded,
        arguments=_arguments(bench, found.roles),
        draws=tuple(
            DrawFacts(draw.operator, str(draw.kind), draw.shape, draw.file, draw.line, role or "nothing")
            for draw, role in zip(base.draws, roles, strict=True)
        ),
        form=found.form or LossForm("other", opening.reduction(base)),
        offset=offset,
        evaluations=bench.evaluator.count,
        measured=table,
        coupled=found.coupled,
        per_batch="" if found.table is None else found.table.per_batch,
        findings=tuple({(each.id, each.text): each for each in findings}.values()),
        limits=tuple(dict.fromkeys(bench.limits)),
    )


def _arguments(bench: Bench, roles: Roles) -> tuple[Argument, ...]:
    call = bench.base.calls[bench.graded]
    found = []
    for name, value in call.arguments().items():
        role = "state" if name == call.state_name else "other"
        role = "time" if name == roles.time_name else role
        found.append(Argument(name, role, tuple(value.shape) if isinstance(value, Tensor) else ()))
    return tuple(found)
