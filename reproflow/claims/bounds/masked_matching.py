r"""Bounds: the weightings of Gaussian diffusion carried over to masked diffusion (ST-9)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy import optimize
from torch import Tensor

from reproflow.claims.policy import STATEMENT, Context, Measurement, claim, worst
from reproflow.foundation import registry
from reproflow.numerics.derivatives import Mode
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.log_snr import elbo_coefficient, invert_lam, log_snr
from reproflow.theory.objective import Objective, get_objective
from reproflow.theory.paths import Path, forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SWAPPED = "labels swapped"
REVERSED = "time reversed"
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


# By weighting: the Gaussian loss it was proposed as, under uniform time: path, weighting, and the prediction on whose
# error that stands. A registered Gaussian weighting of the same name is the original itself.
ORIGINS: dict[str, tuple[str, str, str]] = {
    "v_cosine": ("cosine", "expr:1", "v"),
    "indi": ("linear", "expr:1", "x1"),
    "p2": ("cosine", "expr:1/(1 + snr)", "eps"),
    "snr": ("cosine", "snr", "x1"),
    "truncated_snr": ("cosine", "truncated_snr", "x1"),
    "min_snr": ("cosine", "min_snr", "x1"),
    "soft_min_snr": ("cosine", "soft_min_snr", "x1"),
    "uniform": ("linear", "uniform", "velocity"),
    "inv_snr": ("linear", "inv_snr", "velocity"),
    "t_squared": ("linear", "t_squared", "velocity"),
    "one_minus_t_squared": ("linear", "one_minus_t_squared", "velocity"),
    "inv_one_minus_t_squared": ("linear", "inv_one_minus_t_squared", "x1"),
}


def _edm(odds: Tensor) -> Tensor:
    """EDM's weight at exp(-lam) = odds that a token is masked: the density N(lam; 2.4, 2.4²), times odds + 1/4."""
    z = (odds.log() + 2.4) / 2.4
    return torch.exp(-(z**2) / 2) / (2.4 * math.sqrt(2 * math.pi)) * (odds + 0.25)


