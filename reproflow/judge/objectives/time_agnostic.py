r"""Masked networks without time input: they see a weight through L numbers, and may do with less than monotone.

A denoiser of L tokens that is not told the time answers a set of masked tokens alike at every masking probability m, so
that the loss knows w only through its means under L beta laws, one for each number k of masked tokens,

.. math:: y_k = \int w(m)\, Beta(m; k, L-k+1)\, dm, \qquad k = 1..L

(the ELBO has y = 1). The loss is a sum of bounds for such a network if some certified weight, non-negative
and non-decreasing in m, has the same means up to `TOLERANCE`. Certified weights are the mixtures of steps 1[m >= c], so
this is a linear programme over the masses of steps, which is solved anew with the steps that it misses until there are
none. On a range of times m lies between two bounds, beta laws are cut there, and so are steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reproflow.foundation import processes
from reproflow.foundation.errors import UsageError
from reproflow.foundation.verdicts import REFUTED, SUPPORTED
from reproflow.judge.objectives.integrability import Mean, mean_of
from reproflow.judge.objectives.numeric_objective import WHOLE, NumericObjective
from reproflow.numerics import cumulative, quadrature
from reproflow.numerics.gauss_rules import KRONROD_WEIGHTS
from reproflow.numerics.intervals import Interval
from reproflow.theory.bounds import CERTIFIED, NOT_REPRESENTABLE, Bound

LONGEST = 1024
TOLERANCE = 1e-6
SEEN = 1e-9
ROUNDS = 30
EXACT = 1e-9
NEARLY = 1e-3
FINER = 3
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclass(frozen=True)
class Fit:
    """How near the certified weights come: the largest relative error of a mean, and the steps c with their masses."""

    distance: float
    steps: np.ndarray
    masses: np.ndarray


def check_tokens(tokens: int | None, time_agnostic: bool, process: str) -> None:
    """Raises `UsageError` where the moment test is half asked for, or not defined."""
    if (tokens is not None) != time_agnostic:
        raise UsageError("--tokens and --time-agnostic go together: the length of a network without time input.")
    if tokens is not None and processes.facts(process).timed:
        raise UsageError(f"--time-agnostic is about masked networks; the process is {process}: add --process masked.")
    if tokens is not None and not 1 <= tokens <= LONGEST:
        raise UsageError(f"--tokens {tokens} is not a number of tokens from 1 to {LONGEST}.")


def time_agnostic(
    subject: NumericObjective, bound: Bound, tokens: int, t_range: Interval | None, bound_range: Interval
) -> dict[str, Any]:
    """The verdict on the weight for a network of `tokens` tokens that is not conditioned on time."""
    if bound.verdict == CERTIFIED:
        return answer(tokens, CERTIFIED, "w is certified for networks conditioned on time, and so for this one")
    span, note = t_range or WHOLE, ""
    ends = _ends(subject, tokens, span)
    if ends != ("finite", "finite"):
        if ends[1] == "infinite" and t_range is None:
            why = "w is not integrable in m towards the data, where certified weights are at their least"
            return answer(tokens, NOT_REPRESENTABLE, why)
        span = bound_range
        note = f"; looked at on t in [{span[0]:g}, {span[1]:g}], beyond which they are not finite"
    k, y, m = means(subject, tokens, span)
    if not (y > 0).all():
        zero = bool((y == 0).all())
        return answer(tokens, NOT_REPRESENTABLE, "zero objective" if zero else f"a mean is not positive{note}")
    fit = nearest(k, y, tokens, m)
    return _judged(tokens, fit, note)


def identified(subject: NumericObjective, tokens: int, span: Interval, negative: list[Interval]) -> dict[str, Any]:
    """Whether such a network has one minimiser: it is trained at numbers of masked tokens k = 1..L, not at times.

    Wherever t lies between noise and data all k occur, so a weight that is not negative trains each of them unless it
    is zero, or the law never goes there. One that is negative somewhere has to have positive means y_k.
    """
    counts = np.arange(1, tokens + 1)
    if negative:
        k, y, _ = means(subject, tokens, span)
        bad, why = k[y <= 0].tolist(), "the mean of w is not positive: the loss has no unique minimum there"
    else:
        # Of two tokens one is masked with the density 2 (1 - m), which is positive inside; of one, at m = 1 too.
        inside, somewhere = (means(subject, length, span)[1] for length in (2, 1))
        trained = counts > 0 if inside[:1].sum() > 0 else (counts == tokens) & (somewhere.sum() > 0)
        bad, why = counts[~trained].tolist(), "w is zero wherever the time law goes: the network may do anything there"
    all_of_them = f"every number of masked tokens, k = 1..{tokens} of {tokens},"
    some = ", ".join([*map(str, bad[:6]), *([".."] if len(bad) > 6 else [])])
    shown = all_of_them if len(bad) == tokens else f"k = {some}"
    sound = f"{all_of_them} is trained, at whatever times, which the network is not told: the minimiser is unique"
    return {
        "verdict": REFUTED if bad else SUPPORTED,
        "zero_set": [],
        "unresolved": [],
        "counts": {"tokens": tokens, "untrained": bad},
        "reason": f"for {shown} {why}" if bad else sound,
    }


def _judged(tokens: int, fit: Fit, note: str) -> dict[str, Any]:
    what = f"the {tokens} means of w that such a network sees" if tokens > 1 else "the one mean of w that it sees"
    if fit.distance <= TOLERANCE:
        kept = fit.masses > 0
        reason = f"{what} are those of a certified weight"
        if tokens == 1:
            reason = f"{what} is that of a multiple of the ELBO: one token cannot tell weights apart"
        steps = {"m": fit.steps[kept].tolist(), "mass": fit.masses[kept].tolist()}
        return {**answer(tokens, CERTIFIED, reason + note, fit.distance), "steps": steps}
    reason = f"no certified weight comes nearer to {what} than {100 * fit.distance:.3g} %"
    return answer(tokens, NOT_REPRESENTABLE, reason + note, fit.distance)


def answer(tokens: int, verdict: str, reason: str, distance: float | None = None) -> dict[str, Any]:
    """The answer without steps: `distance` is the largest relative error of a mean."""
    return {
        "tokens": tokens,
        "verdict": verdict,
        "reason": reason,
        "resolution": TOLERANCE,
        "distance": distance,
        "steps": None,
    }


def _ends(subject: NumericObjective, tokens: int, span: Interval) -> tuple[str, str]:
    """Whether the mean with all tokens masked is finite at the noise end, and that with one masked at the data end."""
    form = mean_of(subject, span)
    if not form.span[1] > form.span[0]:
        return "finite", "finite"

    def verdict(k: int, end: int) -> str:
        def f(x: np.ndarray) -> np.ndarray:
            return form.f(x) * _seen(subject, form, x, tokens, np.array([k]))[0]

        return quadrature.integral(f, *form.span, form.octaves).poles[end].verdict

    return verdict(tokens, 0), verdict(1, -1)


def _seen(subject: NumericObjective, form: Mean, x: np.ndarray, tokens: int, k: np.ndarray) -> np.ndarray:
    """m Beta(m; k, L-k+1) at places of a mean's variable, (K, X): what a mean of the loss's coefficient makes of w.

    With w = pi c (1 - alpha)/alpha' and m = 1 - alpha, w Beta |dm| is c m Beta dP, P the law of t, atoms and all.
    """
    t = np.clip(subject.quantile(x), *subject.reach) if form.by_quantile else x
    alpha, m = _shown(subject, t)
    return m * np.exp(_log_beta(alpha, m, tokens, k))


def _shown(subject: NumericObjective, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    alpha, m = subject.objective.path(torch.from_numpy(np.ascontiguousarray(t)))
    return alpha.numpy(), m.numpy()


def _log_beta(alpha: np.ndarray, m: np.ndarray, tokens: int, k: np.ndarray) -> np.ndarray:
    """log Beta(m; k, L-k+1), (K, T)."""
    from scipy import special  # here and below: a judgement without this test need not wait for it

    k = k[:, None]
    return special.xlogy(k - 1, m) + special.xlogy(tokens - k, alpha) - special.betaln(k, tokens - k + 1)


def means(subject: NumericObjective, tokens: int, span: Interval) -> tuple[np.ndarray, np.ndarray, Interval]:
    """k, the means y_k of w under the beta laws cut to a span of t, and the m of its ends.

    The means are taken over the time law's own support, as means of the loss's coefficient under it. Laws of which less
    than `SEEN` lies in the span are left out.
    """
    high, low = np.where(np.isfinite(at := _shown(subject, np.array(span))[1]), at, (1.0, 0.0)).clip(0, 1)
    m_range = float(low), float(high)
    k = np.arange(1, tokens + 1)
    seen = _cut(k, tokens, np.array([m_range[0]]), m_range[1])[:, 0]
    k, seen = k[seen > SEEN], seen[seen > SEEN]
    form = mean_of(subject, span)
    if not form.span[1] > form.span[0]:
        return k, np.zeros(len(k)), m_range
    inside = () if form.by_quantile else tuple(end for gap in subject.gaps for end in gap if span[0] < end < span[1])
    ends = cumulative.resolved(form.f, cumulative.edges(*form.span, form.octaves, inside))
    if form.by_quantile:
        some = np.unique([1, (tokens + 1) // 2, tokens])
        ends = cumulative.resolved(lambda x: _seen(subject, form, x, tokens, some).sum(0), ends)
    x = cumulative.nodes(ends[:-1], ends[1:]).ravel()
    rate = np.nan_to_num(form.f(x), posinf=0.0) * (0.5 * np.diff(ends)[:, None] * KRONROD_WEIGHTS).ravel()
    total = np.concatenate(
        [_seen(subject, form, x, tokens, some) @ rate for some in np.array_split(k, len(k))] or [np.zeros(0)]
    )
    total += sum(_tail(subject, form, tokens, k, *end) for end in zip(form.span, ends[[0, -1]], strict=True))
    return k, total / seen, m_range


def _tail(subject: NumericObjective, form: Mean, tokens: int, k: np.ndarray, end: float, at: float) -> np.ndarray:
    """What lies between the last piece and an end, where the integrand goes like a power, (K,)."""
    x = end + (at - end) * np.array([1.0, 16.0])
    rate = form.f(x) * _seen(subject, form, x, tokens, k)
    with np.errstate(all="ignore"):
        exponent = np.log(rate[:, 1] / rate[:, 0]) / np.log(16)
        return np.nan_to_num(rate[:, 0] * abs(at - end) / (1 + np.maximum(exponent, -0.99)), posinf=0.0, neginf=0.0)


def _cut(k: np.ndarray, tokens: int, c: np.ndarray, top: float) -> np.ndarray:
    """The mass of the beta laws between c and `top`, (K, C)."""
    from scipy import special

    k = k[:, None]
    if top == 1:
        return special.betainc(tokens - k + 1, k, 1 - c)
    return special.betainc(k, tokens - k + 1, top) - special.betainc(k, tokens - k + 1, c)


def nearest(k: np.ndarray, y: np.ndarray, tokens: int, m_range: Interval = (0.0, 1.0)) -> Fit:
    """The certified weight whose means come nearest to y (K,) in largest relative error.

    Minimise e over masses >= 0 with |A mass / y - 1| <= e, A the means of the steps. Where that is nearly nothing, the
    steps in use may lie between two of the grid: it is made finer about them.
    """
    every = _candidates(m_range, 4001 if tokens <= 64 else 1001)
    fit = _fitted(k, y, tokens, every, m_range)
    for _ in range(FINER):
        if not EXACT < fit.distance < NEARLY:
            break
        every = _finer(every, fit.steps[fit.masses > 0])
        fit = min(fit, _fitted(k, y, tokens, every, m_range), key=lambda each: each.distance)
    return fit


def _fitted(k: np.ndarray, y: np.ndarray, tokens: int, every: np.ndarray, m_range: Interval) -> Fit:
    """The same among given steps: the dual variables tell which of them would help, and those come in until none."""
    table = _columns(k, tokens, every, m_range) / y[:, None]
    scale = np.maximum(table.max(0), 1e-300)
    table /= scale
    use = np.zeros(len(every), bool)
    use[:: max(1, len(every) // 96)] = use[-1] = True
    for _ in range(ROUNDS):
        masses, dual = _solve(table[:, use])
        gain = dual @ table
        low = np.concatenate([[np.inf], gain, [np.inf]])
        new = (gain < -1e-10) & (gain <= low[:-2]) & (gain <= low[2:]) & ~use
        distance = float(np.abs(table[:, use] @ masses - 1).max())
        if distance < EXACT or not new.any():
            break
        use |= new
    return Fit(distance, every[use], masses / scale[use])


def _finer(every: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Steps about those in use: forty to every neighbour, the last (a limit) kept."""
    at = np.searchsorted(every, used)
    ends = every[np.clip(np.stack([at - 1, at + 1]), 0, len(every) - 1)]
    return np.unique(np.concatenate([np.linspace(ends[0], ends[1], 81).ravel(), used, every[[0, -1]]]))


