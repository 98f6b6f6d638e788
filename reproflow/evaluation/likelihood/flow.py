r"""The likelihood of a flow: where a point came from, and how much the flow stretched on the way.

x at t_min is N(0, s² I) with s² = alpha² + sigma², the base that samplers start from, and dx/dt = velocity(x, t) up to
t_max. In y = x / sqrt(alpha² + sigma²) the base is N(0, I), and along any s that runs from data (0) to noise (1)

.. math:: -\log p(x) = -\log N(y_1; 0, I) - \int_0^1 \nabla \cdot \frac{dy}{ds} \, ds
          + \tfrac D2 \log(\alpha^2 + \sigma^2)

with the last term at t_max (Chen et al. 2018, eq. 8; y takes the path's own growth out of the field). This is the
density of what the sampler returns: the base is part of the model, and so is stopping at t_max. Errors are the
solver's, of order 4, reported as the distance between N and 2 N steps, and of the probes where the divergence is
Hutchinson's. Nats throughout.

Levels have no density. Noise is added to them as the path does it, z = alpha v + sigma eps, up to a time when its
spread is that of uniform noise in a level's bin (the spacing h over sqrt(12)); there the flow stops and a decoder
P(x|z) = prod_i P(x_i|z) reads the levels off. For this model, with q(z|x) = N(alpha v, sigma² I),

.. math:: -\log P(x) \le E_{q(z|x)} [\log q(z|x) - \log p(z) - \log P(x|z)].

Uniform noise is the usual choice and the wrong one here: a flow that has learned levels puts its mass on them, and
noise across a bin falls where there is none (a digits network has 2.0 bits/dim this way, 141 with uniform noise at
t_max = .999; a head that cannot concentrate has 3.0 and 3.05).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from reproflow.foundation.errors import UsageError
from reproflow.learning.networks.base import ContinuousDenoiser
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.numerics.bisection import bisect
from reproflow.theory.log_snr import invert_lam, log_snr
from reproflow.theory.paths import Path
from reproflow.theory.processes.gaussian import level_logits

Field = Callable[[Tensor, int], tuple[Tensor, Tensor]]

RANGE = (1e-3, 1 - 1e-3)
DIRECTIONS = 16
"""Basis vectors pulled back at a time where the divergence is exact: more is faster, and holds more memory."""


@dataclass(frozen=True)
class FlowLikelihood:
    """-log p per point (B,), float64: `nats` with 2 N steps and `coarse` with N; `error` is their distance.

    `probe_se` is the standard error of `nats` over Hutchinson's probes: 0 for an exact divergence, NaN for one probe.
    """

    nats: Tensor
    coarse: Tensor
    probe_se: Tensor

    @property
    def error(self) -> Tensor:
        return (self.nats - self.coarse).abs()

    @classmethod
    def joined(cls, parts: Sequence[FlowLikelihood]) -> FlowLikelihood:
        """Those points one after the other."""
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in ("nats", "coarse", "probe_se")))

    def plus(self, nats: Tensor) -> FlowLikelihood:
        """The same with known nats (B,) added to each point."""
        return FlowLikelihood(self.nats + nats, self.coarse + nats, self.probe_se)


def flow_nll(
    denoiser: ContinuousDenoiser,
    x: Tensor,
    y: Tensor | None = None,
    t_range: tuple[float, float] = RANGE,
    steps: int = 25,
    probes: Tensor | None = None,
) -> FlowLikelihood:
    """-log p in nats of the probability-flow ODE, by RK4 from data to noise with N and 2 N steps.

    x (B, D) floating, y (B,) or None. The divergence is exact, by D backward passes, or with `probes` (P, B, D) of
    independent ±1 Hutchinson's unbiased estimate, held fixed along the path. A trajectory that leaves the finite
    numbers gives NaN or infinity there. Raises `UsageError` for integer x: a density needs dequantised data.
    """
    if not x.is_floating_point():
        raise UsageError(f"a flow likelihood needs floating-point data, got {x.dtype}; dequantise it first.")
    x, y = x.to(denoiser.device), None if y is None else y.to(denoiser.device)
    route = Route.over(denoiser.path, t_range, 2 * steps)
    probes = None if probes is None else probes.to(x)

    def field(z: Tensor, node: int) -> tuple[Tensor, Tensor]:
        scale, growth, pace = (float(each[node]) for each in (route.scale, route.growth, route.pace))
        # One time for all: an expanded scalar, so that a denoiser may find its coefficients once.
        times = torch.full((1,), float(route.t[node]), dtype=z.dtype, device=z.device).expand(len(z))

        def slope(z: Tensor) -> Tensor:
            return (pace / scale) * (denoiser.velocity(scale * z, times, y) - growth * z)

        return _with_divergence(slope, z, probes)

    start, shift = x / float(route.scale[0]), x.shape[1] * math.log(float(route.scale[0]))
    coarse, fine = (_nll(field, start, n, stride) + shift for n, stride in ((steps, 2), (2 * steps, 1)))
    return FlowLikelihood(fine.mean(0), coarse.mean(0), _probe_se(fine, probes))


def dequantised_nll(
    denoiser: GaussianDenoiser,
    levels: Tensor,
    y: Tensor | None,
    generator: Generator,
    values: Tensor,
    t_range: tuple[float, float] = RANGE,
    **options: Any,
) -> FlowLikelihood:
    """An upper bound in nats of -log P(levels), with one draw of the noise: the flow to `read_off_time`, then P(x|z).

    levels int64 (B, D), y (B,) or None, values (V,) evenly spaced, in the network's dtype; `options` are `flow_nll`'s.
    Its mean over noise is the bound. Another model than `gaussian_bound`'s (the ODE, not the SDE), with another number.
    """
    stop = read_off_time(denoiser.path, values, t_range)
    alpha, sigma = (float(each) for each in denoiser.path(torch.tensor(stop, dtype=torch.float64)))
    eps = torch.randn(levels.shape, generator=generator, dtype=torch.float64)
    z = (alpha * values.double()[levels] + sigma * eps).to(values.dtype)
    flow = flow_nll(denoiser, z, y, (t_range[0], stop), **options)
    log_q = -0.5 * eps.square().sum(-1) - 0.5 * levels.shape[1] * math.log(2 * math.pi * sigma**2)
    return flow.plus(log_q + read_off(denoiser, levels, z, y, stop, values))


def read_off_time(path: Path, values: Tensor, t_range: tuple[float, float]) -> float:
    """The time in t_range when sigma / alpha has come down to the levels' spacing over sqrt(12), or t_max before it."""
    wanted = torch.tensor(2 * math.log(math.sqrt(12) / float(values[1] - values[0])), dtype=torch.float64)
    low, high = (float(log_snr(path, torch.tensor(t, dtype=torch.float64))) for t in t_range)
    if wanted <= low:
        return t_range[0]
    return t_range[1] if wanted >= high else float(invert_lam(path, wanted))


