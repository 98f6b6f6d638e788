r"""A canonical weight known by measured values: judged with a tolerance, since measured numbers are never level.

The bound test of a formula counts a rise of 1e-6. Of a weight that was measured to a relative tolerance e only a rise
of more than e can be claimed. So in the place of w the nearest weight below it that rises less is judged,

.. math:: w'(\lambda) = \max\big(\min_{\lambda' \le \lambda} w(\lambda'),\; (1 - e) \, w(\lambda)\big),

which differs from w by at most e, never rises where w rises by less, and rises where w rises by more. Nothing is said
of levels beyond those measured.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.foundation.registry import Entry
from reproflow.judge.objectives.judgement import Judgement, objective
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import Weighting

NAME = "measured"
FEWEST = 8
EDGE = 1e-9


def measured(lam: np.ndarray, w: np.ndarray, tolerance: float, process: str = "gaussian") -> Judgement:
    """The judgement on the weight w (P,) at log-SNRs lam (P,), ascending, known to a relative tolerance.

    Raises `UsageError` for fewer than eight levels, for log-SNRs out of order and for what is no number.
    """
    if len(lam) < FEWEST or not (np.isfinite(lam).all() and np.isfinite(w).all() and (np.diff(lam) > 0).all()):
        raise UsageError(f"a measured weight is {FEWEST} or more finite numbers, at log-SNRs in order.")
    path = get_path("cosine", process)
    value = functools.partial(_interpolated, lam=lam, w=within(w, tolerance))
    entry = Entry("weighting", process, NAME, value, "", NAME, {}, {"on": "canonical"})
    weighting = Weighting(NAME, process, entry, value)
    low, high = invert_lam(path, torch.tensor([lam[0], lam[-1]], dtype=torch.float64)).tolist()
    edge = EDGE * (high - low)
    found = objective(Objective(path, get_time_law("uniform", fine=True), weighting), (low + edge, high - edge))
    reach = (
        f"as measured for lam from {lam[0]:.4g} to {lam[-1]:.4g}, where rises of less than {tolerance:g} do not count"
    )
    return replace(found, bound={**found.bound, "reason": f"{found.bound['reason']}; {reach}"})


def within(w: np.ndarray, tolerance: float) -> np.ndarray:
    """The weight w' of w (P,), from the noise to the data; w itself where some of it is negative."""
    if (w < 0).any():
        return w
    return np.maximum(np.minimum.accumulate(w), (1 - tolerance) * w)


def _interpolated(t: Tensor, at: Tensor, lam: np.ndarray, w: np.ndarray) -> Tensor:
    """w at log-SNRs, linear between neighbours in its logarithm where it has one: no rise that the table has not."""
    x = at.detach().double().numpy()
    found = np.exp(np.interp(x, lam, np.log(w))) if (w > 0).all() else np.interp(x, lam, w)
    return torch.from_numpy(np.asarray(found)) + 0 * at
