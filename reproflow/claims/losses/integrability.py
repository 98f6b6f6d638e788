"""Losses: which of them are infinite over uniform times (LOSS-7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy import integrate
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, worst
from reproflow.exact.mixture import Mixture
from reproflow.numerics.arrays import on_arrays
from reproflow.numerics.quadrature import Integral, integral
from reproflow.theory.objective import get_objective
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import get_target

NORMAL = Mixture(torch.tensor([1.0]), torch.zeros(1, 1), torch.tensor([1.0]))
"""Data N(0, 1): Var(u|x) is the same at every x, (alpha' sigma - sigma' alpha)² / (alpha² + sigma²)."""

CUTS = (1e-1, 1e-2, 1e-4, 1e-8)
OCTAVES = (45, 45)
"""How near to both ends the integrands are asked: 2^-45 leaves 1 - t some digits."""

UNIFORM_SPEED = "uniform angular speed"
CUT = "times end at the cut"
OTHER = "weight 1"


@dataclass(frozen=True)
class Divergent:
    """An integrand over uniform t with a pole at one end, and its integral up to a distance delta from that end."""

    integrand: Callable[[Tensor], Tensor]
    closed: Callable[[float], float]
    end: int
    control: Callable[[Tensor], Tensor]


def _irreducible(name: str) -> Callable[[Tensor], Tensor]:
    """t -> E Var(u_t(x|Z)|x) on N(0, 1) data, of t's shape."""

    def variance(t: Tensor) -> Tensor:
        return NORMAL.velocity_variance(torch.zeros(len(t), 1, dtype=t.dtype), forward_path(name).at(t))

    return variance


def _on_velocity(name: str) -> Callable[[Tensor], Tensor]:
    """t -> the factor that a weighting puts on the velocity error of the linear path, of t's shape."""

    def factor(t: Tensor) -> Tensor:
        objective = get_objective("linear", "uniform", name)
        return objective.coefficient(t) / get_target("velocity").error_factor(objective.path.at(t))

    return factor


def _vp(d: float, low: float = 0.1, high: float = 20.0) -> float:
    """int_0^(1-d) E Var(u_t|x) dt on the linear-beta path, in m = -log alpha: |m'| = sqrt(low²/4 + (high - low) m)."""

    def integrand(log_m: float) -> float:
        m = math.exp(log_m)
        return m * math.sqrt(0.25 * low**2 + (high - low) * m) / math.expm1(2 * m)

    first = 0.25 * (high - low) * d**2 + 0.5 * low * d
    last = 0.25 * (high - low) + 0.5 * low
    return float(integrate.quad(integrand, math.log(first), math.log(last), limit=200, epsrel=1e-12)[0])


CASES = {
    "loss of vp_sigma_t": Divergent(_irreducible("vp_sigma_t"), lambda d: math.atanh(1 - d), 0, _irreducible("cosine")),
    "loss of vp": Divergent(_irreducible("vp"), _vp, 1, _irreducible("cosine")),
    "mean of inv_snr": Divergent(
        _on_velocity("inv_snr"), lambda d: 1 / d + 2 * math.log(d) - d, 0, _on_velocity("uniform")
    ),
    "mean of elbo": Divergent(_on_velocity("elbo"), lambda d: d - 1 - math.log(d), 1, _on_velocity("uniform")),
}


def _controls(case: str) -> tuple[str, ...]:
    return (UNIFORM_SPEED if case.startswith("loss") else OTHER, CUT)


@claim(
    "LOSS-7",
    title="003's VP path has an infinite loss, and 1/SNR an infinite mean",
    source="003, 'Variance-Preserving Loss', 'Weighted Loss'",
    kind="exact",
    tolerance=1e-6,
    cases=tuple(CASES),
    controls=_controls,
)
def infinite(case: str, variant: str, context: Context) -> Measurement:
    """sigma_s = s (s = 1 - t) has E tr Var(u|x) = 1/(1 - s²), so int_0^(1-d) = atanh(1 - d) -> infinity as d -> 0.

    Statement: on 003's "common choice" of a VP path the floor of the conditional loss over uniform time is infinite; on
        the linear-beta VP path it is too, at the data end, if the data have a density (sigma' is infinite there). On
        the linear path the weight 1/SNR has the mean 1/d + 2 log d - d, and the ELBO's weight t/(1 - t) the mean
        -log d - (1 - d), up to a distance d from the end where each diverges, so infinite ones. For such a weight
        Lemma 4.7's hypothesis E[w] < infinity is not met: D~ cannot be normalised. The loss itself may still be
        finite (the ELBO's is, on a finite data set), so such a weight is to be reported, not refused.
    Assumptions: uniform time; N(0, 1) data for the loss. That of 003's path diverges on all data but a single point,
        for alpha' is infinite at the noise end, where x says nothing of the data.
    Proof idea: on a path with alpha² + sigma² = 1 the variance on N(0, 1) data is the squared angular speed.
    Computed: the exact posterior variance of `vp_sigma_t`, and the registered weightings' factors on the velocity, by
        adaptive quadrature to distances 0.1 to 1e-8 from that end, against the closed forms; then to the end itself,
        where the exponent of the pole must say infinite. The statistic is the largest relative gap, and at least 1 if
        the whole integral is not infinite.
    Source: 003 (its own time is s): "Common choice: sigma_t = t"; "w(t) = 1/SNR(t)"; 000 Lemma 4.7.
    Refuted by: a gap above 1e-6, or a finite integral. The same curve at uniform angular speed (the `cosine` path), the
        weight 1, and times that end at a cut of 0.001 all have finite ones.
    """
    problem = CASES[case]
    function = problem.integrand if variant in ("statement", CUT) else problem.control
    gaps = [abs(_integral(function, *_range(problem.end, d)).value / problem.closed(d) - 1) for d in CUTS]
    whole = _integral(function, *_range(problem.end, 1e-3 if variant == CUT else 0.0))
    detail = f"relative gap {max(gaps):.2g}, integral {whole.value:.6g} ({whole.verdict})"
    return Measurement(worst(*gaps, 0.0 if whole.verdict == "infinite" else 1.0), detail=detail)


def _range(end: int, distance: float) -> tuple[float, float]:
    """(0, 1) without what is nearer than a distance to one end."""
    return (distance, 1.0) if end == 0 else (0.0, 1 - distance)


def _integral(function: Callable[[Tensor], Tensor], low: float, high: float) -> Integral:
    return integral(on_arrays(function), low, high, OCTAVES)