@torch.no_grad()
def read_off(
    denoiser: GaussianDenoiser, levels: Tensor, z: Tensor, y: Tensor | None, t: float, values: Tensor
) -> Tensor:
    """-log P(levels | z) at time t: (B,), float64 on the CPU; z (B, D) in the network's dtype.

    P is the network's posterior over levels where it has one, else N(z; alpha v, sigma²) normalised over the levels v.
    """
    z, times = z.to(denoiser.device), torch.full((len(z),), t, dtype=z.dtype, device=denoiser.device)
    if denoiser.head.kind == "levels":
        logits = denoiser.x1_logits(z, times, None if y is None else y.to(denoiser.device)).double()
    else:
        alpha, sigma = denoiser.path(times.double())
        logits = level_logits(z.double(), alpha, sigma, values.to(z.device).double())
    chosen = logits.gather(-1, levels.to(z.device).unsqueeze(-1)).squeeze(-1)
    return (logits.logsumexp(-1) - chosen).sum(-1).cpu()


@dataclass(frozen=True)
class Route:
    """Nodes at equal steps of s from t_max to t_min, two a solver step: all (2 n + 1,), float64.

    `t`; `scale` = sqrt(alpha² + sigma²); `growth`, its derivative; `pace` = dt/ds. A share of s is time itself, where
    networks that put out a velocity are smooth; the rest is the logarithm of the angle phi = atan(sigma / alpha), as
    near the data all happens at a distance of some sigma (Karras et al. 2022 choose their steps like this). Equal steps
    of t alone would take ten times as many on digits.
    """

    t: Tensor
    scale: Tensor
    growth: Tensor
    pace: Tensor

    @classmethod
    def over(cls, path: Path, t_range: tuple[float, float], steps: int) -> Route:
        low, high = (torch.tensor(end, dtype=torch.float64) for end in t_range)
        near, far = _log_angle(path, high), _log_angle(path, low)

        def s(t: Tensor) -> Tensor:
            return SHARE * (high - t) / (high - low) + (1 - SHARE) * (_log_angle(path, t) - near) / (far - near)

        t = _decreasing_inverse(s, torch.linspace(0, 1, 2 * steps + 1, dtype=torch.float64), low, high)
        c = path.at(t)
        scale = (c.alpha**2 + c.sigma**2).sqrt()
        angle = torch.atan2(c.sigma, c.alpha)
        turn = (c.alpha * c.dsigma - c.sigma * c.dalpha) / scale**2
        slope = -SHARE / (high - low) + (1 - SHARE) * turn / ((angle + NEAREST) * (far - near))
        return cls(t, scale, (c.alpha * c.dalpha + c.sigma * c.dsigma) / scale, 1 / slope)


