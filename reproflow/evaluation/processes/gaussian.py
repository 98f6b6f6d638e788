"""How Gaussian networks are measured: likelihoods of flow and bound, the irreducible loss, the cascade of bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from reproflow.evaluation.bound_cascade.gaussian import Gaussian
from reproflow.evaluation.bound_cascade.subject import SUBJECTS
from reproflow.evaluation.cells import LIKELIHOODS, Likelihoods, attempt, bound_likelihood, se
from reproflow.evaluation.irreducible_loss import STRATA, Strata, edges_of, intensity
from reproflow.evaluation.likelihood.bound import bits_per_dim
from reproflow.evaluation.likelihood.flow import FlowLikelihood, dequantised_nll, flow_nll, read_off_time
from reproflow.evaluation.likelihood.gaussian_bound import gaussian_bound
from reproflow.exact import empirical
from reproflow.exact.mixture import Mixture
from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.training.batches import TrainingLoss
from reproflow.theory.coefficients import Coefficients

COARSE_NATS = 0.1
"""A flow's likelihood of points is refused where N and 2 N solver steps differ by more."""
COARSE_BITS = 0.05
"""The same of images, in bits/dim."""
SLICE = 128
"""Images whose flow is followed at a time: bounds the memory that an exact divergence takes."""
DRAWS = 1024
"""Draws a replicate of the irreducible loss."""

Errors = Callable[[Coefficients, Generator], Tensor]


@LIKELIHOODS.register("gaussian")
def likelihood(denoiser: GaussianDenoiser, experiment: Experiment, data: ToyData | ImageData) -> Likelihoods:
    """Of points the flow's; of images the variational bound and, where it is asked for, the flow's too."""
    if isinstance(data, ToyData):
        points, why = attempt("nll_nats", _point_flow, denoiser, experiment, data)
        return points or Likelihoods({"split": "test"}, {}, "failed", why)
    bound = bound_likelihood(_bound_nats, denoiser, experiment, data)
    if not experiment.likelihood.ode_points:
        return bound
    had, why = attempt("ode_bits_per_dim", _image_flow, denoiser, experiment, data)
    flow = had or Likelihoods({}, {}, reason=why)
    reason = "; ".join(filter(None, [bound.reason, flow.reason]))
    return Likelihoods(bound.columns | flow.columns, bound.nats | flow.nats, bound.status, reason)


def _bound_nats(denoiser: GaussianDenoiser, experiment: Experiment, data: ImageData) -> Tensor:
    settings, values, (low, high) = experiment.likelihood, data.values.float(), experiment.training.t_range
    tokens, y = data.tokens("test")[: settings.points], data.labels("test")[: settings.points]
    generator = seeds.generator("likelihood", data.name)
    t_range = (low, read_off_time(denoiser.path, values, (low, high)))
    return gaussian_bound(denoiser, tokens, y, generator, values, t_range, repeats=settings.repeats).nats


def _point_flow(denoiser: GaussianDenoiser, experiment: Experiment, data: ToyData) -> Likelihoods:
    settings = experiment.likelihood
    points = data.test[: settings.points].float()
    flow = flow_nll(denoiser, points, t_range=experiment.training.t_range, steps=settings.steps)
    nats = {"nll_nats": flow.nats, "nll_coarse": flow.coarse}
    error = abs(float(flow.nats.mean() - flow.coarse.mean()))
    reason = _refusal("nll", error, COARSE_NATS, "nats", settings.steps, "likelihood.steps")
    columns = {} if reason else {"nll_nats": float(flow.nats.mean()), "nll_nats_se": math.hypot(se(flow.nats), error)}
    return Likelihoods(columns | {"split": "test"}, nats, "failed" if reason else "ok", reason)


