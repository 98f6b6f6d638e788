"""An objective under judgement: what it consists of as functions on numpy arrays, NaN refused.

What its parts are is asked here; whether it is any good is decided by the verdicts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.numerics.intervals import Interval
from reproflow.theory import time_law_densities, time_law_support
from reproflow.theory.admission import admit_time_law
from reproflow.theory.log_snr import elbo_coefficient, log_snr
from reproflow.theory.objective import Objective
from reproflow.theory.processes.base import get_process
from reproflow.theory.targets import get_target

WHOLE = (0.0, 1.0)
OCTAVES = (50, 40)
# Beyond this log-SNR the exponentials of a sound weighting overflow.
FARTHEST = 600.0
CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class NumericObjective:
    """A Gaussian or masked objective in numpy; arguments and answers are float64 arrays of one shape."""

    objective: Objective

    def lam(self, t: np.ndarray) -> np.ndarray:
        """The log-SNR at t."""
        return self._number(lambda t: log_snr(self.objective.path, t), t, f"path {self.objective.path.name!r}")

    def value(self, t: np.ndarray) -> np.ndarray:
        """The weighting's own value at t, before any conversion."""
        weighting, path = self.objective.weighting, self.objective.path
        return self._number(lambda t: weighting.at(path.at(t)), t, f"weighting {weighting.name!r}")

    def w(self, t: np.ndarray) -> np.ndarray:
        """The canonical weight at t. Where it is NaN, the noun is named that makes it so."""
        found = self._raw(self.objective.weight, t)
        bad = np.isnan(found)
        if bad.any():
            self.value(t[bad])
            self.density(t[bad])
            name = self.objective.path.name
            raise UsageError(f"path {name!r} gives no weight at t = {t[bad].min():.6g}: 0/0 or inf/inf.")
        return found

    def density(self, t: np.ndarray) -> np.ndarray:
        """pi(t)."""
        return self._number(self.objective.time.density, t, f"time law {self.objective.time.name!r}")

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """t at the quantiles u of the time law."""
        return self._number(self.objective.time.quantile, u, f"time law {self.objective.time.name!r}", "u")

    def cdf(self, t: float) -> float:
        """P(T <= t)."""
        return float(self.objective.time.cdf(torch.tensor([t], dtype=torch.float64))[0]) if 0 < t < 1 else t

    def on_output(self, t: np.ndarray) -> np.ndarray:
        """pi times the coefficient of the loss, at t, on the prediction that `output` names."""
        if self.objective.prediction != "canonical":
            density = self.density(t)
            return np.where(density > 0, density * np.where(density > 0, self.value(t), 0.0), 0.0)
        return self._number(self._canonical_on_output, t, f"weighting {self.objective.weighting.name!r}")

    @property
    def output(self) -> str:
        """What the coefficient multiplies: what the weighting names, or the usual output if it is canonical."""
        if self.objective.prediction != "canonical":
            return self.objective.prediction
        return get_process(self.objective.process).prediction

    def _canonical_on_output(self, t: Tensor) -> Tensor:
        c, process = self.objective.path.at(t), get_process(self.objective.process)
        factor = get_target(process.prediction).error_factor(c) if process.converts else torch.ones_like(t)
        return self.objective.weight(t) * elbo_coefficient(c) / factor

    def dlam(self, t: np.ndarray) -> np.ndarray:
        """d lam/dt."""
        return self._number(lambda t: self.objective.path.at(t).dlam, t, f"path {self.objective.path.name!r}")

    def dalpha(self, t: np.ndarray) -> np.ndarray:
        """d alpha/dt."""
        return self._number(lambda t: self.objective.path.at(t).dalpha, t, f"path {self.objective.path.name!r}")

    @functools.cached_property
    def gaps(self) -> tuple[Interval, ...]:
        """Where the time law never goes."""
        return time_law_support.gaps(self.objective.time)

    @functools.cached_property
    def reach(self) -> Interval:
        """The times nearest to 0 and to 1 where the log-SNR is within the reach of floating point."""
        near = 2.0 ** -np.arange(1.0, 301.0)
        return float(self._reached(near)[-1]), float(self._reached(1 - near[: OCTAVES[1]])[-1])

    def _reached(self, t: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            lam = self._raw(lambda t: log_snr(self.objective.path, t), t)
        far = np.flatnonzero(~(np.abs(lam) <= FARTHEST))
        return t[: max(1, int(far[0]))] if len(far) else t

    @functools.cached_property
    def octaves(self) -> tuple[int, int]:
        """How many octaves towards t = 0 and t = 1 can be looked at."""
        return min(OCTAVES[0], round(-np.log2(self.reach[0]))), min(OCTAVES[1], round(-np.log2(1 - self.reach[1])))

    @functools.cached_property
    def resolved(self) -> float:
        """The last t at which w has six digits: a density that comes from a quantile map fails where u is nearly 1.

        Where the law itself ends, so that w is zero beyond, nothing is lost.
        """
        if self.objective.prediction == "canonical" or self.objective.time.entry.meta.get("density"):
            return 1.0
        last = float(self.quantile(np.array([1 - 1e-9]))[0])
        end = self.gaps[-1][0] if self.gaps and self.gaps[-1][1] == WHOLE[1] else WHOLE[1]
        return 1.0 if end < 1 and last >= end - CLOSE else last

    @functools.cached_property
    def dense(self) -> tuple[int, int]:
        """The same as `octaves`, where w is needed and not only the weighting's value."""
        near = int(-np.log2(1 - self.resolved)) if self.resolved < 1 else OCTAVES[1]
        return self.octaves[0], min(near, self.octaves[1])

    @functools.cached_property
    def ladder(self) -> np.ndarray:
        """Times that come as close to both ends as `octaves` allows, four an octave, in order."""
        low, high = (2.0 ** -np.arange(1, n + 1) for n in self.octaves)
        steps = np.array([1, 1.2, 1.4, 1.7])
        return np.unique(np.concatenate([np.outer(low, steps).ravel(), 1 - np.outer(high, steps).ravel()]))

    def fault(self) -> str:
        """Why this is no objective at all, whatever the weighting: in words, or nothing."""
        return self._path_fault() or self._law_fault()

    def _path_fault(self) -> str:
        t = (np.arange(8192) + 0.5) / 8192
        path = self.objective.path
        what = f"path {path.name!r}"
        alpha, sigma = (self._number(part, t, what) for part in (lambda t: path(t)[0], lambda t: path(t)[1]))
        cure = "see reproflow check path"
        for name, value in (("alpha", alpha), ("sigma", sigma)):
            bad = ~(np.isfinite(value) & (value > 0))
            if bad.any():
                return f"{what} has {name} = {value[bad][0]:.4g} at t = {t[bad][0]:.4g}; {cure}"
        falls = np.diff(self.lam(t)) <= 0
        if falls.any():
            return f"{what}: the SNR does not rise at t = {t[1:][falls][0]:.4g}; {cure}"
        return ""

    def _law_fault(self) -> str:
        self.quantile((np.arange(8192) + 0.5) / 8192)
        try:
            admit_time_law(self.objective.time)
            time_law_densities.check(self.objective.time)
        except UsageError as error:
            return str(error)
        return ""

    def _number(self, f: Callable[[Tensor], Tensor], t: np.ndarray, what: str, variable: str = "t") -> np.ndarray:
        """f at t. Raises `UsageError` naming the noun and the first place where it is NaN."""
        found = self._raw(f, t)
        bad = np.isnan(found)
        if bad.any():
            raise UsageError(
                f"{what} is NaN at {variable} = {np.ravel(t)[np.ravel(bad)].min():.6g}; "
                "it must be a number everywhere in (0, 1)."
            )
        return found

    @staticmethod
    def _raw(f: Callable[[Tensor], Tensor], t: np.ndarray) -> np.ndarray:
        return f(torch.from_numpy(np.ascontiguousarray(t, dtype=np.float64))).detach().numpy()
