"""What each draw of a loss is for: it is replaced by another value, everything else played back.

time: the signal's size moves, or the number that the network is given for its time. noise: the state moves, affinely.
target, weight: only the target moves, only the coefficient. conditioning: another argument moves. control: the sequence
of draws depends on it. nothing: no difference. All but time and noise are held from then on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.arguments import given, moved_arguments
from reproflow.auditing.continuous import noise_rows
from reproflow.auditing.continuous.frames import Bench, Frame, changed
from reproflow.auditing.draws import fresh
from reproflow.auditing.tape import Diverged, Draw, Kind


@dataclass
class Roles:
    """The role of each draw by index; the argument that is the time; what moves with generators that are not torch's.

    `crooked` are draws in which the state is not affine although it should be; `inside` those with a level an element,
    `moving` the draws of the times in which the state moves.
    """

    roles: list[str] = field(default_factory=list)
    time_name: str = ""
    seeded: frozenset[str] = frozenset()
    crooked: list[int] = field(default_factory=list)
    inside: list[int] = field(default_factory=list)
    moving: list[int] = field(default_factory=list)

    def of(self, role: str) -> list[int]:
        """Indices of the draws with a role."""
        return [index for index, name in enumerate(self.roles) if name == role]


@dataclass
class _Effect:
    """What one replaced draw moved: the state, what data add to it (`signal`), that's size (`scaled`), and so on."""

    state: bool
    signal: bool
    scaled: bool
    arguments: set[str]
    target: bool
    coefficient: bool


def find(bench: Bench, still: Frame, other: Tensor) -> Roles:
    """The roles of all draws of the base; `still` is the base's frame, `other` another batch of data."""
    roles = Roles(["nothing"] * len(bench.base.draws))
    shifted = bench.frame(x1=other)
    roles.seeded = _seeded(bench, still)
    effects: dict[int, _Effect] = {}
    for index, draw in enumerate(bench.base.draws):
        try:
            effects[index] = _effect(bench, still, shifted, other, index, fresh(draw, bench.random))
        except Diverged:
            roles.roles[index] = "control"
    _decide(bench, roles, effects, still)
    return roles


def _effect(bench: Bench, still: Frame, shifted: Frame, other: Tensor, index: int, values: Tensor) -> _Effect:
    tolerance = bench.tolerance
    new = bench.frame(replaced={index: values})
    arguments = moved_arguments(still.evaluation, new.evaluation, bench.graded)
    state = changed(still.state, new.state, 10 * bench.precision)
    signal = scaled = False
    if state:
        before = shifted.state - still.state
        after = bench.state(bench.replay(x1=other, replaced={index: values})) - new.state
        signal = changed(before, after, tolerance)
        scaled = changed(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), tolerance)
    live = still.live & new.live
    return _Effect(
        state,
        signal,
        scaled,
        arguments,
        changed(np.where(live, still.target, 0), np.where(live, new.target, 0), tolerance),
        changed(still.coefficient, new.coefficient, tolerance),
    )


def _seeded(bench: Bench, still: Frame) -> frozenset[str]:
    """What moves when the tape is played back under another seed: numpy's and Python's global generators."""
    try:
        new = bench.frame(seed=bench.base.seed + 1000003)
    except Diverged:
        return frozenset(("control",))
    parts = {"arguments": bool(moved_arguments(still.evaluation, new.evaluation, bench.graded))}
    parts["state"] = changed(still.state, new.state, 10 * bench.precision)
    parts["target"] = changed(still.target, new.target, bench.tolerance)
    parts["weight"] = changed(still.coefficient, new.coefficient, bench.tolerance)
    return frozenset(name for name, moved in parts.items() if moved)