def _image_flow(denoiser: GaussianDenoiser, experiment: Experiment, data: ImageData) -> Likelihoods:
    """The flow's bound at `ode_points` held-out images, with one draw of noise and the same probes for every cell."""
    settings, values = experiment.likelihood, data.values.float()
    tokens, y = data.tokens("test")[: settings.ode_points], data.labels("test")[: settings.ode_points]
    generator, probes = seeds.generator("dequantisation", data.name), _probes(experiment, data, len(tokens))
    options: dict[str, Any] = {"t_range": experiment.training.t_range, "steps": settings.ode_steps}
    parts = []
    for rows in torch.arange(len(tokens)).split(SLICE):
        options["probes"] = None if probes is None else probes[:, rows]
        parts.append(dequantised_nll(denoiser, tokens[rows], y[rows], generator, values, **options))
    flow = FlowLikelihood.joined(parts)
    bits, coarse = (bits_per_dim(nats, data.dim) for nats in (flow.nats, flow.coarse))
    error = abs(float(bits.mean() - coarse.mean()))
    reason = _refusal("ode_bits_per_dim", error, COARSE_BITS, "bits/dim", settings.ode_steps, "likelihood.ode_steps")
    nats = {"ode_nats": flow.nats, "ode_coarse": flow.coarse, "ode_probe_se": flow.probe_se}
    columns = {"ode_bits_per_dim": float(bits.mean()), "ode_bits_per_dim_se": math.hypot(se(bits), error)}
    return Likelihoods({} if reason else columns, nats, reason=reason)


def _probes(experiment: Experiment, data: ImageData, n: int) -> Tensor | None:
    """Hutchinson's ±1 probes of n images, (probes, n, D), or None for the exact divergence."""
    if experiment.likelihood.divergence == "exact":
        return None
    signs = torch.randint(
        2, (n, experiment.likelihood.probes, data.dim), generator=seeds.generator("probes", data.name)
    )
    return (2 * signs - 1).movedim(1, 0)


def _refusal(name: str, error: float, limit: float, unit: str, steps: int, key: str) -> str:
    """Why a flow's likelihood is refused, or nothing."""
    if error <= limit:
        return ""
    return f"{name} refused: {steps} and {2 * steps} solver steps differ by {error:.3g} {unit}; raise {key}"


@SUBJECTS.register("gaussian")
def cascade() -> type[Gaussian]:
    """A network compared with its training set."""
    return Gaussian


@STRATA.register("gaussian")
def strata(aim: TrainingLoss, data: ToyData | ImageData) -> Strata:
    """Bins of time; a law with atoms has no density, and is one stratum that is drawn from."""
    errors = _image_errors(data) if isinstance(data, ImageData) else _mixture_errors(data)
    edges = edges_of(aim)
    if edges is None:

        def drawn(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
            t = aim.objective.time.draw(u, aim.t_range)
            return aim.objective.coefficient(t) * errors(aim.objective.path.at(t), generator)

        return Strata(torch.ones(1, dtype=torch.float64), drawn, DRAWS)

    def term(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
        t = edges[chosen] + u * edges.diff()[chosen]
        return intensity(aim, t) * edges.diff()[chosen] * errors(aim.objective.path.at(t), generator)

    t = (edges[1:] + edges[:-1]) / 2
    alpha, sigma = aim.objective.path(t)
    return Strata(intensity(aim, t) * edges.diff() * alpha**2 / (alpha**2 + sigma**2), term, DRAWS)


def _mixture_errors(data: ToyData) -> Errors:
    """tr Cov(eps | x_t) at draws of x_t, (n,)."""
    assert data.mixture is not None
    law = Mixture(data.mixture.weights, data.mixture.means, data.mixture.stds)

    def errors(c: Coefficients, generator: Generator) -> Tensor:
        x1 = data.sample(len(c.t), generator, torch.float64)
        eps = torch.randn(x1.shape, generator=generator, dtype=torch.float64)
        x = c.alpha[:, None] * x1 + c.sigma[:, None] * eps
        return law.target_variance(x, c, torch.zeros_like(c.t), torch.ones_like(c.t))

    return errors


def _image_errors(data: ImageData) -> Errors:
    """|eps - E[eps|x_t]|² at draws of x_t, (n,), against the posterior over the training images of the same class."""
    points, labels = data.points(dtype=torch.float64), data.labels()

    def errors(c: Coefficients, generator: Generator) -> Tensor:
        index = torch.randint(len(points), (len(c.t),), generator=generator)
        eps = torch.randn(len(index), data.dim, generator=generator, dtype=torch.float64)
        x1, alpha, sigma = points[index], c.alpha[:, None], c.sigma[:, None]
        mean = empirical.posterior_mean(alpha * x1 + sigma * eps, points, c, labels[index], labels)
        return (alpha / sigma * (x1 - mean)).square().sum(1)

    return errors
