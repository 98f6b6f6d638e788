r"""Witnesses against the bound property: exact models on which a weighted loss is less than the sum it should bound.

With w the canonical weight, :math:`\nu` its increments towards the noise (an atom w at the data end, then dw), and for
data q and a model that is the exact diffusion of another law r, the statement (001 Theorem 2) is

.. math:: \int w \ell_\theta - C_w + W KL_T = \int PKL \, d\nu \ge \int KL(q \| p^{(s)}) \, \nu(ds),
          \qquad PKL(s) = KL(q_s \| r_s), \quad p^{(s)} = \int q(x|z) \, r_s(dz),

beyond the range of times w is taken to be constant, W = w at the noise end. Since PKL >= KL at every s, it holds for
every w that never falls towards the noise; where w falls, an example on which PKL - KL lives just there makes it false.

* *shares*, masked: one secret of law q = (.5, .3, .2) dealt to L tokens so that any K of them tell it and fewer tell
  nothing (Shamir 1979); K = 1 is L copies. At masking probability m the secret is told with rho = P(Bin(L, 1-m) >= K),
  so PKL = rho D, D = KL(q||r), and p^(s) = rho r + (1-rho) q. As L grows the change happens at any m one likes.
* *two points*, Gaussian: data +-a with probabilities (.8, .2) against (.3, .7). Only a² SNR matters, so that changing
  a moves the example along lam; it cannot be made narrower.

All in nats; arrays are float64; lam is the log-SNR, masked log(alpha/(1-alpha)), in ascending order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace

import numpy as np

from reproflow.exact import shares
from reproflow.exact.shares import Array, kl
from reproflow.foundation import processes
from reproflow.foundation.by_process import ByProcess

TWO_POINTS: tuple[Array, Array] = (np.array([0.8, 0.2]), np.array([0.3, 0.7]))
"""The law q of two points and the law r of their model."""

LAM = np.linspace(-20, 20, 1601)
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 400, 512)
SIZES = np.exp(np.linspace(-9, 9, 73) / 2)
SIGNIFICANT = 1e-6
NODES = 1201


@dataclass(frozen=True)
class Witness:
    """One example and both sides of the inequality for one weight.

    `parameters` are {"K", "L"} or {"a"}; `left` is the excess of the weighted loss (with its prior term), `right` the
    sum of KL(q||p^(s)), and `mixture` W KL(q || sum of p^(s) nu/W), NaN where that sum is no law.
    """

    family: str
    parameters: Mapping[str, float]
    left: float
    right: float
    mixture: float = field(default=math.nan)

    @property
    def process(self) -> str:
        """The process whose examples have these parameters."""
        return next(process for process in processes.known() if FAMILIES[process]().keys == self.parameters.keys())

    @property
    def margin(self) -> float:
        """left - right over |left|: negative where the inequality is false, zero where there is nothing on the left."""
        return (self.left - self.right) / abs(self.left) if self.left else 0.0

    @property
    def falsifies(self) -> bool:
        return self.margin < -SIGNIFICANT

    def __str__(self) -> str:
        what = ", ".join(f"{name} = {value:.4g}" for name, value in self.parameters.items())
        return f"{self.family}, {what}: {self.left:.5g} {'<' if self.falsifies else '>='} {self.right:.5g}"

    def verified(self, lam: Array, w: Array) -> Witness:
        """The same with both sides computed anew for a weight w (P,) at lam (P,).

        left from the definition of the loss, as the integral of w times its excess over the best denoiser's: for the
        shares the cross-entropies of the masked tokens, enumerated over a finite field while that is small (else summed
        over how many tokens are shown), for the two points the error of eps; right as an integral by parts.
        """
        lam, w = _thinned(lam, w)
        left, right = FAMILIES[self.process]().sides(self.parameters, lam, w)
        return replace(self, left=left, right=right)


@dataclass(frozen=True)
class Family:
    """The examples of a process, whose data have the law q and whose model the law r: `laws` = (q, r).

    `keys` name the parameters of an example, `examples` are families and parameters, those with fewer tokens first.
    `curves()` are PKL and (p^(s) - q)/(r - q) of all of them on `LAM`, each (examples, lam); `at(parameters, lam)` the
    same of one. `sides(parameters, lam, w)` are both sides from the definition of the loss. `where` says where
    witnesses are looked for, and `data(parameters, law)` what the data are, in words.
    """

    keys: Set[str]
    laws: tuple[Array, Array]
    examples: Callable[[], list[tuple[str, dict[str, float]]]]
    curves: Callable[[], tuple[Array, Array]]
    at: Callable[[Mapping[str, float], Array], tuple[Array, Array]]
    sides: Callable[[Mapping[str, float], Array, Array], tuple[float, float]]
    where: str
    data: Callable[[Mapping[str, float], str], str]


FAMILIES: ByProcess[Callable[[], Family]] = ByProcess("family of witnesses", __name__)
"""By process: where witnesses are looked for."""


def search(lam: Array, w: Array, process: str) -> Witness | None:
    """A verified witness that falsifies the inequality for a weight w (P,) at lam (P,), or nothing where none is found.

    Of the examples that come within half of the largest violation, the one with the fewest tokens.
    """
    if not np.isfinite(w).any():
        return None
    found = [each for each in examples(lam, w, process) if each.falsifies]
    if not found:
        return None
    least = min(each.margin for each in found)
    simplest = next(each for each in found if each.margin <= 0.5 * least)
    verified = simplest.verified(lam, w)
    return verified if verified.falsifies else None


def worst(lam: Array, w: Array, process: str) -> Witness:
    """Of all examples the one with the least margin."""
    return min(examples(lam, w, process), key=lambda each: each.margin)


def examples(lam: Array, w: Array, process: str) -> list[Witness]:
    """Both sides for every example of the process, those with fewer tokens first.

    Here w is interpolated on a fixed grid of lam, which keeps a weight monotone; `Witness.verified` is more exact.
    """
    nodes = _on_grid(lam, w)
    return [
        Witness(family, parameters, *sides)
        for (family, parameters), sides in zip(_parameters(process), _sides(nodes, process), strict=True)
    ]


def absolute(lam: Array, w: Array, process: str) -> Witness:
    """The least margin with |nu| in place of nu on the right: what a sum of bounds would need if no sign were lost."""
    nodes = _on_grid(lam, w)
    pairs = zip(_parameters(process), _sides(nodes, process, signed=False), strict=True)
    return min((Witness(*parameters, *sides) for parameters, sides in pairs), key=lambda each: each.margin)


def told(k: int, length: int, alpha: Array) -> Array:
    """rho = P(Bin(L, alpha) >= K), of alpha's shape."""
    from scipy import special  # here and below: a quarter of a second, which Gaussian examples need not wait for

    return np.asarray(special.betainc(k, length - k + 1, alpha))


