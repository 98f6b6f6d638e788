"""Generator matching: which weights and time laws leave the target of training alone (BIL-1)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, told, worst
from reproflow.foundation import registry
from reproflow.numerics import gauss_rules
from reproflow.theory.times import TimeLaw, get_time_law

FORGET_K = "K forgotten"
GRID = "D on a grid"
HOLE = "w = 0 on (0.3, 0.5)"
MIXED = "uniform+beta+atom"
BREAKS = (0.0, 0.25, 0.3, 0.5, 1.0)
"""Where an integrand may jump: the atom of the mixed law and the ends of the control's hole."""

BEFORE_POLE = 1 - 2**-10
"""Where times end for a law with a pole at t = 1: float64 has too few numbers next to 1 to integrate it to 1e-13. The
lemma holds for any finite measure, so for the law cut off there too."""

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Law:
    """A law D of times: a density on (0, 1) and atoms (time, mass).

    `mass_between(w, a, t)` is the integral of w dD over (a, t), atoms excluded, of t's shape: for a registered law by
    its quantile map and CDF, which the density does not enter. `end` is where the times that are looked at end.
    """

    density: Function
    mass_between: Callable[[Function, float, Tensor], Tensor]
    atoms: tuple[tuple[float, float], ...] = ()
    end: float = 1.0


def _cases() -> tuple[str, ...]:
    return (MIXED, *(entry.name for entry in registry.entries("time", "gaussian")))


@claim(
    "BIL-1",
    title="a weight in time is a change of time law (Lemma 4.7)",
    source="000 Lemma 4.7",
    kind="exact",
    tolerance=1e-13,
    cases=_cases,
    controls=(FORGET_K, GRID, HOLE),
)
def reweighting_lemma(case: str, variant: str, context: Context) -> Measurement:
    """E_D[w L] = K E_D~[L] with D~ = w D/K, K = E_D[w]; D~ is a probability and dominates Lebesgue measure.

    Statement: for D >> lambda, w >= 0, E_D[w] finite and w > 0 almost everywhere, all three conclusions hold, so that
        weighting a loss in time trains on another admissible time law at a rescaled step. Atoms of D do no harm.
    Assumptions: as stated. (The two displayed formulas of the lemma are missing in 000 and are reconstructed here.)
    Proof idea: Radon-Nikodym; lambda(A) > 0 gives D(A) > 0, and w > 0 a.e. gives w D(A) > 0.
    Computed: w = 4 t² exp(-t) and L = exp(-3t) + t. The left side by double-exponential quadrature of the density, the
        right side from the CDF F of D~ alone, E_D~[L] = L(1) - int L' F dt, with F by the quantile map of D where D is
        a registered law (one with a pole at t = 1 is cut off at 1 - 2^-10). The statistic is the largest of three
        numbers: the relative gap of the identity, |D~([0,1]) - 1|, and the length of {t : w pi = 0}, which D~ does not
        see (atoms cannot fill a length).
    Source: 000 Lemma 4.7.
    Refuted by: any of the three above 1e-13. K forgotten breaks the identity; a D on a grid of ten times and a w that
        vanishes on (0.3, 0.5) keep the identity and break domination.
    """
    parts = lemma_parts(case, variant)
    return Measurement(worst(parts.values()), detail=told(parts))


def lemma_parts(case: str, variant: str) -> dict[str, float]:
    """The three numbers of BIL-1 by name."""
    law = _on_grid(case) if variant == GRID else _law(case)
    w = _holed if variant == HOLE else _weight
    total = _expectation(law, w)
    left = _expectation(law, lambda t: w(t) * _loss(t))
    mass, right = _by_cdf(law, w, total)
    k = 1.0 if variant == FORGET_K else total
    t = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    unseen = float((w(t) * law.density(t) == 0).double().mean())
    return {"identity": abs(left - k * right) / left, "mass": abs(mass - 1), "unseen length": unseen}


def _weight(t: Tensor) -> Tensor:
    """Positive but at t = 0, a null set."""
    return 4 * t**2 * torch.exp(-t)


def _holed(t: Tensor) -> Tensor:
    return torch.where((t > 0.3) & (t < 0.5), 0.0, _weight(t))


