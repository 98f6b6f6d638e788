"""Bounds: what the verdict on a weighting, also a new one, promises, on examples where both sides are exact (ST-11)."""

from __future__ import annotations

import functools

import numpy as np

from reproflow.claims.bounds import simple
from reproflow.claims.policy import STATEMENT, Context, Measurement, claim
from reproflow.exact import witness
from reproflow.exact.integrals import EXAMPLES
from reproflow.exact.shares import Array
from reproflow.exact.witness import FAMILIES, SIGNIFICANT, Witness
from reproflow.foundation import processes, registry
from reproflow.numerics.arrays import on_arrays
from reproflow.theory import bounds
from reproflow.theory.bounds import CERTIFIED
from reproflow.theory.log_snr import log_snr
from reproflow.theory.objective import Objective
from reproflow.theory.paths import forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import Weighting, get_weighting

DIP = "masked dip near the data"
BAD = f"masked simple on {simple.BAD}"
DIPPED = "expr:1 - 0.5*exp(0 - ((sigma - 0.08)/0.02)**2)"
OWN = (DIP, BAD)
REVERSED = "time reversed"
LOST = "|nu| for nu"
A_DIP = "a dip near the data"
POINTS = 1001


def _cases() -> tuple[str, ...]:
    """Every weighting of the processes that have witnesses."""
    known = [process for process in processes.known() if process in FAMILIES]
    return (*(f"{process} {e.name}" for process in known for e in registry.entries("weighting", process)), *OWN)


def _controls(case: str) -> tuple[str, ...]:
    if verdict(case) != CERTIFIED:
        return (LOST,)
    _, w = curve(case)
    # What is constant is the same in either direction.
    return (REVERSED,) if float(w.max() / w.min()) > 1.001 else (A_DIP,)


@claim(
    "ST-11",
    title="a certified weighting bounds a sum of divergences, and one that is not has a witness",
    source="001 Theorem 2; converse and witnesses our own",
    kind="bound",
    tolerance=SIGNIFICANT,
    cases=_cases,
    controls=_controls,
)
def bound_property(case: str, variant: str, context: Context) -> Measurement:
    """int w l - C_w + W KL_T = int PKL dnu >= int KL(q||p^(s)) nu(ds) >= W KL(q||mixture) where w never rises with lam.

    Statement: w is a sum of bounds with coefficients nu, w(s) = nu([s_min, s]) in noise-time s, iff it is finite, not
        negative and does not fall with s. Then the inequalities hold for every q and model; if not, nu has a negative
        part and the first one is false on some example (a witness), for each weighting tried here. Any w >= 0 still
        certifies its running minimum from the noise, w_low(s) = inf over s' >= s of w.
    Assumptions: W = w at the noise end of the range, finite; beyond the range w is constant; KL_T is the divergence of
        the two laws at the noise end (matched priors: 0). nu is unique for a network conditioned on t: one without time
        input sees w through its L moments int w m^(k-1) (1-m)^(L-k) dm alone, and may do with less than monotone.
    Proof idea: int w dPKL by parts; PKL(s) >= KL(q||p^(s)) by data processing, and convexity for the mixture. For the
        converse: PKL - KL is positive only where the secret is half told, at any s one likes.
    Computed: every registered weighting of both processes (uniform time; linear path, masked the cosine schedule), and
        two more that rise, with the verdict of `theory.bounds` and the share of w that it finds under w_low. Certified:
        the least of (left - right)/left for both inequalities, left as int PKL dnu (the loss itself is ST-5's matter),
        over 347 exact masked examples (a secret dealt to L tokens, K of which tell it; K = 1 is L copies) or 73
        Gaussian ones (data +-a against the same with other probabilities). Not representable: nu must have a negative
        part, w_low must hold on all of them, and a witness must falsify the first inequality for w, recomputed from the
        loss itself by enumeration of the masked states or by quadrature; without one the statistic is 1. (A narrow dip
        of a Gaussian weight may be out of the reach of these examples, which cannot be made narrow: then the row is
        refuted, and says that no witness was found.)
    Source: 001 Theorem 2 (sufficient); Kingma & Gao 2023; "only if", minorant and witnesses are derived here.
    Refuted by: a violation above 1e-6 of the left side, or a weight that rises without a witness. Controls: a certified
        weight read in the wrong direction of time (for the ELBO: 1 - exp(-((m - .08)/.02)²)/2, or the like in lam) must
        be falsified; for one that falls, |nu| in place of nu must break the inequality.
    """
    process = case.split()[0]
    lam, w = curve(case)
    if variant == STATEMENT:
        return _certified(lam, w, process) if verdict(case) == CERTIFIED else _not_representable(case, lam, w, process)
    if variant == LOST:
        return _violation(witness.absolute(lam, w, process))
    lam, w = (-lam[::-1], w[::-1]) if variant == REVERSED else (lam, _dip(lam, process))
    found = witness.search(lam, w, process)
    return _violation(found) if found else Measurement(0.0, detail="no witness found")