def two_points(b: Array) -> tuple[Array, Array]:
    """PKL and (p^(s) - q)/(r - q), of b's shape, where b = a sqrt(SNR); by the trapezoid rule over the noise.

    Below b = 1e-3 both go on as b².
    """
    q, r = (float(law[0]) for law in TWO_POINTS)
    small = np.maximum(b, 1e-3)
    noise, weights = _noise()
    pkl, shift = np.zeros_like(b), np.zeros_like(b)
    for sign, share in ((1, q), (-1, 1 - q)):
        y = 2 * small[..., None] * (sign * small[..., None] + noise)
        pkl += share * (_log_ratio(y, q, r) @ weights)
        shift += sign * (_expit(y, q) @ weights)
    return pkl * (b / small) ** 2, shift * (b / small) ** 2


def _log_ratio(y: Array, q: float, r: float) -> Array:
    """log of (q + (1-q) exp(-y)) / (r + (1-r) exp(-y)), where only the smaller exponential is formed."""
    small = np.exp(-np.abs(y))
    ahead = np.log((q + (1 - q) * small) / (r + (1 - r) * small))
    return np.where(y > 0, ahead, np.log((q * small + 1 - q) / (r * small + 1 - r)))


def _expit(y: Array, q: float = 0.5) -> Array:
    odds = y + math.log(q / (1 - q))  # those of q, moved by y
    small = np.exp(-np.abs(odds))
    return np.where(odds > 0, 1.0, small) / (1 + small)


def _noise() -> tuple[Array, Array]:
    weights = np.exp(-((nodes := np.linspace(-9, 9, 181)) ** 2) / 2)
    return nodes, weights / weights.sum()


@functools.cache
def _parameters(process: str) -> list[tuple[str, dict[str, float]]]:
    return FAMILIES[process]().examples()


def two_points_examples() -> list[tuple[str, dict[str, float]]]:
    """Two points at distances `SIZES`."""
    return [("two points", {"a": float(a)}) for a in SIZES]


def shares_examples() -> list[tuple[str, dict[str, float]]]:
    """Secrets dealt to up to the last of `LENGTHS` tokens."""
    pairs = [(k, length) for length in LENGTHS for k in _thresholds(length)]
    return [("copied tokens" if k == 1 else "shares", {"K": k, "L": length}) for k, length in pairs]


def _thresholds(length: int) -> list[int]:
    """The K that are tried: K/L about evenly spaced, in itself and in log-odds."""
    even = np.concatenate([np.arange(0.02, 1, 0.04), _expit(np.arange(-5, 5.5, 0.5))])
    return sorted({1, length, *(int(k) for k in np.clip(np.ceil(even * length), 1, length))})


