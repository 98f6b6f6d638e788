r"""What the coefficient c on the target's squared error is called, as a function of the level, up to one factor.

Constant; {min, max}(SNR, gamma) or min(SNR + 1, gamma) over 1, SNR, SNR + 1 or the straight velocity's (1 + sqrt SNR)²;
a registered weighting of that prediction; EDM's (sigma² + s²)/(sigma s)²; a power of the SNR. Min-SNR (Hang et al.
2023) is min(SNR, gamma) on the error of x1, so on another target it belongs over that target's own divisor,
|dT|²/|dx1|² = (Delta/B)²: 1 for x1, SNR for eps, SNR + 1 for v. Over another one it is a positive weight all the same,
and not the one of that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from reproflow.auditing.naming.carriers import Carrier
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.numbers import shortest, text
from reproflow.foundation import registry
from reproflow.theory.weightings import get_weighting

ERROR = 1e-3
PLAIN = "uniform"
FEWEST = 3
"""Levels that there have to be on either side of a clamp."""


@dataclass(frozen=True)
class CoefficientName:
    """c is proportional to `form`, on `on`; `weighting` is the spec of that, None where c has no name.

    `clamp` is the numerator where there is one, `divisor` what stands under it, and `belongs` the divisor that makes it
    Min-SNR where the two differ.
    """

    form: str | None
    on: str | None
    error: float
    weighting: str | None = None
    clamp: str | None = None
    divisor: str | None = None
    belongs: str | None = None


def name_coefficient(
    levels: Levels, c: np.ndarray, on: str | None, prediction: str | None, carrier: Carrier | None, own: str | None = ""
) -> CoefficientName:
    """The first form that c (P,) has, to a thousandth or what the reading allows.

    `prediction` is what it multiplies in the words of `check weighting`; `own` the divisor that belongs to that, empty
    where it is not asked.
    """
    limit = max(ERROR, 3 * levels.whole.coefficient_error)
    best = np.inf
    for form, weighting, value in _simple(levels, prediction, carrier):
        error = apart(c, value)
        if error <= limit:
            return CoefficientName(form, on, error, weighting)
        best = min(best, error)
    for found in (*_clamped(levels, c, on, own), *_fitted(levels, c, on)):
        if found.error <= limit:
            return found
        best = min(best, found.error)
    return CoefficientName(None, on, float(best))


def apart(c: np.ndarray, value: np.ndarray) -> float:
    """How far c (P,) is from proportional to a value (P,), relative to it, at the worst level."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = c / value
        middle = np.median(ratio)
        error = np.abs(ratio / middle - 1)
    return float(np.nan_to_num(error, nan=np.inf).max())


def _simple(levels: Levels, prediction: str | None, carrier: Carrier | None) -> Iterator[tuple[str, str, np.ndarray]]:
    """(form, spec, value): a constant, powers of the SNR, and the registered weightings of the target's prediction."""
    snr = levels.ratio**-2.0
    yield "1", "expr:1", np.ones_like(snr)
    t = carrier.time(levels.lam) if carrier is not None else np.full_like(snr, np.nan)
    for name in _registered(prediction) if np.isfinite(t).all() else ():
        weighting = get_weighting(name)
        with np.errstate(all="ignore"):
            value = weighting.function(torch.from_numpy(t), torch.from_numpy(levels.lam)).numpy()
        yield name, name, value
    sigma = levels.ratio
    for form, value in (
        ("SNR", snr),
        ("1/SNR", 1 / snr),
        ("sqrt(SNR)", np.sqrt(snr)),
        ("1/sqrt(SNR)", 1 / np.sqrt(snr)),
        ("SNR + 1", snr + 1),
        ("1/(SNR + 1)", 1 / (snr + 1)),
        ("SNR/(SNR + 1)", snr / (snr + 1)),
        ("(SNR + 1)/SNR", (snr + 1) / snr),
        ("(1 + sqrt(SNR))**2", (1 + 1 / sigma) ** 2),
        ("1/(1 + sqrt(SNR))**2", (1 + 1 / sigma) ** -2),
        ("(1 + 1/sqrt(SNR))**2", (1 + sigma) ** 2),
        ("1/(1 + 1/sqrt(SNR))**2", (1 + sigma) ** -2),
    ):
        yield form, f"expr:{form.lower()}", value


def _registered(prediction: str | None) -> list[str]:
    entries = registry.entries("weighting", "gaussian")
    return [each.name for each in entries if prediction and each.meta.get("on") == prediction and each.name != PLAIN]