def _edm_monotone(odds: Tensor) -> Tensor:
    """EDM's weight, constant from its peak, which is searched for numerically, to the noise."""
    peak = optimize.minimize_scalar(
        lambda x: -float(_edm(torch.tensor(x, dtype=torch.float64).exp())), bounds=(0, 10), method="bounded",
        options={"xatol": 1e-11},
    )  # fmt: skip
    return _edm(odds.clamp(max=math.exp(peak.x)))


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
        IDDPM 2 sqrt(alpha(1-alpha)); EDM as in ST-8 with e^-lam = (1-alpha)/alpha; and the simple weighting, 1 on the
        total cross-entropy, is (1-alpha)/|alpha'|.
    Assumptions: the cosine schedule of 001 Figs. 2-3, alpha = 1 - cos(pi/2 (1 - s)) in its noise-time s.
    Proof idea: one substitution each; the time law cancels for all but the simple weighting, which is taken under
        uniform time.
    Computed: what training uses, the density of the time law times the coefficient of the cross-entropy, relative to
        the ELBO's, for every registered masked weighting under every registered time law at 99 noise-times. Held to
        the statement written in the angle pi/2 (1 - s) and to five decimals at s = 0.1, 0.5, 0.9; EDM made monotone to
        its formula with the peak found by scipy; every other one to the Gaussian loss that it was proposed as (a factor
        on one prediction's error, uniform time, on its own path), at the same lam and up to a constant. The statistic
        is the largest relative gap, or what exceeds half a unit of the fifth decimal. A new weighting is held to its
        own function of lam (on the cross-entropy: times that of the simple one).
    Source: 001 Fig. 2 (right) and Fig. 3; Kingma & Gao 2023 for w(lam).
    Refuted by: a gap above 1e-12. Two weightings with their names swapped, and time read in the wrong direction, must
        be (the latter not for the ELBO, whose w is constant).
    """
    s = torch.cat([torch.linspace(0.01, 0.99, 99, dtype=torch.float64), torch.tensor(NOISE_TIMES, dtype=torch.float64)])
    stated, printed, how = _stated(case, variant, s)
    gaps = []
    for w in _used(case, variant, s if variant == REVERSED else 1 - s):
        ratio = w / stated
        constant = ratio[len(s) // 2] if case in ORIGINS else 1.0
        gaps.append(float((ratio / constant - 1).abs().max()))
        if printed is not None:
            gaps.append(float(((w[-len(NOISE_TIMES) :] - printed).abs() - 5e-6).max()))
    return Measurement(worst(gaps), detail=how)


def _stated(case: str, variant: str, s: Tensor) -> tuple[Tensor, Tensor | None, str]:
    """w of the statement at noise-times s, the printed numbers at `NOISE_TIMES`, and where w is from."""
    theta = 0.5 * math.pi * (1 - s)
    name = _another(case, s, theta) if variant == SWAPPED else case
    printed = torch.tensor(FORMS[name][1], dtype=torch.float64) if name in FORMS else None
    w, how = _form(name, s, theta)
    return w, printed, how


def _form(name: str, s: Tensor, theta: Tensor) -> tuple[Tensor, str]:
    """w at noise-times s by a formula or by the original; else by the weighting's own function of lam."""
    if name in FORMS:
        return FORMS[name][0](theta), ""
    if name == "edm_monotone":
        return _edm_monotone(theta.cos() / (1 - theta.cos())), ""
    if name in ORIGINS:
        path, spec, on = ORIGINS[name]
        return _original(*ORIGINS[name], log_snr(_schedule(), 1 - s)), f"held to {spec} on {on}, {path} path"
    return _own(name, s, theta), "held to its own function of lam"


def _another(case: str, s: Tensor, theta: Tensor) -> str:
    """The name of another weighting: of IDDPM and flow matching the first that is not proportional to it."""
    own = _form(case, s, theta)[0]
    ratios = {other: FORMS[other][0](theta) / own for other in ("iddpm", "fm")}
    return next(other for other, ratio in ratios.items() if float(ratio.max() / ratio.min()) > 1 + 1e-6)


def _original(path_name: str, spec: str, on: str, lam: Tensor) -> Tensor:
    """The canonical weight of a Gaussian loss under uniform time, at log-SNRs lam."""
    objective = get_objective(path_name, "uniform", spec, prediction=on, mode=Mode.FORWARD)
    return _relative(objective, invert_lam(objective.path, lam))


def _own(name: str, s: Tensor, theta: Tensor) -> Tensor:
    """w by the weighting's own function of lam; on the cross-entropy, times that of the simple one."""
    weighting = get_weighting(name, "masked")
    dalpha = 0.5 * math.pi * theta.sin()
    own = weighting.at(Coefficients(1 - s, 1 - theta.cos(), theta.cos(), dalpha, -dalpha, "masked"))
    return own if weighting.on == "canonical" else own * FORMS["simple"][0](theta)


def _used(case: str, variant: str, t: Tensor) -> list[Tensor]:
    """w at t of a masked weighting on the cosine schedule, under every time law that goes to all of t; none matters.

    A control has to break it under uniform time already, where the simple weighting is always taken.
    """
    weighting = get_weighting(case, "masked")
    every = variant == STATEMENT and weighting.on == "canonical"
    names = [entry.name for entry in registry.entries("time", "masked")] if every else ["uniform"]
    laws = [law for law in map(get_time_law, names) if bool((law.density(t) > 0).all())]
    return [_relative(Objective(_schedule(), law, weighting), t) for law in laws]


def _relative(objective: Objective, t: Tensor) -> Tensor:
    """Density times coefficient over the ELBO's: the canonical weight by the route that training takes."""
    return objective.time.density(t) * objective.coefficient(t) / elbo_coefficient(objective.path.at(t))


def _schedule() -> Path:
    return forward_path("cosine", "masked")
