r"""Bounds: the weightings of Gaussian diffusion carried over to masked diffusion (ST-9)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim
from reproflow.foundation import registry
from reproflow.theory.canonical import canonical
from reproflow.theory.paths import Coefficients, get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SWAPPED, REVERSED = "labels swapped", "time reversed"
NOISE_TIMES = (0.1, 0.5, 0.9)

# By weighting: w in theta = (pi/2)(1 - s), where alpha = 1 - cos theta; and w at noise-times s = 0.1, 0.5, 0.9 as
# computed once from 001's formulas, to five decimals.
FORMS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, float, float]]] = {
    "elbo": (torch.ones_like, (1.0, 1.0, 1.0)),
    "simple": (lambda theta: 2 / (math.pi * theta.tan()), (0.10083, 0.63662, 4.01946)),
    "fm": (lambda theta: (theta.cos() / (1 - theta.cos())).sqrt(), (0.43063, 1.55377, 8.95678)),
    "sigmoid": (torch.cos, (0.15643, 0.70711, 0.98769)),
    "iddpm": (lambda theta: 2 * (theta.cos() * (1 - theta.cos())).sqrt(), (0.72653, 0.91018, 0.22055)),
    "edm": (lambda theta: _edm(theta.cos() / (1 - theta.cos())), (0.06924, 0.17392, 0.24599)),
}


def _edm(odds: Tensor) -> Tensor:
    """EDM's weight at exp(-lam) = odds that a token is masked: the density N(lam; 2.4, 2.4²), times odds + 1/4."""
    z = (odds.log() + 2.4) / 2.4
    return torch.exp(-(z**2) / 2) / (2.4 * math.sqrt(2 * math.pi)) * (odds + 0.25)


def _cases() -> tuple[str, ...]:
    return tuple(entry.name for entry in registry.entries("weighting", "masked"))


def _controls(case: str) -> tuple[str, ...]:
    # The ELBO's w is constant, the same in either direction of time: reversing it changes nothing.
    return (SWAPPED,) if case == "elbo" else (SWAPPED, REVERSED)


@claim(
    "ST-9",
    title="Gaussian weightings matched to masked diffusion by the log-SNR",
    source="001 Fig. 2",
    kind="exact",
    tolerance=1e-12,
    cases=_cases,
    controls=_controls,
)
def masked_matching(case: str, variant: str, context: Context) -> Measurement:
    """A Gaussian weighting w(lam) acts on a masked process by inserting lam = log(alpha/(1 - alpha)).

    Statement: relative to the ELBO integrand, ELBO 1; sigmoid (k = 0) 1 - alpha; flow matching sqrt((1-alpha)/alpha);
        IDDPM 2 sqrt(alpha(1-alpha)); and the simple weighting, 1 on the total cross-entropy, is (1-alpha)/|alpha'|.
    Assumptions: the cosine schedule of 001 Figs. 2-3, alpha = 1 - cos(pi/2 (1 - s)) in its noise-time s.
    Proof idea: one substitution each; the time law cancels for all but the simple weighting, which is taken under
        uniform time.
    Computed: the canonical form of every registered masked weighting under every registered time law, against the
        statement written in the angle pi/2 (1 - s), at 99 noise-times; and against five decimals at s = 0.1, 0.5, 0.9.
        The statistic is the largest relative gap, or what exceeds half a unit of the fifth decimal. A weighting without
        a row of its own is held to its own function of lam (on the cross-entropy: times that of the simple one).
    Source: 001 Fig. 2 (right) and Fig. 3; Kingma & Gao 2023 for w(lam).
    Refuted by: a gap above 1e-12. Two weightings with their names swapped, and time read in the wrong direction, must
        be (the latter not for the ELBO, whose w is constant).
    """
    s = torch.cat([torch.linspace(0.01, 0.99, 99, dtype=torch.float64), torch.tensor(NOISE_TIMES, dtype=torch.float64)])
    stated, printed = _stated(case, variant, s)
    gaps = []
    for w in _canonical(case, s if variant == REVERSED else 1 - s):
        gaps.append(float(((w - stated).abs() / stated).max()))
        if printed is not None:
            gaps.append(float(((w[-len(NOISE_TIMES) :] - printed).abs() - 5e-6).max()))
    return Measurement(max(gaps), detail="" if printed is not None else "held to its own function of lam")


def _stated(case: str, variant: str, s: Tensor) -> tuple[Tensor, Tensor | None]:
    """w of the statement at noise-times s, and the printed numbers at `NOISE_TIMES`."""
    theta = 0.5 * math.pi * (1 - s)
    name = _another(case, s, theta) if variant == SWAPPED else case
    if name in FORMS:
        form, printed = FORMS[name]
        return form(theta), torch.tensor(printed, dtype=torch.float64)
    return _own(name, s, theta), None


def _another(case: str, s: Tensor, theta: Tensor) -> str:
    """The name of another weighting: of IDDPM and flow matching the first that is not the same function."""
    own = FORMS[case][0](theta) if case in FORMS else _own(case, s, theta)
    return next(other for other in ("iddpm", "fm") if not torch.allclose(FORMS[other][0](theta), own, rtol=1e-6))


def _own(name: str, s: Tensor, theta: Tensor) -> Tensor:
    """w by the weighting's own function of lam; on the cross-entropy, times that of the simple one."""
    weighting = get_weighting(name, "masked")
    dalpha = 0.5 * math.pi * theta.sin()
    own = weighting.at(Coefficients(1 - s, 1 - theta.cos(), theta.cos(), dalpha, -dalpha, "masked"))
    return own if weighting.on == "canonical" else own * FORMS["simple"][0](theta)


def _canonical(case: str, t: Tensor) -> list[Tensor]:
    """w at t of a masked weighting on the cosine schedule, under every time law that must not matter."""
    weighting = get_weighting(case, "masked")
    laws = [entry.name for entry in registry.entries("time", "masked")] if weighting.on == "canonical" else ["uniform"]
    return [canonical(get_path("cosine", "masked"), get_time_law(law), weighting, t) for law in laws]
