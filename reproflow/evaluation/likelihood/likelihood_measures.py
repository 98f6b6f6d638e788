"""Likelihoods as measures: of held-out points under the flow, and two upper bounds of held-out images in bits/dim.

Evaluation noise is drawn from the data set alone, so that all cells are measured with the same noise. The bounds of
images are of two models: the variational one of the SDE's (or the masked one), and that of the probability flow; both
stop where the levels are read off (`likelihood.flow`), so that any target has them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from reproflow.evaluation.likelihood.bound import Bound, bits_per_dim
from reproflow.evaluation.likelihood.flow import FlowLikelihood, dequantised_nll, flow_nll, read_off_time
from reproflow.evaluation.likelihood.gaussian_bound import gaussian_bound
from reproflow.evaluation.likelihood.masked_bound import masked_bound
from reproflow.evaluation.measures import Measured, Subject, mean_error, measure
from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment
from reproflow.foundation.measures import Facts
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.networks.denoiser import GaussianDenoiser, MaskedDenoiser

COARSE_NATS = 0.1
COARSE_BITS = 0.05
SLICE = 128
"""Images whose flow is followed at a time: bounds the memory that an exact divergence takes."""
BOUND = Facts(
    heading="Bound, bits/dim", unit="bits/dim", decimals=4, margin=0.002, of="network", data="images", primary=True
)


@measure(
    "nll_nats",
    process="gaussian",
    cite="Chen et al. 2018",
    facts=Facts(
        heading="NLL, nats", unit="nats", decimals=3, margin=0.01, of="network", data="points", primary=True,
        required=True,
    ),
)  # fmt: skip
def nll_nats(subject: Subject) -> Measured:
    """The exact negative log-likelihood of held-out points under the probability flow, in nats."""
    denoiser, data, settings = subject.denoiser, subject.data, subject.experiment.likelihood
    assert isinstance(denoiser, GaussianDenoiser)
    assert isinstance(data, ToyData)
    points = data.test[: settings.points].float()
    flow = flow_nll(denoiser, points, t_range=subject.experiment.training.t_range, steps=settings.steps)
    nats = {"nll_nats": flow.nats, "nll_coarse": flow.coarse}
    error = abs(float(flow.nats.mean() - flow.coarse.mean()))
    if error > COARSE_NATS:
        return Measured(None, None, _refusal("nll", error, "nats", settings.steps, "likelihood.steps"), nats=nats)
    return Measured(float(flow.nats.mean()), math.hypot(mean_error(flow.nats), error), nats=nats)


@measure("bound_bits_per_dim", process="gaussian", cite="Kingma et al. 2021", facts=BOUND)
@torch.inference_mode()
def gaussian_bound_bits(subject: Subject) -> Measured:
    """The continuous-time bound of held-out images under the model of the SDE, in bits per dimension."""
    denoiser, data, settings = subject.denoiser, subject.data, subject.experiment.likelihood
    assert isinstance(denoiser, GaussianDenoiser)
    assert isinstance(data, ImageData)
    values, (low, high) = data.values.float(), subject.experiment.training.t_range
    t_range = (low, read_off_time(denoiser.path, values, (low, high)))
    tokens, y, generator = _held_out(data, settings.points)
    found = gaussian_bound(denoiser, tokens, y, generator, values, t_range, repeats=settings.repeats)
    return _bits(found, data)


@measure("bound_bits_per_dim", process="masked", cite="Shi et al. 2024", facts=BOUND)
@torch.inference_mode()
def masked_bound_bits(subject: Subject) -> Measured:
    """The schedule-free bound of held-out images under the masked model, in bits per dimension."""
    denoiser, data, settings = subject.denoiser, subject.data, subject.experiment.likelihood
    assert isinstance(denoiser, MaskedDenoiser)
    assert isinstance(data, ImageData)
    tokens, y, generator = _held_out(data, settings.points)
    return _bits(masked_bound(denoiser, tokens, y, generator, repeats=settings.repeats), data)


@measure(
    "ode_bits_per_dim",
    process="gaussian",
    cite="Song et al. 2021",
    facts=Facts(heading="Flow, bits/dim", unit="bits/dim", decimals=4, margin=0.002, of="network", data="images"),
)
def ode_bits_per_dim(subject: Subject) -> Measured | None:
    """The probability flow's bound at `ode_points` held-out images, in bits per dimension; none for no such points.

    One draw of noise and the same probes serve every cell.
    """
    denoiser, data, settings = subject.denoiser, subject.data, subject.experiment.likelihood
    if not settings.ode_points:
        return None
    assert isinstance(denoiser, GaussianDenoiser)
    assert isinstance(data, ImageData)
    values = data.values.float()
    tokens, y = data.tokens("test")[: settings.ode_points], data.labels("test")[: settings.ode_points]
    generator = seeds.generator("dequantisation", data.name)
    probes = _probes(subject.experiment, data, len(tokens))
    options: dict[str, Any] = {"t_range": subject.experiment.training.t_range, "steps": settings.ode_steps}
    parts = []
    for rows in torch.arange(len(tokens)).split(SLICE):
        options["probes"] = None if probes is None else probes[:, rows]
        parts.append(dequantised_nll(denoiser, tokens[rows], y[rows], generator, values, **options))
    flow = FlowLikelihood.joined(parts)
    bits, coarse = (bits_per_dim(nats, data.dim) for nats in (flow.nats, flow.coarse))
    error = abs(float(bits.mean() - coarse.mean()))
    nats = {"ode_nats": flow.nats, "ode_coarse": flow.coarse, "ode_probe_se": flow.probe_se}
    if error > COARSE_BITS:
        why = _refusal("ode_bits_per_dim", error, "bits/dim", settings.ode_steps, "likelihood.ode_steps")
        return Measured(None, None, why, nats=nats)
    return Measured(float(bits.mean()), math.hypot(mean_error(bits), error), nats=nats)


def _held_out(data: ImageData, points: int) -> tuple[Tensor, Tensor, torch.Generator]:
    """Levels and labels of the first held-out images, and the generator of the noise that all cells share."""
    tokens, y = data.tokens("test")[:points], data.labels("test")[:points]
    return tokens, y, seeds.generator("likelihood", data.name)


def _bits(bound: Bound, data: ImageData) -> Measured:
    bits = bits_per_dim(bound.nats, data.dim)
    finite = bool(bits.isfinite().all())
    why = "" if finite else "bound_bits_per_dim is not finite"
    nats = {"bound_nats": bound.nats}
    return Measured(float(bits.mean()), mean_error(bits), why, nats=nats, failed=not finite)


def _probes(experiment: Experiment, data: ImageData, n: int) -> Tensor | None:
    """Hutchinson's ±1 probes of n images, (probes, n, D), or None for the exact divergence."""
    if experiment.likelihood.divergence == "exact":
        return None
    signs = torch.randint(
        2, (n, experiment.likelihood.probes, data.dim), generator=seeds.generator("probes", data.name)
    )
    return (2 * signs - 1).movedim(1, 0)


def _refusal(name: str, error: float, unit: str, steps: int, key: str) -> str:
    """Why a flow's likelihood is refused."""
    return f"{name} refused: {steps} and {2 * steps} solver steps differ by {error:.3g} {unit}; raise {key}"