def _candidates(m_range: Interval, points: int) -> np.ndarray:
    """Where steps may be: even in m and in its log-odds, the limit of late steps last."""
    from scipy import special

    low, high = m_range
    share = np.concatenate([np.linspace(0, 1, points), special.expit(np.linspace(-18, 18, points))])
    return np.unique(low + (high - low) * share)


def _columns(k: np.ndarray, tokens: int, c: np.ndarray, m_range: Interval) -> np.ndarray:
    """The means of the steps 1[m >= c] under the cut beta laws, (K, C); the last column is the limit c -> top.

    There a step has no mass, but grows: what counts is the density of each law at the top.
    """
    top = m_range[1]
    seen = _cut(k, tokens, np.array([m_range[0]]), top)
    found = np.clip(_cut(k, tokens, c, top) / seen, 0.0, None)
    with np.errstate(divide="ignore"):
        limit = _log_beta(np.array([1 - top]), np.array([top]), tokens, k)[:, 0] - np.log(seen[:, 0])
    found[:, -1] = np.exp(limit - limit.max())
    return found


def _solve(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masses (C,) with the least largest |a @ masses - 1|, and the dual variables (K,)."""
    from scipy import optimize

    rows, columns = a.shape
    slack = -np.ones((rows, 1))
    matrix = np.block([[a, slack], [-a, slack]])
    right = np.concatenate([np.ones(rows), -np.ones(rows)])
    cost = np.concatenate([np.zeros(columns), [1.0]])
    for method, options in (("highs-ds", TIGHT), ("highs-ipm", TIGHT), ("highs", {})):
        found = optimize.linprog(cost, A_ub=matrix, b_ub=right, method=method, options=options)
        if found.x is not None:
            dual = -found.ineqlin.marginals
            return np.maximum(found.x[:-1], 0.0), dual[:rows] - dual[rows:]
    raise ArithmeticError(f"the linear programme of {rows} means was not solved: {found.message}")
