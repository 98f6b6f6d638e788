"""A formula for the SNR against the path that it is written for: the same, and if not, what has gone wrong.

The SNR is exp(lam): alpha²/sigma², for a masked process alpha/(1 - alpha).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation import expression_syntax, specs, user_files
from reproflow.foundation.errors import UsageError
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.theory.log_snr import log_snr
from reproflow.theory.paths import Path

TOLERANCE = 1e-8
SINGLE = 1e-5
POINTS = 1001
NEAREST = 1e-6
FARTHEST = 600.0
CONSTANT = 1e-6

KINDS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("its inverse, noise over data", lambda lam: -lam),
    ("its square root, alpha/sigma", lambda lam: lam / 2),
    ("the inverse of its square root, sigma/alpha", lambda lam: -lam / 2),
    ("its square", lambda lam: 2 * lam),
    ("its logarithm", lambda lam: np.log(np.where(lam > 0, lam, np.nan))),
    ("SNR/(1 + SNR), the share of the data", lambda lam: -np.logaddexp(0, -lam)),
    ("that of the path in reverse, with t and 1 - t exchanged", lambda lam: lam[::-1]),
)


def judge(spec: str, path: Path, turned: bool = False) -> dict[str, Any]:
    """`verdict`, the largest `relative` difference and its `t`, what the formula `is` instead where that is known.

    `turned` says that the formula has the data at t = 0. Raises `UsageError` for a formula that cannot be used.
    """
    below = np.union1d((np.arange(POINTS) + 0.5) / (2 * POINTS + 1), np.geomspace(NEAREST, 0.01, 60))
    t = np.concatenate([below, 1 - below[::-1]])  # symmetric: a reversed path is found by turning the array round
    lam = log_snr(path, torch.from_numpy(t)).detach().numpy()
    value = _formula(spec)(torch.from_numpy(1 - t if turned else t)).detach().double().numpy()
    good = np.isfinite(lam) & (np.abs(lam) <= FARTHEST)
    if not good.any():
        return _answer(INCONCLUSIVE, None, None, None, f"path {path.name!r} has no SNR to compare with")
    with np.errstate(all="ignore"):
        apart = np.where(good, np.abs(value * np.exp(-lam) - 1), 0.0)
    apart = np.where(np.isnan(apart), np.inf, apart)
    worst = int(apart.argmax())
    size, at = float(apart[worst]), float(t[worst])
    what = f"the formula and the path's SNR agree to {size:.2g} at {len(t)} times"
    if size <= TOLERANCE:
        return _answer(SUPPORTED, size, at, None, what)
    if size <= SINGLE and bool((value == value.astype(np.float32)).all()):
        return _answer(INCONCLUSIVE, size, at, None, f"{what}; it is computed in single precision: use float64")
    kind = _kind(lam[good], value[good])
    name = "alpha²/sigma²" if path.at(torch.tensor([0.5], dtype=torch.float64)).power == 2 else "alpha/(1 - alpha)"
    words = f"it differs from the path's SNR, {name}, by up to {size:.3g} of it, at t = {at:.4g}"
    return _answer(REFUTED, size, at, kind, f"{words}; it is {kind}" if kind else words)


def _answer(verdict: str, relative: float | None, t: float | None, kind: str | None, reason: str) -> dict[str, Any]:
    size = None if relative is None else number(relative)
    return {"verdict": verdict, "relative": size, "t": t, "is": kind, "reason": reason}


def _kind(lam: np.ndarray, value: np.ndarray) -> str | None:
    """What the formula is in terms of the SNR, in words: a constant times it, or one of `KINDS` up to a constant."""
    if not ((value > 0) & np.isfinite(value)).all():
        if (np.abs(value - lam) <= CONSTANT * (1 + np.abs(lam))).all():
            return "its logarithm, lam"
        return None
    log = np.log(value)
    for words, of in (("a constant times it", lambda lam: lam), *KINDS):
        with np.errstate(all="ignore"):
            difference = log - of(lam)
        if len(difference) and np.ptp(difference) <= CONSTANT:
            factor = float(np.exp(np.median(difference)))
            plain = abs(factor - 1) <= CONSTANT
            return words if plain else f"{factor:.6g} times {words.removeprefix('a constant times ')}"
    return None


def _formula(spec: str) -> Callable[[Tensor], Tensor]:
    """The function of t that a formula is. Raises `UsageError` for a registered name: an SNR has none."""
    from reproflow.theory import expression_values, user_functions

    parsed = specs.parse(spec, "snr")
    if parsed.registered:
        raise UsageError(
            f"snr {spec!r}: write the formula, expr:t**2/(1 - t)**2, or a function of t, FILE.py:FUNCTION."
        )
    user_files.check("snr", parsed, "gaussian")
    if parsed.is_expression:
        [tree] = expression_syntax.parse(parsed.expression, "snr")
        return lambda t: expression_values.evaluate(tree, {"t": t}) + torch.zeros_like(t)
    return functools.partial(user_functions.load("snr", parsed)[0], **dict(parsed.params))