SHARE = 0.3
NEAREST = 5e-3
"""An angle below which there is nothing left to resolve: it keeps the logarithm finite where sigma = 0."""


def _log_angle(path: Path, t: Tensor) -> Tensor:
    alpha, sigma = path(t)
    return (torch.atan2(sigma, alpha) + NEAREST).log()


def _decreasing_inverse(function: Callable[[Tensor], Tensor], wanted: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Where a function that falls from 1 at `low` to 0 at `high` takes the values `wanted`, by bisection."""
    left, right = low.expand(len(wanted)), high.expand(len(wanted))
    inner = bisect(lambda t: function(t) > wanted, left, right, 60)
    return torch.cat([high[None], inner[1:-1], low[None]])


def _nll(field: Field, y: Tensor, steps: int, stride: int) -> Tensor:
    """-log density of y (B, D) at s = 0, one row a probe: (P, B)."""
    y, integral = _rk4(field, y, steps, stride)
    base = 0.5 * y.double().square().sum(-1) + 0.5 * y.shape[1] * math.log(2 * math.pi)
    return (base - integral).cpu()


def _rk4(field: Field, y: Tensor, steps: int, stride: int) -> tuple[Tensor, Tensor]:
    """y carried from s = 0 to 1 (B, D), and the integral of the divergence (P, B); a step is 2 `stride` nodes."""
    h, integral = 1 / steps, torch.zeros((), dtype=torch.float64, device=y.device)
    for start in range(0, 2 * steps * stride, 2 * stride):
        v1, d1 = field(y, start)
        v2, d2 = field(y + h / 2 * v1, start + stride)
        v3, d3 = field(y + h / 2 * v2, start + stride)
        v4, d4 = field(y + h * v3, start + 2 * stride)
        y = y + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
        integral = integral + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return y, integral


def _with_divergence(slope: Callable[[Tensor], Tensor], y: Tensor, probes: Tensor | None) -> tuple[Tensor, Tensor]:
    """The field at y (B, D) and its divergence (1, B): sum_k e_k · J e_k over a basis; (P, B) for each of P probes."""
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        v = slope(y)
        if probes is None:
            divergence = _trace(v, y)
        else:
            rows = [(torch.autograd.grad(v, y, e, retain_graph=True)[0] * e).sum(-1) for e in probes]
            divergence = torch.stack(rows)
    return v.detach(), divergence.double()


def _trace(v: Tensor, y: Tensor) -> Tensor:
    """The trace of dv/dy, (1, B), pulling back `DIRECTIONS` basis vectors at once."""
    total = torch.zeros(1, len(y), dtype=y.dtype, device=y.device)
    for axes in torch.arange(y.shape[1], device=y.device).split(DIRECTIONS):
        basis = torch.nn.functional.one_hot(axes, y.shape[1]).to(y).unsqueeze(1).expand(-1, *y.shape)
        pulled = torch.autograd.grad(v, y, basis, retain_graph=True, is_grads_batched=True)[0]
        total = total + (pulled * basis).sum((0, 2))
    return total


def _probe_se(nats: Tensor, probes: Tensor | None) -> Tensor:
    if probes is None:
        return torch.zeros(nats.shape[1], dtype=torch.float64)
    spread = nats.std(0) if len(nats) > 1 else torch.full((nats.shape[1],), math.nan, dtype=torch.float64)
    return spread / math.sqrt(len(nats))