@functools.cache
def _curves(process: str) -> tuple[Array, Array, Array]:
    """PKL, (p^(s) - q)/(r - q) and KL(q||p^(s)) of all examples on the grid of lam, each (examples, lam)."""
    q, r = FAMILIES[process]().laws
    pkl, shift = FAMILIES[process]().curves()
    return pkl, shift, kl(q, q + shift[..., None] * (r - q))


def _on_grid(lam: Array, w: Array) -> Array:
    finite = np.isfinite(w)
    return np.interp(LAM, lam[finite], w[finite])


def _sides(w: Array, process: str, signed: bool = True) -> list[tuple[float, float, float]]:
    """left, right, mixture of every example for w on the grid of lam."""
    pkl, shift, divergence = _curves(process)
    left, right, moved = (
        _increments(curve, w, signed or curve is not divergence) for curve in (pkl, divergence, shift)
    )
    q, r = FAMILIES[process]().laws
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = moved / w[0]
        law = q + mean[:, None] * (r - q)
        mixture = np.where((law >= 0).all(-1), w[0] * kl(q, law), np.nan)
    return list(zip(left.tolist(), right.tolist(), mixture.tolist(), strict=True))


def _increments(curve: Array, w: Array, signed: bool = True) -> Array:
    """The integral of a curve (..., lam) against nu: an atom at the data end, then the falls of w with lam."""
    falls = w[:-1] - w[1:]
    middle = 0.5 * (curve[..., 1:] + curve[..., :-1])
    return curve[..., -1] * w[-1] + middle @ (falls if signed else np.abs(falls))


def _thinned(lam: Array, w: Array) -> tuple[Array, Array]:
    """About `NODES` pairs of neighbours, even in lam and in the variation of w: a step keeps both its sides."""
    finite = np.isfinite(w)
    lam, first = np.unique(lam[finite], return_index=True)
    w = w[finite][first]
    change = np.abs(np.diff(w))
    along = np.concatenate([[0], np.cumsum(np.diff(lam) / (lam[-1] - lam[0]) + change / max(change.sum(), 1e-300))])
    at = np.searchsorted(along, np.linspace(0, along[-1], NODES)).clip(1, len(lam) - 1)
    at = np.unique(np.concatenate([at - 1, at]))
    return lam[at], w[at]


def _assembled(
    excess: Array, top: float, pkl: tuple[float, float], divergence: Array, lam: Array, w: Array
) -> tuple[float, float]:
    """Both sides, from the excess of the loss over lam and KL(q||p^(s)); `top` is what PKL and KL are without noise."""
    rate = w * excess  # and beyond both ends w is constant
    inside = float((0.5 * (rate[1:] + rate[:-1]) * np.diff(lam)).sum())
    left = inside + w[0] * pkl[0] + w[-1] * (top - pkl[1])
    right = float((0.5 * (w[1:] + w[:-1]) * np.diff(divergence)).sum())
    return float(left), float(right + w[0] * divergence[0] + w[-1] * (top - divergence[-1]))


def two_points_sides(parameters: Mapping[str, float], lam: Array, w: Array) -> tuple[float, float]:
    """left from 1/2 E|eps-hat_q - eps-hat_r|², where eps-hat = y - b E[sign|y] and y = x/sigma."""
    q, r = TWO_POINTS
    b = parameters["a"] * np.exp(0.5 * lam)
    noise, weights = _noise()
    excess = np.zeros_like(lam)
    for sign, share in ((1, q[0]), (-1, q[1])):
        y = 2 * b[:, None] * (sign * b[:, None] + noise)
        gap = 2 * (_expit(y, float(q[0])) - _expit(y, float(r[0])))
        excess += share * 0.5 * b**2 * (gap**2 @ weights)
    pkl, shift = two_points(b)
    divergence = kl(q, q + shift[:, None] * (r - q))
    return _assembled(excess, float(kl(q, r)), (pkl[0], pkl[-1]), divergence, lam, w)


def shares_sides(parameters: Mapping[str, float], lam: Array, w: Array) -> tuple[float, float]:
    """left from the cross-entropies of the masked tokens: dm/m = -alpha d lam."""
    from scipy import stats

    k, length = int(parameters["K"]), int(parameters["L"])
    tokens = shares.dealt(k, length)
    alpha = _expit(lam)
    shown = stats.binom.pmf(np.arange(length + 1), length, alpha[:, None])
    divergence = kl(tokens.law, shown @ tokens.models)
    pkl = shown[[0, -1]] @ tokens.divergences
    return _assembled(
        alpha * (shown @ tokens.gaps), float(tokens.divergences[-1]), (pkl[0], pkl[1]), divergence, lam, w
    )