def _loss(t: Tensor) -> Tensor:
    return torch.exp(-3 * t) + t


def _expectation(law: Law, f: Function) -> float:
    """E_D[f] from density and atoms."""
    pieces = sum(float(_integral(lambda t: f(t) * law.density(t), a, b)) for a, b in _pieces(law))
    return pieces + sum(mass * float(f(_scalar(t))) for t, mass in law.atoms)


def _by_cdf(law: Law, w: Function, total: float) -> tuple[float, float]:
    """D~([0, 1]) and E_D~[L] = F(1) L(1) - int L'(t) F(t) dt, F the CDF of D~."""
    before, area = 0.0, 0.0
    for a, b in _pieces(law):
        before += sum(mass * float(w(_scalar(t))) for t, mass in law.atoms if t == a)
        nodes, weights = _double_exponential(a, b)
        slope = torch.func.jvp(_loss, (nodes,), (torch.ones_like(nodes),))[1]
        cumulative = before + law.mass_between(w, a, nodes)
        area += float((weights * slope * cumulative).sum()) / total
        before += float(law.mass_between(w, a, _scalar(b)))
    return before / total, before / total * float(_loss(_scalar(law.end))) - area


def _pieces(law: Law) -> list[tuple[float, float]]:
    ends = sorted({*(t for t in BREAKS if t < law.end), law.end, *(t for t, _ in law.atoms)})
    return list(itertools.pairwise(ends))


def _law(case: str) -> Law:
    return _mixed() if case == MIXED else _registered(get_time_law(case))


def _mixed() -> Law:
    """D = 0.7 uniform + 0.2 Beta(2, 5) + 0.1 atom at 0.25; the Beta law has density 30 t (1 - t)^4."""

    def density(t: Tensor) -> Tensor:
        return 0.7 + 0.2 * 30 * t * (1 - t) ** 4

    def mass_between(w: Function, a: float, t: Tensor) -> Tensor:
        nodes, weights = gauss_rules.legendre_on(0.0, 1.0, 40)
        s = a + (t[..., None] - a) * nodes
        return (t - a) * (weights * w(s) * density(s)).sum(-1)

    return Law(density, mass_between, ((0.25, 0.1),))


def _registered(law: TimeLaw) -> Law:
    def mass_between(w: Function, a: float, t: Tensor) -> Tensor:
        low, high = law.cdf(_scalar(a)), law.cdf(t)
        nodes, weights = _double_exponential(0.0, 1.0)
        u = low + (high - low)[..., None] * nodes
        # In the middle of a piece w is smooth; rounding must not carry a quantile over its ends, where w may jump.
        s = torch.minimum(law.quantile(u).clamp(min=math.nextafter(a, 1)), t[..., None])
        return (high - low) * (weights * w(s)).sum(-1)

    return Law(law.density, mass_between, end=BEFORE_POLE if float(law.density(_scalar(1 - 1e-12))) > 1e3 else 1.0)


def _on_grid(case: str) -> Law:
    """Ten equal atoms at the middles of ten quantile bands of the law: a law that a discrete schedule draws from."""
    u = (torch.arange(10, dtype=torch.float64) + 0.5) / 10
    times = u if case == MIXED else get_time_law(case).quantile(u)
    return Law(torch.zeros_like, lambda w, a, t: torch.zeros_like(t), tuple((float(t), 0.1) for t in times))


def _integral(f: Function, a: float, b: float) -> Tensor:
    nodes, weights = _double_exponential(a, b)
    return (weights * f(nodes)).sum()


def _double_exponential(a: float, b: float, n: int = 60) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the tanh-sinh rule on (a, b), (2n+1,): good to rounding also with singular ends."""
    s = torch.arange(-n, n + 1, dtype=torch.float64) * (3.2 / n)
    inner = 0.5 * math.pi * torch.sinh(s)
    nodes = a + (b - a) * torch.sigmoid(2 * inner)
    weights = (b - a) * (3.2 / n) * 0.25 * math.pi * torch.cosh(s) / torch.cosh(inner) ** 2
    return nodes.clamp(math.nextafter(a, b), math.nextafter(b, a)), weights


def _scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
