r"""What the law of the times is called: uniform or normal in some function of the level, or a registered law.

With u the mass of the times up to a level, a law is uniform in z where z is affine in u, normal where z is affine in
the normal quantile of u; z is the given number, the time of a path, or the logarithm of sigma/alpha, as it is, its
logarithm or its logit. A registered law has u = F(t) on some path, or F of a time that a shift s has moved,
logit t' = logit t - log s (Esser et al. 2024).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming import carriers
from reproflow.auditing.naming.carriers import Carrier
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.numbers import shortest, text
from reproflow.auditing.naming.paths import PathName
from reproflow.foundation import registry
from reproflow.judge import published_objectives
from reproflow.theory.times import TimeLaw, get_time_law

EXACT = 1e-5
LOOSEST = 5e-3
STEP = 1.5e-2
"""The distance up to which a law of continuous times is that of steps, where they are so many that this is less."""
KOLMOGOROV = 1.2
SURE = 1.01
"""Times the limit by which a quantile has to miss a time, so that rounding leaves no law out."""
DIGITS = 6e-3
"""How far off the parameters of a law may be that is known by draws, or by rounded times."""
LISTED = 4
UNIFORM_STEPS = 1e-6
SHIFTED = {
    "uniform": "u",
    "u_squared": "u**2",
    "one_minus_u_squared": "(1 - (1 - u)**2)",
    "mode": "(u + 1.29*(cos(pi*u/2)**2 - 1 + u))",
    "cosine_map": "(sin(pi*u/2)/(sin(pi*u/2) + cos(pi*u/2)))",
}
"""The quantile maps of registered laws at their defaults, as expressions, which can be shifted."""


@dataclass(frozen=True)
class LawOnPath:
    """A law as a command line says it, `time` on the path of `carrier`; `error` is its distance in u."""

    carrier: Carrier
    time: str
    error: float


@dataclass(frozen=True)
class LawName:
    """A law in words, its largest distance in u, and how it is said on paths, best first."""

    name: str | None
    error: float
    draws: int = 0
    on_paths: tuple[LawOnPath, ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, object]:
        """`error` where the times are exact, `ks` and `n` where they are draws."""
        exact = not self.draws
        return {
            "name": self.name,
            "error": self.error if exact else None,
            "ks": None if exact else self.error,
            "n": self.draws or None,
        }


def name_law(levels: Levels, path: PathName) -> LawName:
    """The simplest law that the times follow."""
    whole, u = levels.whole, levels.cumulative
    on_paths = tuple(itertools.islice(_on_paths(levels, path, u), LISTED))
    if levels.times is Times.STEPS:
        count = levels.places[1]
        law = whole.law
        uneven = float(np.abs(law / law.mean() - 1).max())
        if uneven <= UNIFORM_STEPS:
            return LawName(f"uniform on {count} values", uneven, 0, on_paths)
        return LawName(f"{count} values, not equally likely", uneven, 0, on_paths)
    limit = _limit(levels)
    best = np.inf
    for name, error in _described(levels, u):
        if error <= limit:
            return LawName(name, error, whole.draws, on_paths)
        best = min(best, error)
    if on_paths:
        first = on_paths[0]
        return LawName(f"{first.time} in t of the {first.carrier.name} path", first.error, whole.draws, on_paths)
    return LawName(None, float(best), whole.draws)


def _limit(levels: Levels) -> float:
    whole = levels.whole
    if levels.times is Times.DRAWN and whole.draws:
        return KOLMOGOROV / np.sqrt(whole.draws)
    if levels.times is Times.STEPS:
        return STEP
    if whole.rounded or bool((np.diff(levels.lam) == 0).any()):
        return LOOSEST
    return min(max(EXACT, 50 * whole.state_error), LOOSEST)


def _described(levels: Levels, u: np.ndarray) -> Iterator[tuple[str, float]]:
    """Laws in words with their distances in u: of the given number, of the path's times, of the log of sigma/alpha."""
    given, r = levels.given, levels.ratio
    variables: list[tuple[str, np.ndarray]] = []
    if np.isfinite(given).all() and np.ptp(given) > 0:
        variables.append(("tau", given))
    variables += [
        ("t", 1 / (1 + r)),
        ("cosine time", 2 / np.pi * np.arctan2(1, r)),
        ("log sigma/alpha", np.log(r)),
    ]
    if levels.times is Times.DRAWN and variables[0][0] == "tau" and np.array_equal(given, np.round(given)):
        low, high = given.min(), given.max()  # those of all draws are among the levels read
        name = f"tau uniform on {low:.0f}..{high:.0f}"
        law = (given - low + 0.5) / (high - low + 1)
        yield name, float(min(np.abs(law - u).max(), np.abs(1 - law - u).max()))
    loose = DIGITS if levels.whole.draws else 1e-6
    for label, z in variables:
        yield _uniform(label, z, u, loose)
    for label, z in variables:
        if label == "tau" or label.startswith("log"):
            yield _normal(label, z, u)
        if label == "tau" and (z > 0).all():
            yield _normal("log tau", np.log(z), u)
        if label != "log sigma/alpha" and (z > 0).all() and (z < 1).all():
            yield _normal(f"logit {label}", np.log(z / (1 - z)), u)


def _uniform(label: str, z: np.ndarray, u: np.ndarray, loose: float) -> tuple[str, float]:
    low, width, error = line(u, z)
    ends = sorted((low, low + width))
    size = max(abs(each) for each in ends)
    first, last = (text(each, loose, loose * size) for each in ends)
    return f"{label} ~ uniform({first}, {last})", error


