r"""Judging a divergence: does training on conditional targets reach the marginal one, and what does it reach otherwise?

`gradient` asks whether conditional and marginal loss have the same gradient in the network's parameters, as they have
for Bregman divergences and for no others whose minimum is at the target (000, Theorem 4.8; Banerjee et al. 2005).
Measured are the gap on an enumerated problem with a random network, and over two-point laws of targets, where it is how
far grad_b l is from affine in a:

.. math:: \frac{|\nabla L_{gm} - \nabla L_{cgm}|}{|\nabla L_{cgm}|}, \qquad
          \nabla_b l(sa + (1-s)a', b) - s \nabla_b l(a, b) - (1-s) \nabla_b l(a', b).

`identified` asks whether the truth is the unique minimiser: grad_b l vanishes at b = a, the Hessian there is positive
definite, and an unrestricted prediction on the enumerated problem, found without knowing the posterior, is not lower
than its mean.
A loss with an affine gradient that vanishes at the target has grad_b l = H(b)(b - a), H the Hessian at a = b; where it
is positive definite for every b there is no second minimum.
"""

from __future__ import annotations

import math
import time as clock
from dataclasses import dataclass
from typing import Any

from reproflow.exact.criterion import Finding
from reproflow.foundation import registry
from reproflow.foundation.code_limits import Budget
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.foundation.verdicts import REFUTED, SUPPORTED, number
from reproflow.judge.divergences import measurements as measured
from reproflow.judge.divergences import scaled_loss, stratified
from reproflow.judge.divergences.measurements import TOLERANCE, Facts
from reproflow.judge.divergences.minimisers import ONE_OF_NONE
from reproflow.judge.time_budget import limited
from reproflow.theory.divergences import Divergence, get_divergence

FLAT = 1e-9
NEARLY = 1e-3
"""How far from stationary a loss may be at the target if its minimum is there all the same: log(b + 1e-8) is."""
SINGLE = 1e-5
CUT = (
    "the loss changes with the prediction, but autograd sees no gradient: "
    "its graph is cut (numpy, detach, item), or it is made of steps (comparisons, round)"
)
PROBLEMS = {
    "positive": "the rates of a chain of five states",
    "real": "the velocities of flow matching between five points of the plane",
}
NUMBERS = {"positive": "positive numbers", "real": "real numbers"}


@dataclass(frozen=True)
class DivergenceJudgement:
    """What was found; `as_dict` has the keys of `reproflow check divergence --json`.

    The verdicts are those of the first of `domains`: positive numbers, which is all that a divergence need be defined
    for, or the domain that a registered one names.
    """

    spec: str
    gradient: dict[str, Any]
    affine_in_target: bool
    identified: dict[str, Any]
    domains: dict[str, dict[str, Any] | None]
    reason: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: infinity is "inf", a domain where the loss is not defined is null."""
        return dict(vars(self))

    @property
    def exit_code(self) -> int:
        """0: both are supported; 3: one is refuted."""
        return 0 if {self.gradient["verdict"], self.identified["verdict"]} == {SUPPORTED} else 3


def divergence(spec: str | Spec) -> DivergenceJudgement:
    """The judgement on a divergence: a registered name, `FILE.py:FUNCTION` or an expression in a, b, t, x.

    Raises `UsageError` for a spec that cannot be used, and for a loss that is NaN, of another shape, mixes the rows of
    a batch, is random, or raises.
    """
    started = clock.monotonic()
    subject = limited(get_divergence(spec), Budget())
    first, second = ("real", "positive") if _is_real(subject) else ("positive", "real")
    found = {first: measured.facts(scaled_loss.scaled(subject, first), first)}
    if beyond := _where_defined(subject, second):
        found[second] = beyond
        found["real"] = measured.with_gaps_of(found["real"], found["positive"])
    domains = {domain: _domain(found[domain], subject) if domain in found else None for domain in (first, second)}
    own = domains[first]
    assert own is not None
    return DivergenceJudgement(
        spec=str(spec),
        gradient={key: own["gradient"][key] for key in ("verdict", "relative_gap", "reason")},
        affine_in_target=found[first].two_point.residual <= TOLERANCE,
        identified=own["identified"],
        domains=domains,
        reason=_summary(domains, found[first]),
        seconds=round(clock.monotonic() - started, 3),
    )


def _where_defined(subject: Divergence, domain: str) -> Facts | None:
    """The facts in the other domain, where it is a number throughout: it need not be."""
    loss = scaled_loss.scaled_where_sound(subject, domain)
    try:
        return measured.facts(loss, domain) if loss else None
    except UsageError:
        return None


def _is_real(subject: Divergence) -> bool:
    """Whether a registered divergence, or a user's decorator, says that it is for real numbers."""
    registered = subject.entry in registry.entries("divergence")
    return subject.domain == "real" and (registered or "domain" in subject.entry.meta)


def _domain(found: Facts, subject: Divergence) -> dict[str, Any]:
    """Verdicts and numbers in one domain; `largest` is how far targets went."""
    return {
        "gradient": {
            "verdict": SUPPORTED if found.gap <= TOLERANCE else REFUTED,
            "relative_gap": number(found.gap),
            "network_gap": number(found.network_gap),
            "two_point_gap": number(found.two_point.residual),
            "reason": _gradient_reason(found),
        },
        "identified": _identified(found, subject),
        "slope": number(found.slope.residual),
        "curvature": None if found.curvature is None else number(found.curvature),
        "times": list(found.times),
        "largest": found.unit * scaled_loss.LARGEST[found.domain],
    }


