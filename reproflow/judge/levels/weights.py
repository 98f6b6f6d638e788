r"""The canonical weight of every level of a chain: its loss relative to that level's term of the discrete ELBO.

Count levels i from the data. With the posterior variance in the reverse steps the term of level i is (Ho et al. 2020;
Kingma et al. 2021)

.. math:: L_i = \tfrac12 (SNR_{i-1} - SNR_i) E|x_1 - \hat x_1(x_i)|^2
          \quad\text{or}\quad L_i = \frac{\alpha_{i-1} - \alpha_i}{1 - \alpha_i} CE_i,

Gaussian and masked, so that a loss :math:`\sum_i \pi_i c_i E|..|^2` is :math:`\sum_i w_i L_i` with

.. math:: w_i = \frac{2 \pi_i c_{x,i}}{SNR_{i-1} - SNR_i}
          = \frac{2 \pi_i c_{\epsilon,i}}{e^{\lambda_{i-1} - \lambda_i} - 1}
          \quad\text{or}\quad w_i = \pi_i c_i \frac{1 - \alpha_i}{\alpha_{i-1} - \alpha_i}.

The level next to the data has no such term: its own is the decoder's, -log p(x | x_i). Level N may have SNR 0 and a
finite weight. :math:`\sum_i w_i L_i` is a sum of bounds with positive coefficients where w does not rise towards the
data: the sum of all terms from some level to the noise is at least the KL divergence of that level's marginals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.errors import UsageError
from reproflow.judge.levels.schedule import Levels
from reproflow.theory.processes.base import get_process
from reproflow.theory.targets import get_target


@dataclass(frozen=True)
class Chain:
    """What the weight of a level needs of a process.

    `error` names the error whose coefficient `step` takes to w / pi, (N,) with the first NaN; `reference` is this error
    of a predictor that knows no data, (N,), for data of standard deviation s.
    """

    error: str
    step: Callable[[Levels], np.ndarray]
    reference: Callable[[Levels, float], np.ndarray]


CHAINS: ByProcess[Callable[[], Chain]] = ByProcess("chain of levels", __name__)
"""By process: its discrete ELBO."""


@dataclass(frozen=True)
class LevelWeights:
    """A loss on the levels of a chain, from data to noise; arrays have shape (N,).

    `value` multiplies the error that `prediction` names (or is w itself), `probability` is that of drawing the level;
    `coefficient` is on the error of the process's ELBO, and `w` the canonical weight: NaN where a level has none.
    """

    levels: Levels
    value: np.ndarray
    prediction: str
    probability: np.ndarray
    coefficient: np.ndarray
    w: np.ndarray
    rounding: float = 0.0
    """How far off `value` may be, relative to itself, for the digits of its table."""

    @property
    def loss(self) -> np.ndarray:
        """pi times the value, the coefficient of the loss as it is written, (N,); NaN for a canonical one's decoder."""
        return self.probability * (self.coefficient if self.prediction == "canonical" else self.value)

    def on(self, prediction: str) -> np.ndarray:
        """The factor on this prediction's error that gives the same loss, (N,); NaN or inf where none does."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.coefficient / factor(self.levels, prediction)


def level_weights(
    levels: Levels, value: np.ndarray, prediction: str, probability: np.ndarray, rounding: float = 0.0
) -> LevelWeights:
    """The canonical weights of a loss with this value at every level.

    Raises `UsageError` where there is no such prediction on a chain, and for infinity times zero, with the index.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        step = CHAINS[levels.process]().step(levels)
        if prediction == "canonical":
            w = np.where(np.isnan(step), np.nan, np.where(probability > 0, value, 0.0))
            coefficient = np.where(probability > 0, w / (probability * step), 0.0)
            return LevelWeights(levels, value, prediction, probability, coefficient, w, rounding)
        ratio = factor(levels, prediction)
        coefficient = np.where(value == 0, 0.0, value * ratio)
    bad = np.isnan(coefficient)
    if bad.any():
        place = int(bad.argmax())
        what = "sigma is 0" if levels.sigma[place] == 0 else "the SNR is 0"
        raise UsageError(
            f"index {levels.index[place]}: an error of {prediction} with the weight {value[place]:g} says nothing of "
            f"the data where {what}; give the weight on x1 or v."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        w = np.where(probability > 0, probability * coefficient * step, np.where(np.isnan(step), np.nan, 0.0))
    return LevelWeights(levels, value, prediction, probability, coefficient, w, rounding)


def factor(levels: Levels, prediction: str) -> np.ndarray:
    """|dy|² of a prediction over |d x1|² at fixed x_i, (N,): (a - b alpha/sigma)² of y = a x1 + b eps.

    Raises `UsageError` for a velocity where the levels are a table: it has no derivative.
    """
    if not get_process(levels.process).converts:
        return np.ones(len(levels))
    a, b = (each.numpy() for each in get_target(prediction).coefficients(levels.coefficients))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(b == 0, a, a - b * levels.alpha / levels.sigma) ** 2
    if np.isnan(found).all():
        raise UsageError(
            f"a table of levels has no {prediction}, which is a derivative in t; say --target eps, x1, v or score, or "
            "give flow_sigmas or a --path."
        )
    return found
