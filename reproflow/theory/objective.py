r"""Objectives: what a training loss asks of a network, and its canonical form, one function of the log-SNR.

A Gaussian loss that draws t from pi and puts the coefficient c_eps(t) on the eps error is

.. math:: \int \pi(t) c_\epsilon(t) E|\epsilon - \hat\epsilon|^2 dt
          = \int w(\lambda) \tfrac12 E|\epsilon - \hat\epsilon|^2 d\lambda,
          \qquad w = 2 \pi c_\epsilon / |\dot\lambda|,

the ELBO integrand times w (Kingma & Gao 2023; 001 Theorem 2 uses its monotonicity). For a masked process the ELBO
integrand is alpha'/(1-alpha) CE, so w = pi c_CE (1-alpha)/|alpha'|. Two objectives of one process with proportional w
share their ideal minimiser *and* their ideal gradient; only the variance of training differs. Where a time law never
goes, w is zero, whatever the weighting says there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reproflow.foundation.specs import Spec
from reproflow.numerics.derivatives import Mode, with_slope
from reproflow.numerics.intervals import inside
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.divergences import Divergence, get_divergence
from reproflow.theory.log_snr import elbo_coefficient, invert_lam
from reproflow.theory.paths import Path, get_path
from reproflow.theory.processes.base import get_process
from reproflow.theory.targets import get_target
from reproflow.theory.time_law_gaps import gaps
from reproflow.theory.times import TimeLaw, get_time_law
from reproflow.theory.weightings import Weighting, check_prediction, get_weighting

DEFAULT_LOSS = "squared"
# Odd spacing, so that no point lies on a kink that someone has put at a round number.
LAM = torch.linspace(-8.03, 8.01, 401, dtype=torch.float64)
"""The log-SNRs at which objectives are compared."""


@dataclass(frozen=True, eq=False)
class Objective:
    """A path, the law that t is drawn from, and a weight on the loss of one prediction.

    `prediction` names what the weighting multiplies the squared error of: velocity, x1, eps, score, v, for a masked
    process ce (the cross-entropy), or canonical, where the weighting is w itself and the loss may be put on any of
    them. Empty, it is what the weighting says; given, it replaces that. `loss` is the divergence of target and
    prediction that takes the place of the squared error, None for the squared error itself (masked: the cross-entropy).
    Only squared errors and cross-entropies convert (LOSS-5): with another loss `coefficient` is that of the squared
    error and `weight` says nothing about its minimiser.

    Raises `UsageError` for a prediction that the path's process does not have.
    """

    path: Path
    time: TimeLaw
    weighting: Weighting
    prediction: str = ""
    loss: Divergence | None = None

    def __post_init__(self) -> None:
        prediction = self.prediction or self.weighting.on
        check_prediction(self.weighting.name, prediction, self.process)
        if prediction != self.weighting.on:
            object.__setattr__(self, "weighting", replace(self.weighting, prediction=prediction))
        object.__setattr__(self, "prediction", prediction)

    @property
    def process(self) -> str:
        """The path's process."""
        return self.path.process

    def coefficient(self, t: Tensor) -> Tensor:
        """c(t), the loss's coefficient on the error in eps (Gaussian) or on the cross-entropy (masked), of t's shape.

        A canonical weighting is divided by the time law's density, so that the law changes the variance and nothing
        else.
        """
        c = self.path.at(t)
        value = self.weighting.at(c)
        if self.prediction == "canonical":
            return value * elbo_coefficient(c) / self.time.density(t)
        return value * error_factor(self.weighting, c)

    def weight(self, t: Tensor) -> Tensor:
        """w at t, the weight relative to the ELBO integrand, of t's shape; not normalised; zero where pi is.

        Gaussian: w = 2 pi(t) c_eps(t) / |dlam/dt|; masked: w = pi(t) c_CE(t) (1-alpha)/|dalpha/dt|.
        """
        c = self.path.at(t)
        if self.prediction == "canonical":
            return torch.where(inside(gaps(self.time), t), 0.0, self.weighting.at(c))
        density = self.time.density(t)
        w = density * self.weighting.at(c) * error_factor(self.weighting, c) / elbo_coefficient(c)
        return torch.where(density == 0, 0.0, w)  # an infinite weight where no t is drawn, too

    def weight_slope(self, t: Tensor) -> Tensor:
        """dw/dlam = (dw/dt) / (dlam/dt) at t, of t's shape, by forward-mode differentiation; one-sided at a kink."""
        return with_slope(self.weight, t, Mode.FORWARD)[1] / self.path.at(t).dlam

    def at_log_snr(self, lam: Tensor) -> Tensor:
        """w at the log-SNRs lam, of their shape, by inverting lam(t); NaN where no t in (0, 1) reaches it."""
        t = invert_lam(self.path, lam)
        reached = t.isfinite()
        return torch.where(reached, self.weight(torch.where(reached, t, 0.5)), torch.nan)

    def signature(self, lam: Tensor = LAM) -> Tensor:
        """`at_log_snr` as a constant, by which objectives are compared (`theory.equivalence.proportional`)."""
        return self.at_log_snr(lam).detach()


def get_objective(
    path: str | Spec,
    time: str | Spec,
    weighting: str | Spec,
    process: str = "gaussian",
    prediction: str = "",
    loss: str | Spec = DEFAULT_LOSS,
    mode: Mode | None = None,
) -> Objective:
    """The objective whose components these specs name; `mode` is that of the path's derivatives, as in `get_path`.

    Raises `UsageError` for a spec that names nothing or has a wrong parameter, and for a prediction that the process
    does not have.
    """
    divergence = None if loss in (DEFAULT_LOSS, Spec(DEFAULT_LOSS)) else get_divergence(loss)
    components = get_path(path, process, mode), get_time_law(time), get_weighting(weighting, process, prediction)
    return Objective(*components, loss=divergence)


def canonical(path: Path, law: TimeLaw, weighting: Weighting, t: Tensor) -> Tensor:
    """w at t, of t's shape: `Objective(path, law, weighting).weight(t)`."""
    return Objective(path, law, weighting).weight(t)


def error_factor(weighting: Weighting, c: Coefficients) -> Tensor:
    """What an eps error (masked: a cross-entropy) is in units of what the weighting multiplies, of t's shape."""
    converts = get_process(c.process).converts
    return get_target(weighting.on).error_factor(c) if converts else torch.ones_like(c.t)
