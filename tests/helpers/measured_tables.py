"""Tables of levels as the instrument reads them, made from objectives with rounding noise, to test naming on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.reading import LossForm, Reading
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law

NOISE = 1e-7
Function = Callable[[np.ndarray, np.ndarray, np.ndarray], object]


def quantiles(count: int = 160) -> np.ndarray:
    """Quantiles, even in their logit."""
    return 1 / (1 + np.exp(-np.linspace(-6.5, 6.5, count)))


def table(
    A: np.ndarray,
    B: np.ndarray,
    a: object,
    b: object,
    c: object,
    law: np.ndarray,
    given: object,
    *,
    times: Times = Times.CONTINUOUS,
    noise: float = NOISE,
    seed: int = 0,
    **rest: object,
) -> MeasuredLoss:
    """A table with relative rounding noise on what is read; scalars are spread over the levels."""
    rng = np.random.default_rng(seed)
    one = np.ones_like(A)

    def read(value: object) -> np.ndarray:
        return np.asarray(value, dtype=float) * one * (1 + noise * rng.uniform(-1, 1, len(A)))

    return MeasuredLoss(
        times=times,
        given=np.asarray(given, dtype=float) * one,
        A=read(A),
        B=read(B),
        offset=0 * one,
        a=read(a),
        b=read(b),
        target_offset=0 * one,
        c=read(c),
        law=law,
        state_error=max(noise, 1e-15),
        target_error=max(noise, 1e-15),
        coefficient_error=max(noise, 1e-15),
        **rest,
    )


TARGETS: dict[str, Function] = {
    "x1": lambda A, B, slope: (1.0, 0.0),
    "eps": lambda A, B, slope: (0.0, 1.0),
    "v": lambda A, B, slope: (-B, A),
    "velocity": lambda A, B, slope: slope,
    "straight": lambda A, B, slope: (1.0, -1.0),
    "score": lambda A, B, slope: (0.0, -1 / B),
}


def of_specs(
    path: str = "linear",
    time: str = "uniform",
    target: str = "velocity",
    c: Callable[[np.ndarray, np.ndarray], object] = lambda t, lam: 1.0,
    given: Callable[[np.ndarray, np.ndarray], object] = lambda t, lam: t,
    scale: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    **rest: object,
) -> MeasuredLoss:
    """The table of a loss c(t, lam) |T - T_hat|² on a path, times by quantiles; `scale` multiplies the state."""
    u = quantiles()
    t = get_time_law(time).quantile(torch.from_numpy(u))
    at = get_path(path).at(t)
    A, B, slopes = at.alpha.numpy(), at.sigma.numpy(), (at.dalpha.numpy(), at.dsigma.numpy())
    a, b = TARGETS[target](A, B, slopes)
    t, lam = t.numpy(), at.lam.numpy()
    size = 1.0 if scale is None else scale(A, B)
    return table(size * A, size * B, a, b, c(t, lam), u, given(t, lam), **rest)


def of_betas(
    betas: np.ndarray,
    target: str = "eps",
    c: Callable[[np.ndarray], object] = lambda snr: 1.0,
    **rest: object,
) -> MeasuredLoss:
    """The table of a loss on all levels of a schedule of betas, each drawn as often, told its index."""
    kept = np.cumprod(1 - betas)[::-1]
    A, B = np.sqrt(kept), np.sqrt(1 - kept)
    a, b = TARGETS[target](A, B, (A, B))
    count = len(betas)
    index = np.arange(count)[::-1]
    law = np.full(count, 1 / count)
    return table(A, B, a, b, c(kept / (1 - kept)), law, index, times=Times.STEPS, steps=index, **rest)


def linear_betas() -> np.ndarray:
    """DDPM's schedule of a thousand steps."""
    return np.linspace(1e-4, 2e-2, 1000)


def cosine_betas() -> np.ndarray:
    """The schedule of Nichol and Dhariwal (2021) of a thousand steps."""
    bar = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - bar[1:] / bar[:-1], 0.999)


def reading(measured: MeasuredLoss, **changes: object) -> Reading:
    """A reading that has read nothing but this table."""
    form = LossForm("squared", "mean")
    return dataclasses.replace(Reading(1, 0, (), (), form, 0.0, 1, measured), **changes)
