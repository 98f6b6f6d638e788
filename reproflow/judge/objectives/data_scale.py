r"""Data of another scale: what changes in a judgement where each coordinate of x1 has standard deviation s, not 1.

Write x1 = s z. Then x_t = alpha s z + sigma eps: for z the SNR is s² times that of the path, and so

- the ELBO's coefficient on the eps error, |lam'|/2, the canonical weight and every verdict are as they were: none of
  them knows the data;
- the best denoiser of Gaussian data has the eps error s² SNR / (1 + s² SNR), so that `per_log_snr.loss` is that of unit
  data with lam + 2 log s in the place of lam;
- the preconditioned network of Karras et al. (2022, table 1), x1^ = c_skip x + c_out F with x = x1 + r eps, r =
  sigma/alpha, c_skip = s²/(r² + s²), c_out = r s/sqrt(r² + s²), has an x1 error of c_out² times that of F, so that

.. math:: c_F = c_{out}^2 c_x = c_\epsilon \frac{s^2 SNR}{1 + s^2 SNR}, \qquad SNR = 1/r^2.

For s = 1 on a variance preserving path F is -v.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from reproflow.foundation.errors import UsageError
from reproflow.judge.objectives import restatements
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.objective import Objective
from reproflow.theory.processes.base import get_process

PRECONDITIONED = "preconditioned"
FARTHEST = 100.0
"""The largest shift of lam: beyond it shares of the loss may underflow at all that `NumericObjective` reaches."""
SAME = 1e-6
"""Up to this two scales are one, written with few digits."""


def check(sigma_data: float | None, objective: Objective) -> None:
    """Raises `UsageError` for a scale that is none or out of reach, and for a process whose data has none."""
    if sigma_data is None:
        return
    if not get_process(objective.process).converts:
        raise UsageError(f"--sigma-data is about Gaussian noise on numbers; the process is {objective.process}.")
    if not (math.isfinite(sigma_data) and sigma_data > 0):
        raise UsageError(f"--sigma-data {sigma_data:g} is no standard deviation; it must be above 0.")
    if abs(shift := 2 * math.log(sigma_data)) > FARTHEST:
        raise UsageError(
            f"--sigma-data {sigma_data:g} moves lam by {shift:+.4g}, out of reach; give the data in other units."
        )


def facts(sigma_data: float | None) -> dict[str, Any] | None:
    """`value`, the `shift` of lam, and in words what changes."""
    if sigma_data is None:
        return None
    shift = 2 * math.log(sigma_data)
    reason = (
        f"x1 has the standard deviation {sigma_data:g}: w, its verdicts and their lam do not change; the loss in "
        f"per_log_snr is that of lam {shift:+.4g}, and targets has the factor on the preconditioned network's error"
    )
    return {"value": sigma_data, "shift": shift, "reason": reason}


def on_targets(subject: NumericObjective, lam: Sequence[float], sigma_data: float | None) -> dict[str, Any] | None:
    """`restatements.on_targets`, with the factor on the preconditioned network's error where there is a scale."""
    found = restatements.on_targets(subject, lam)
    if found is not None and sigma_data is not None:
        found[PRECONDITIONED] = preconditioned(subject, lam, sigma_data)
    return found


def preconditioned(subject: NumericObjective, lam: Sequence[float], sigma_data: float) -> list[float | None]:
    """The factor c_F on the error of EDM's network at log-SNRs; None where the path does not reach."""
    at = torch.tensor(list(lam), dtype=torch.float64)
    t = invert_lam(subject.objective.path, at)
    reached = t.isfinite()
    on_eps = subject.objective.coefficient(torch.where(reached, t, 0.5)).detach()
    factor = torch.where(reached, on_eps * torch.sigmoid(at + 2 * math.log(sigma_data)), torch.nan)
    return [each if math.isfinite(each) else None for each in factor.tolist()]


def warnings(sigma_data: float | None, objective: Objective) -> list[str]:
    """Where a weighting has a scale of the data of its own, and another one."""
    own = objective.weighting.params.get("sigma_data")
    if sigma_data is None or own is None or math.isclose(own, sigma_data, rel_tol=SAME):
        return []
    name = objective.weighting.entry.name
    cure = f"{name}:sigma_data={sigma_data:.9g} is that of your data"
    return [f"weighting {name} has sigma_data = {own:.9g}, the data has {sigma_data:.9g}: {cure}"]