def divisors(levels: Levels) -> dict[str, np.ndarray]:
    """What may stand under a clamp, by name, (P,) each."""
    snr = levels.ratio**-2.0
    return {"1": np.ones_like(snr), "SNR": snr, "(SNR + 1)": snr + 1, "(1 + sqrt(SNR))**2": (1 + np.sqrt(snr)) ** 2}


def own_divisor(levels: Levels) -> str | None:
    """The divisor that takes a weight on the error of x1 to the target's: (Delta/B)² by name."""
    own = (levels.determinant / levels.B) ** 2
    return next((name for name, value in divisors(levels).items() if apart(own, value) <= ERROR), None)


def _clamped(levels: Levels, c: np.ndarray, on: str | None, own: str | None) -> Iterator[CoefficientName]:
    snr = levels.ratio**-2.0
    for name, value in divisors(levels).items():
        y = c * value
        for words, base, sign in (
            ("min(SNR, {})", snr, 1),
            ("max(SNR, {})", snr, -1),
            ("min(SNR + 1, {})", snr + 1, 1),
        ):
            gamma, error = clamp(y, base, sign)
            if not np.isfinite(error):
                continue
            clamped = words.format(text(gamma, 1e-4))
            form = clamped if name == "1" else f"{clamped}/{name}"
            wrong = bool(own) and (name != own or base is not snr) and sign > 0
            yield CoefficientName(form, on, error, f"expr:{form.lower()}", clamped, name, own if wrong else None)


def clamp(y: np.ndarray, base: np.ndarray, sign: int) -> tuple[float, float]:
    """(gamma, error) of y (P,) proportional to min(base, gamma), or max for sign -1; inf if a side is not seen."""
    order = np.argsort(base)
    y, base = y[order], base[order]
    rises, level = (slice(0, FEWEST), slice(-FEWEST, None)) if sign > 0 else (slice(-FEWEST, None), slice(0, FEWEST))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor, plateau = np.median(y[rises] / base[rises]), np.median(y[level])
        gamma = float(plateau / factor)
        if not (np.isfinite(gamma) and gamma > 0):
            return np.nan, np.inf
        on = base < gamma if sign > 0 else base > gamma
        if min(on.sum(), (~on).sum()) < FEWEST:
            return np.nan, np.inf
        gamma = float(np.median(y[~on]) / np.median(y[on] / base[on]))
    value = np.minimum(base, gamma) if sign > 0 else np.maximum(base, gamma)
    return shortest(gamma, 1e-4), apart(y, value)


def _fitted(levels: Levels, c: np.ndarray, on: str | None) -> Iterator[CoefficientName]:
    """EDM's weight, 1 on its F, with the scale of the data fitted; soft Min-SNR over any divisor; powers."""
    r = levels.ratio
    # c (sigma s)²/(sigma² + s²) constant: c sigma² is affine in sigma².
    x, y = r**2, c * r**2
    scale = np.median(y / (x + 1))
    for s in _scales(x, y):
        value = (x + s**2) / x
        name = text(s, 1e-4)
        form = f"(sigma² + {name}²)/(sigma {name})²"
        number = f"{float(name) ** 2:.6g}"
        yield CoefficientName(form, on, apart(c, value), f"expr:(exp(-lam) + {number})/({number}*exp(-lam))")
    if scale <= 0:
        return
    snr = 1 / x
    for name, value in divisors(levels).items():
        # y = k SNR gamma/(SNR + gamma): SNR/y is affine in SNR.
        y = c * value
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = float(y[0] / snr[0]), float(y[-1])
            gamma = high / low / (1 - high / (low * snr[-1])) if low > 0 else np.nan
        if np.isfinite(gamma) and gamma > 0:
            g = text(gamma, 1e-3)
            form = f"SNR*{g}/(SNR + {g})" + ("" if name == "1" else f"/{name}")
            yield CoefficientName(form, on, apart(y, snr * float(g) / (snr + float(g))), f"expr:{form.lower()}")
    for base, words in ((snr, "SNR"), (snr + 1, "(SNR + 1)")):
        with np.errstate(divide="ignore", invalid="ignore"):
            power = float(np.log(np.abs(c[-1] / c[0])) / np.log(base[-1] / base[0]))
        if np.isfinite(power) and abs(power) > 1e-3:
            p = text(power, 1e-3)
            form = f"{words}**({p})"
            yield CoefficientName(form, on, apart(c, base ** float(p)), f"expr:{form.lower()}")


def _scales(x: np.ndarray, y: np.ndarray) -> list[float]:
    """s with y proportional to x + s², from both ends."""
    rise = (y[-1] - y[0]) / (x[-1] - x[0]) if x[-1] != x[0] else 0.0
    if rise == 0:
        return []
    square = float(y[-1] / rise - x[-1])
    return [float(np.sqrt(square))] if square > 0 else []