def curve(case: str) -> tuple[Array, Array]:
    """The canonical weight of a case at log-SNRs, finite values only."""
    found = _analysed(case)
    finite = np.isfinite(found.w)
    return found.lam[finite], found.w[finite]


def verdict(case: str) -> str:
    """The verdict of `theory.bounds` on a case."""
    return _analysed(case).verdict


def minorant(w: Array) -> Array:
    """The running minimum from the noise: the greatest weight below w that does not rise with lam."""
    return np.minimum.accumulate(w)


@functools.lru_cache(maxsize=128)
def _analysed(case: str) -> bounds.Bound:
    process, name = case.split(" ", 1)
    path = simple.schedule(simple.BAD) if case == BAD else forward_path(EXAMPLES[process]().path, process)
    objective = Objective(path, get_time_law("uniform"), _weighting(case, process, name))
    return bounds.analyse(on_arrays(objective.weight), on_arrays(lambda t: log_snr(path, t)), points=POINTS)


def _weighting(case: str, process: str, name: str) -> Weighting:
    if case == DIP:
        return get_weighting(DIPPED, process, on="canonical")
    return get_weighting("simple" if case == BAD else name, process)


def _certified(lam: Array, w: Array, process: str) -> Measurement:
    """The largest violation of either inequality over all examples."""
    every = witness.examples(lam, w, process)
    worst = min(every, key=lambda each: each.margin)
    convexity = [(each.mixture - each.right) / each.left for each in every]
    violation = float(np.max([-worst.margin, *convexity]))  # which keeps a NaN
    return Measurement(violation, detail=f"certified; tightest of {len(every)} examples: {worst}")


def _not_representable(case: str, lam: Array, w: Array, process: str) -> Measurement:
    """The largest violation for the minorant; 1 where nothing rises, or no witness falsifies the weight itself."""
    low = minorant(w)
    found, told = witness.search(lam, w, process), _analysed(case).minorant
    share = float(np.trapezoid(low, lam) / np.trapezoid(w, lam))
    said = f"not representable; {f'falsified by {found}' if found else 'no witness found'}; minorant holds {share:.3g}"
    rises = float((w / np.maximum(low, 1e-300)).max()) > 1 + SIGNIFICANT
    if not rises or told is None or abs(told - share) > 1e-9 or not found:
        return Measurement(1.0, detail=said)
    return Measurement(-witness.worst(lam, low, process).margin, detail=said)


def _violation(found: Witness) -> Measurement:
    return Measurement(-found.margin, detail=str(found))


def _dip(lam: Array, process: str) -> Array:
    """A weight of 1 with a dip: near the data, or for Gaussian diffusion as wide as its examples can see."""
    return 1 - 0.5 * np.exp(-(EXAMPLES[process]().dip(lam) ** 2))