def _gradient_reason(found: Facts) -> str:
    looked = f", at t from {found.times[0]:g} to 1 - {1 - found.times[1]:.2g}; not looked at: windows narrower than "
    looked += f"{stratified.RESOLUTION}, or bounded in two of them at once"
    gaps = f"{found.network_gap:.2g} on {PROBLEMS[found.domain]}, {found.two_point.residual:.2g} over two-point laws"
    if not found.finite:
        return f"the loss is infinite at some {NUMBERS[found.domain]}"
    if found.cut:
        return f"{CUT}; both gradients are zero"
    if not found.depends:
        return "the loss does not depend on the prediction: both gradients are zero"
    if found.gap <= TOLERANCE:
        return f"conditional and marginal loss have the same gradient: relative gap {gaps}{looked}"
    if found.gap == float("inf"):
        return f"the gradient in the prediction is not finite{_place(found.two_point, found.two_point_unit)}"
    reason = f"conditional and marginal gradients differ: relative gap {gaps}"
    if found.two_point.residual > TOLERANCE:
        reason += f"; grad_b l is not affine in a{_place(found.two_point, found.two_point_unit)}"
    return reason + ("; a loss computed in float32 looks so" if found.gap < SINGLE else "")


def _place(found: Finding, unit: float) -> str:
    first, other, b = (", ".join(f"{unit * value:.3g}" for value in each) for each in (found.a, found.other, found.b))
    return f", worst between a = ({first}) and ({other}) at b = ({b})"


def _identified(found: Facts, subject: Divergence) -> dict[str, Any]:
    """Whether the truth is the unique minimiser; else what is, where there is one."""
    target, because = _minimum(found)
    if target == ONE_OF_NONE and subject.functional and found.gap > TOLERANCE:
        target = subject.functional
    good = not because
    nearly = "vanishes" if found.slope.residual <= TOLERANCE else "nearly vanishes, as with a small constant in a log,"
    reason = because or (
        f"grad_b l {nearly} at b = a (relative size {found.slope.residual:.2g}), the Hessian there is positive "
        f"definite (least eigenvalue {found.curvature:.2g} of a unit diagonal), and no prediction was found lower than "
        "the posterior mean"
    )
    return {"verdict": SUPPORTED if good else REFUTED, "functional": target, "reason": reason}


def _minimum(found: Facts) -> tuple[str | None, str]:
    """What is targeted, and why that is not the truth alone: empty where it is."""
    if not found.finite:
        return None, "an infinite loss has no minimum"
    if found.cut:
        return None, f"{CUT}; training would not move"
    if not found.depends:
        return None, "the loss does not depend on the prediction: every prediction does as well"
    if found.gap > TOLERANCE:
        return _instead(found)
    if found.slope.residual > (NEARLY if found.name == "mean" else TOLERANCE):
        where = f"grad_b l is not zero at b = a (relative size {found.slope.residual:.2g})"
        if found.found.inside:
            return found.name, f"{where}; what it targets: {found.name}"
        return None, f"{where}, and the loss has no minimum near the targets"
    assert found.curvature is not None
    if not math.isfinite(found.curvature):
        return None, "the truth is stationary, but the loss has no finite curvature there"
    if found.curvature < -FLAT:
        return None, f"the truth is stationary, but no minimum: the least curvature there is {found.curvature:.2g}"
    if found.curvature <= FLAT:
        return None, "the loss is flat at the truth: predictions next to it do as well"
    if found.improves > FLAT:
        return None, f"for {PROBLEMS[found.domain]} a prediction that is not the posterior mean has a lower loss"
    return "mean", ""


def _instead(found: Facts) -> tuple[str | None, str]:
    """What a loss targets whose gradient is not affine in the target."""
    if not found.found.inside:
        return None, "no minimum near the targets: the loss falls beyond them"
    if found.name == "mean":
        return ONE_OF_NONE, f"the mean for {PROBLEMS[found.domain]}, but not for every law of targets"
    if found.name != ONE_OF_NONE:
        return found.name, f"of the posterior it targets, instead of the mean: {found.name}"
    name, distance = found.nearest
    words = f"targets neither the mean nor another functional that is known here; closest is the {name}"
    return ONE_OF_NONE, f"{words}, {distance:.2g} of the range of the targets away at worst"


def _summary(domains: dict[str, dict[str, Any] | None], own: Facts) -> str:
    """One sentence, and what is to be said of the other domain and of the size of numbers."""
    (first, verdicts), (second, others) = domains.items()
    words = [_in_words(verdicts)]
    if others is None:
        words.append(f"not defined for all {NUMBERS[second]}: judged for {NUMBERS[first]}")
    elif _in_words(others) != _in_words(verdicts):
        words.append(f"for {NUMBERS[second]}, where it is finite too: {_in_words(others)}")
    else:
        words.append(f"for {NUMBERS[first]} and for {NUMBERS[second]}")
    if own.unit < 1:
        largest = own.unit * scaled_loss.LARGEST[first]
        words.append(f"looked at up to {largest:.3g}, beyond which it is infinite or lost in rounding")
    return "; ".join(words)


def _in_words(found: dict[str, Any] | None) -> str:
    assert found is not None
    gradient, identified = (found[key]["verdict"] == SUPPORTED for key in ("gradient", "identified"))
    if gradient and identified:
        return "a Bregman divergence, up to a function of the target"
    target = found["identified"]["functional"]
    if gradient:
        return "equal gradients, but no Bregman divergence of a strictly convex function: " + (
            f"what it targets is {target}"
            if target and target != "mean"
            else "the truth is not exactly its only minimum"
        )
    named = target and target != ONE_OF_NONE
    return "no Bregman divergence" + (f"; instead of the mean it targets: {target}" if named else "")