def _decide(bench: Bench, roles: Roles, effects: dict[int, _Effect], still: Frame) -> None:
    numeric = set(given(still.evaluation, bench.graded))
    with_state = [index for index, effect in effects.items() if effect.state]
    told = [index for index in with_state if effects[index].arguments & numeric]
    for index in with_state:
        effect, draw = effects[index], bench.base.draws[index]
        if index in told:
            roles.roles[index] = "time"
        elif effect.signal and draw.kind is Kind.NORMAL and draw.shape == tuple(bench.base.x1.shape):
            continue  # noise that the loss pairs anew with other data, or a corruption that is no sum
        elif effect.signal:  # beside a told time, a draw of another kind is an augmentation: its coin is held
            level = effect.scaled and (not told or _like(draw, told, bench))  # a flip keeps the signal's size
            roles.roles[index] = "time" if level else "conditioning"
        elif not told and not _of_elements(bench, draw):
            roles.roles[index] = "time"
    names = list(given(still.evaluation, bench.graded))
    times = roles.moving = roles.of("time")
    if told:
        votes = {name: sum(name in effects[index].arguments for index in told) for name in names}
        roles.time_name = max(names, key=lambda name: votes[name])
    for index in with_state:
        if roles.roles[index] == "nothing":
            roles.roles[index] = "noise"
            noise_rows.note(bench, still, index)
            if not _affine(bench, still, index):
                roles.crooked.append(index)
    for index in times:
        if bench.base.draws[index].standard.numel() > bench.batch:
            roles.inside.append(index)
    for index, effect in effects.items():
        if effect.state:
            continue
        if effect.target:
            roles.roles[index] = "target"
        elif effect.coefficient and not effect.arguments:  # a mask that the network is given too may carry the weight
            roles.roles[index] = "weight"
        elif effect.arguments:
            roles.roles[index] = "conditioning"
    if not roles.time_name:
        roles.time_name = _unrelated_time(bench, roles, effects, names)


def _like(draw: Draw, told: list[int], bench: Bench) -> bool:
    """Whether a draw is of the kind of those that the told time depends on, such as a second draw of a mixture."""
    return any(
        draw.kind is bench.base.draws[index].kind and draw.shape == bench.base.draws[index].shape for index in told
    )


def _unrelated_time(bench: Bench, roles: Roles, effects: dict[int, _Effect], names: list[str]) -> str:
    """An argument that is drawn as the state's time is, and yet is another draw: a time that says nothing of the level.

    Without one, an argument that moves with generators that are not torch's where the times do, else a constant one.
    """
    facts = [(draw.kind, draw.shape, draw.low, draw.high) for draw in bench.base.draws]
    times = {facts[index] for index in roles.of("time")}
    for index, effect in effects.items():
        if not effect.state and facts[index] in times:
            for name in names:
                if name in effect.arguments:
                    roles.roles[index] = "time"
                    return name
    moving = set().union(*(effect.arguments for effect in effects.values())) if effects else set()
    free = [name for name in names if name not in moving]
    return (
        free[0]
        if free and not (roles.of("time") and "arguments" in roles.seeded and "state" not in roles.seeded)
        else ""
    )


def _of_elements(bench: Bench, draw: Draw) -> bool:
    """Whether a draw can be noise: more numbers than samples, or normal ones where a sample is a single number."""
    size = int(np.prod(bench.base.x1.shape[1:]))
    if draw.kind not in (Kind.NORMAL, Kind.UNIFORM, Kind.OTHER):
        return False
    return draw.standard.numel() > bench.batch or size == 1 or draw.standard.numel() == size > 1


def _affine(bench: Bench, still: Frame, index: int) -> bool:
    """S(2z) - S(0) = 2 (S(z) - S(0))."""
    z = bench.base.draws[index].standard
    middle = 0.5 if bench.base.draws[index].kind is Kind.UNIFORM else 0.0
    half = bench.state(bench.replay(replaced={index: middle + (z - middle) / 2}))
    none = bench.state(bench.replay(replaced={index: torch.full_like(z, middle)}))
    return not changed(still.state - none, 2 * (half - none), bench.tolerance)
