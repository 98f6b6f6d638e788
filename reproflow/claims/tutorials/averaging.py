"""Tutorials on the moving average of weights: how much noise it removes, and what it keeps of the start (TUT-5)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import solve_discrete_lyapunov
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from reproflow.claims.policy import REFUTED, Context, Measurement, claim, worst

NOISE = "noise ratio"
START = "weight of the start"
HELPS = "0.9999 lowers the error in 1000 steps"
INDEPENDENT = "iterates taken as independent"
UNIFORM = "plain mean for the EMA"
DEBIASED = "begun at 0, divided by 1 - d^n"
SHORTER = "decay 0.99"
LONGER = "39100 steps"

PAIRS = ((0.99, 0.95), (0.9, 0.5), (0.95, 0.99), (0.98, -0.5))
"""(d, rho) of the noise ratio; the first is the one that the catalogue of claims quotes."""

WINDOW = 400
SLOW = 0.9999
RHO = 0.95
START_ERROR = 1.0
SPREAD = 0.1
CONTROLS = {NOISE: (INDEPENDENT, UNIFORM), START: (UNIFORM,), HELPS: (SHORTER, LONGER, DEBIASED)}
Update = Callable[..., None]


@claim(
    "TUT-5",
    title="an EMA lowers the iterates' noise, and hurts runs that are short against 1/(1 - d)",
    source="003, EMA (Exponential Moving Average)",
    kind="exact",
    tolerance=lambda case: 1.0 if case == HELPS else 1e-9,
    cases=(NOISE, START, HELPS),
    controls=lambda case: CONTROLS[case],
    expected={HELPS: REFUTED},
)
def moving_average(case: str, variant: str, context: Context) -> Measurement:
    """Var EMA / Var iterate = (1-d)(1+d rho)/((1+d)(1-d rho)); after n updates the start keeps the weight d^n.

    Statement: for stationary iterates with autocorrelation rho^k the average m' = d m + (1-d) w has that share of
        their variance; after n updates it still holds d^n of the initial weights. So "use EMA" is not good advice for
        every run: at d = 0.9999 the average of 1000 steps has a larger error than the last iterate (the third case,
        false as it stands).
    Assumptions: iterates near a minimum as an AR(1) process, w' = rho w + noise (gradient descent on a quadratic); in
        the third case begun 10 stationary standard deviations away, rho = 0.95.
    Proof idea: m = (1-d) sum d^k w_(n-k); sum the geometric series of d^j d^k rho^|j-k|.
    Computed: `noise ratio`: the closed form against the stationary covariance of (w, m) by the Lyapunov equation; and
        after 400 updates the exact covariance recursion against the quadratic form of torch's own averaging, whose
        weight on each iterate is read off by feeding it unit vectors. Largest relative gap over four (d, rho).
        `weight of the start`: d^n against what torch's AveragedModel keeps of its first weights, d = 0.9999 and
        n = 1000 (.905); it is .368 after 10 000 and .020 after 39 100 (100 epochs of CIFAR-10 in batches of 128).
        The third case: mean squared error of the average over that of the last iterate, from the covariance, supported
        at <= 1. A shorter memory, a longer run, and an average begun at 0 and divided by 1 - d^n (as in Adam) must be
        supported: a run is too short for its decay when d^n is not small. Whether a trained network samples
        better with its average is measured by cells, not here.
    Source: 003, "EMA": "Use EMA for better sampling quality", decay = 0.9999; "Don't skip EMA".
    Refuted by: a relative gap above 1e-9; in the third case a ratio above 1. Independent iterates in place of
        correlated ones, and a plain mean in place of the EMA, must show a gap.
    """
    if case == NOISE:
        gaps = [_noise_gap(d, rho, variant) for d, rho in PAIRS]
        d, rho = PAIRS[0]
        return Measurement(worst(gaps), detail=f"stated ratio {noise_ratio(d, rho):.6f} at d = {d}, rho = {rho}")
    if case == START:
        kept = start_weight(get_swa_multi_avg_fn() if variant == UNIFORM else get_ema_multi_avg_fn(SLOW), 1000)
        later = ", ".join(f"{SLOW**n:.3f} after {n}" for n in (10_000, 39_100))
        return Measurement(abs(kept / SLOW**1000 - 1), detail=f"{kept:.3f} after 1000 steps; as stated {later}")
    decay, steps = (0.99 if variant == SHORTER else SLOW), (39_100 if variant == LONGER else 1000)
    raw, averaged = errors(decay, steps, debias=variant == DEBIASED)
    return Measurement(
        averaged / raw, detail=f"mean squared error {averaged:.3g} of the average, {raw:.3g} of the last"
    )


def noise_ratio(d: float, rho: float) -> float:
    """(1-d)(1+d rho)/((1+d)(1-d rho)), the stationary variance of the EMA over that of the iterates."""
    return (1 - d) * (1 + d * rho) / ((1 + d) * (1 - d * rho))


def _noise_gap(d: float, rho: float, variant: str) -> float:
    """The larger relative gap: closed form and Lyapunov equation; recursion and torch's averaging."""
    transition, drive = _system(d, rho)
    stationary = solve_discrete_lyapunov(transition, drive)[1, 1]
    closed = noise_ratio(d, 0.0 if variant == INDEPENDENT else rho)
    covariance = np.ones((2, 2))
    for _ in range(WINDOW - 1):
        covariance = transition @ covariance @ transition.T + drive
    update = get_swa_multi_avg_fn() if variant == UNIFORM else get_ema_multi_avg_fn(d)
    weights = iterate_weights(update, WINDOW)
    lags = np.abs(np.subtract.outer(np.arange(WINDOW), np.arange(WINDOW)))
    measured = weights @ (float(rho) ** lags) @ weights
    return worst(abs(closed / stationary - 1), abs(measured / covariance[1, 1] - 1))


