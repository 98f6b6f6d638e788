"""What follows from the roles of the draws and from the levels, as findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from reproflow.auditing import told_time
from reproflow.auditing.continuous.draw_roles import Roles
from reproflow.auditing.continuous.frames import Bench, Frame, changed
from reproflow.auditing.continuous.layout import LEVEL, Layout
from reproflow.auditing.continuous.neighbours import Neighbours
from reproflow.auditing.continuous.noise_rows import as_rows, shared
from reproflow.auditing.continuous.table import LevelTable
from reproflow.auditing.findings import Finding
from reproflow.auditing.tape import ORDERS, Diverged, Draw, Kind

LINEAR = 2e-2
"""Relative residual of the state above which it is not linear; bfloat16 rounds by 4e-3."""


def _line(draw: Draw) -> str:
    return f"line {draw.line} of {draw.file}"


def value_gap(gap: float) -> Finding:
    """`value-gradient`."""
    text = "the loss's value moves otherwise than its gradient says: training follows the gradient, plots the value."
    return Finding("value-gradient", text, f"relative difference {gap:.2g}")


def main_noise(bench: Bench, roles: Roles, still: Frame) -> int | None:
    """The noise draw that moves the state most, among those with a number an element; None where there is none."""
    sizes = {}
    for index in roles.of("noise"):
        draw = bench.base.draws[index]
        rows = as_rows(bench, draw)
        if rows is None:
            continue
        middle = 0.5 if draw.kind is Kind.UNIFORM else 0.0
        quiet = bench.state(bench.replay(replaced={index: torch.full_like(draw.standard, middle)}))
        inside = rows.shape[1] == 1 or np.any(rows != rows[:, :1])
        sizes[index] = float(np.sqrt(np.mean((still.state - quiet) ** 2))) * (
            1.0 if inside and not offset(draw) else 1e-6
        )
    return max(sizes, key=lambda index: sizes[index]) if sizes else None


def offset(draw: Draw) -> bool:
    """Whether a draw has one number for all places of a channel, or of a sample."""
    return (
        len(draw.shape) > 1 and draw.shape[-1] == 1 and (len(draw.shape) > 2 or draw.shape[0] == draw.standard.numel())
    )


def of_draws(bench: Bench, roles: Roles, noise: int | None, near: Neighbours) -> list[Finding]:
    """Findings on noise and target; an order in which samples are coupled is no noise."""
    draws, found = bench.base.draws, []
    for index in roles.of("target"):
        draw = draws[index]
        if near.target and draw.kind in ORDERS:
            continue
        text = (
            f"the target holds a draw of its own ({_line(draw)}) that the network's input lacks: it cannot be learnt."
        )
        found.append(Finding("noise-mismatch", text, f"{draw.operator}{list(draw.shape)}"))
    for index in roles.of("noise"):
        draw = draws[index]
        if index in roles.crooked:
            continue
        if index == noise:
            found += _on_main(bench, draw)
        elif offset(draw) and not _degenerate(bench, draw):
            text = f"a noise that is the same at all places of a channel is added ({_line(draw)}): offset noise."
            found.append(Finding("offset-noise", text))
        else:
            text = f"the network's input has more noise ({_line(draw)}) than the noise that the target is made of."
            found.append(Finding("more-noise", text))
    crooked = [draws[index] for index in roles.crooked]
    return found + _crooked([draw for draw in crooked if not (near.state and draw.kind in ORDERS)])


def _crooked(draws: Sequence[Draw]) -> list[Finding]:
    if not draws:
        return []
    lines = ", ".join(dict.fromkeys(map(_line, draws)))
    text = f"the state holds a draw ({lines}) whose law is not the normal one, or which enters it curved."
    return [Finding("noise-law", text)]


def _degenerate(bench: Bench, draw: Draw) -> bool:
    return bench.base.x1[0].numel() == draw.standard[0].numel()


def _on_main(bench: Bench, draw: Draw) -> list[Finding]:
    found = []
    if draw.kind is Kind.UNIFORM:
        found.append(Finding("noise-law", f"the noise is uniform, not normal ({_line(draw)}: rand for randn?)."))
    if shared(bench, draw):
        text = f"one noise serves all samples of a batch ({_line(draw)}): the same expectation, more variance."
        found.append(Finding("noise-shared", text))
    if offset(draw) and not _degenerate(bench, draw):
        found.append(Finding("offset-noise", f"the noise is the same at all places of a channel ({_line(draw)})."))
    return found


def other_answers(bench: Bench, still: Frame) -> list[Finding]:
    """`bootstrapped`: the target or the state is made of other calls of the network."""
    others = {index: torch.randn_like(bench.base.x1) for index in range(len(bench.base.calls)) if index != bench.graded}
    if not others:
        return []
    try:
        base = bench.evaluator.replay(bench.base, answers=others)
        new = bench.frame(base=base)
    except Diverged:
        return []
    live = still.live & new.live
    moved = changed(np.where(live, still.target, 0), np.where(live, new.target, 0), bench.tolerance)
    if moved or changed(still.state, new.state, bench.tolerance):
        text = "the target is made of another call of the network (a teacher, or itself): no bound follows."
        return [Finding("bootstrapped", text)]
    return []


def without_levels(bench: Bench, roles: Roles, noise: int | None, near: Neighbours) -> list[Finding]:
    """Why no levels can be read, empty where they can."""
    if near.state and not near.paired:
        bench.limits.append("levels are not read: the state of a sample is made of several samples")
        return [Finding("batch-coupled", f"{near.text}; no bound follows for a coupled loss.")]
    if noise is None and not roles.crooked and "state" not in roles.seeded:
        text = "the network's input holds no noise: a bridge between data, or a deterministic corruption."
        return [Finding("no-noise", text)]
    return []


def inside(bench: Bench, roles: Roles, layout: Layout) -> list[Finding]:
    """`levels-inside`: the elements of a sample have different signals, from a draw of more numbers than samples."""
    draws = roles.inside or roles.moving
    if layout.spread <= LEVEL or not draws or not (roles.inside or layout.diagonal):
        return []
    draw = bench.base.draws[draws[0]]
    text = f"a sample has several levels of noise, one an element or frame ({_line(draw)}): no single path is read."
    return [Finding("levels-inside", text)]


def readable(table: LevelTable) -> bool:
    """Whether state and target are linear in a sample's own data and noise, so that the levels mean something."""
    levels = table.levels
    return max(float(np.median(levels.state_error)), float(np.median(levels.target_error))) <= LINEAR


def of_levels(table: LevelTable, coupled: bool) -> list[Finding]:
    """Findings on the state and the told time over all levels; what a coupled loss's target is made of is known."""
    found, levels = [], table.levels
    state_error = float(np.median(levels.state_error))
    if state_error > LINEAR:
        text = "the network's input is no linear function of data and noise."
        found.append(Finding("state-not-linear", text, f"relative residual {state_error:.2g}"))
    elif not coupled and float(np.median(levels.target_error)) > LINEAR:
        text = "the target is no linear function of data and noise."
        found.append(Finding("target-unnamed", text, f"relative residual {np.median(levels.target_error):.2g}"))
    if table.per_batch == "one a batch":
        found.append(
            Finding("one-time-a-batch", "all samples of a batch share one time: the same expectation, more variance.")
        )
    return found + told_time.finding(table.levels.given, table.levels.lam)