def _normal(label: str, z: np.ndarray, u: np.ndarray) -> tuple[str, float]:
    quantile = normal_quantile(u)
    mean, std, _ = line(quantile, z)
    error = float(np.abs(normal_law((z - mean) / std) - u).max())
    return f"{label} ~ N({text(mean, 1e-5, 1e-5 * abs(std))}, {text(abs(std))}²)", error


def line(x: np.ndarray, z: np.ndarray) -> tuple[float, float, float]:
    """(intercept, slope, error) of z = intercept + slope x; the error is that in x."""
    slope = float((x - x.mean()) @ (z - z.mean()) / ((x - x.mean()) @ (x - x.mean())))
    intercept = float(z.mean() - slope * x.mean())
    error = np.inf if slope == 0 else float(np.abs((z - intercept) / slope - x).max())
    return intercept, slope, error


def normal_quantile(u: np.ndarray) -> np.ndarray:
    """z with P(Z <= z) = u, of u's shape."""
    return torch.special.ndtri(torch.from_numpy(u)).numpy()


def normal_law(z: np.ndarray) -> np.ndarray:
    """P(Z <= z), of z's shape."""
    return torch.special.ndtr(torch.from_numpy(z)).numpy()


def _on_paths(levels: Levels, path: PathName, u: np.ndarray) -> Iterator[LawOnPath]:
    """The laws as command lines say them, carrier by carrier."""
    limit = _limit(levels)
    for carrier in (*carriers.of(path), *carriers.fitted(path, levels.lam, u)):
        t = carrier.time(levels.lam)
        reached = np.isfinite(t) & (t > 0) & (t < 1)
        if reached.mean() >= 0.9 and reached.sum() >= 8:
            for found in _specs(carrier, t[reached], u[reached], DIGITS if limit > EXACT else 0.0, limit):
                if found.error <= limit:
                    yield found


def _distance(law: TimeLaw, t: Tensor, u: np.ndarray, limit: float) -> float:
    """max |P(T <= t) - u|; infinite where it is above `limit`, which two quantiles tell without a bisection."""
    if not law.entry.meta.get("cdf"):
        low, high = (
            torch.from_numpy(np.clip(u + side, 1e-300, 1 - 2.0**-53)) for side in (-SURE * limit, SURE * limit)
        )
        below, above = (low > 1e-300) & (law.quantile(low) > t), (high < 1 - 2.0**-53) & (law.quantile(high) < t)
        if bool((below | above).any()):
            return np.inf
    return float(np.abs(law.cdf(t).numpy() - u).max())


def _specs(carrier: Carrier, t: np.ndarray, u: np.ndarray, loose: float, limit: float) -> Iterator[LawOnPath]:
    """`loose` is how far off parameters may be, of draws and of rounded times; laws beyond `limit` need no number."""
    whole = float(np.abs(t - u).max())
    low, width, error = line(u, t)
    if loose or whole <= 3 * error:  # else the times stop short of an end
        yield LawOnPath(carrier, "uniform", whole)
    if width > 0 and low > -1e-4 and low + width < 1 + 1e-4:
        near = max(1e-6, loose)
        low, high = max(shortest(low, 0.0, near), 0.0), min(shortest(low + width, 0.0, near), 1.0)
        yield LawOnPath(carrier, f"expr:{low:.9g} + {high - low:.9g}*u", error)
    if carrier.name == "linear":
        yield from _normals(carrier, t, u, loose)
    at = torch.from_numpy(t)
    entries = {entry.name: get_time_law(entry.name, fine=True) for entry in registry.entries("time", "gaussian")}
    for name, law in entries.items():
        if name != "uniform":
            yield LawOnPath(carrier, name, _distance(law, at, u, limit))
    for spec in _published():
        yield LawOnPath(carrier, spec, _distance(get_time_law(spec, fine=True), at, u, limit))
    middle = float(np.interp(0.5, u, np.log(t / (1 - t)))) if u[0] < 0.5 < u[-1] else np.nan
    for name, expression in SHIFTED.items():
        own = float(torch.logit(entries[name].quantile(torch.tensor([0.5], dtype=torch.float64)))[0])
        shift = np.exp(own - middle)
        if not np.isfinite(shift) or abs(shift - 1) < 1e-4:
            continue
        back = torch.sigmoid(torch.logit(at) + float(np.log(shift)))
        s = text(float(shift), 1e-3)
        moved = f"expr:{expression}/({s} - ({s} - 1)*{expression})"
        yield LawOnPath(carrier, moved, _distance(entries[name], back, u, limit))


@functools.cache
def _published() -> list[str]:
    """The laws of the published objectives that are expressions."""
    entries = published_objectives.entries()
    return sorted({each.time for each in entries if str(each.time).startswith("expr:")})


def _normals(carrier: Carrier, t: np.ndarray, u: np.ndarray, loose: float) -> Iterator[LawOnPath]:
    """Normal in the logit of t on the linear path, which is normal in log sigma/alpha on any."""
    logit = np.log(t / (1 - t))
    mean, std, _ = line(normal_quantile(u), logit)
    if std <= 0:
        return
    error = float(np.abs(normal_law((logit - mean) / std) - u).max())
    m, s = text(mean, 1e-5, max(1e-5, loose) * std), text(std, max(1e-5, loose))
    if (m, s) == ("1.2", "1.2"):
        yield LawOnPath(carrier, "lognormal_sigma", error)
    yield LawOnPath(carrier, f"logit_normal:mean={m},std={s}", error)