def _system(d: float, rho: float) -> tuple[np.ndarray, np.ndarray]:
    """(w, m)' = A (w, m) + noise of covariance Q, with Var w = 1 when stationary."""
    kick = np.array([1.0, 1 - d])
    return np.array([[rho, 0.0], [(1 - d) * rho, d]]), (1 - rho**2) * np.outer(kick, kick)


class _Vector(nn.Module):
    """A network that is one vector of weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, dtype=torch.float64))


def iterate_weights(update: Update, n: int) -> np.ndarray:
    """The weight of each of n iterates in torch's average of them, (n,): iterate k is the k-th unit vector."""
    network = _Vector(n)
    average = AveragedModel(network, multi_avg_fn=update)
    for k in range(n):
        network.weight.data.zero_()[k] = 1.0
        average.update_parameters(network)
    return next(average.parameters()).detach().numpy()


def start_weight(update: Update, n: int) -> float:
    """What torch's average keeps of first weights 1 after n updates with weights 0 (its very first is a copy)."""
    network = _Vector(1)
    average = AveragedModel(network, multi_avg_fn=update)
    network.weight.data.fill_(1.0)
    average.update_parameters(network)
    network.weight.data.zero_()
    for _ in range(n):
        average.update_parameters(network)
    return float(next(average.parameters()).detach())


def errors(d: float, n: int, debias: bool = False) -> tuple[float, float]:
    """Mean squared errors of the last iterate and of its EMA after n steps from `START_ERROR`; spread when stationary.

    P_n = P + A^n (P_0 - P) A^nT with the stationary P. `debias`: begun at 0 in place of w_0 and divided by 1 - d^n.
    """
    transition, drive = _system(d, RHO)
    stationary = solve_discrete_lyapunov(transition, SPREAD**2 * drive)
    begin = START_ERROR * np.array([1.0, 0.0 if debias else 1.0])
    power = np.linalg.matrix_power(transition, n)
    raw, averaged = np.diag(stationary + power @ (np.outer(begin, begin) - stationary) @ power.T)
    return float(raw), float(averaged) / ((1 - d**n) ** 2 if debias else 1.0)
