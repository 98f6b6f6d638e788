"""Noise in the state that the target lacks: white noise is one with the main noise, and so the loss has a weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from losses.mutants_time import input_perturbed, offset_noise_in_the_state
from losses.stated import BATCH, SHAPE, by_level
from measured_tables import linear_betas
from torch.nn.functional import mse_loss

from reproflow.auditing.audit import Audit, audit

WIDTH = 0.2


def conditional_flow(model, x1):
    """Tong et al. 2024: a path of width sigma around a line from noise to data."""
    t, x0 = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    xt = s * x1 + (1 - s) * x0 + WIDTH * torch.randn_like(x1)
    return mse_loss(model(xt, t), x1 - x0)


def weight(found: Audit) -> tuple[np.ndarray, np.ndarray]:
    """lam and w, w divided by its median."""
    canonical = found.identification.canonical
    assert canonical is not None
    lam, w = (np.array(canonical[key]) for key in ("lam", "w"))
    return lam, w / np.median(w)


def test_the_weight_of_a_path_of_some_width() -> None:
    """With B² = (1 - t)² + sigma² the best answer is x1 - (1 - t)/B eps; w = 2 c_eps / (dlam/dt), by hand."""
    found = audit(conditional_flow, SHAPE, batch=BATCH)
    lam, w = weight(found)
    t = np.linspace(1e-4, 1 - 1e-4, 200_001)
    B = np.sqrt((1 - t) ** 2 + WIDTH**2)
    c = ((B + (1 - t) * t / B) / t) ** 2
    stated = np.interp(lam, 2 * np.log(t / B), 2 * c / (2 / t + 2 * (1 - t) / B**2))
    inner = np.abs(lam) < 3
    assert inner.sum() > 30
    ratio = (w / stated)[inner]
    assert ratio / np.median(ratio) == pytest.approx(np.ones(inner.sum()), abs=2e-3)
    assert "more-noise" in [each.id for each in found.findings]


def test_steps_with_perturbed_input_have_the_levels_of_all_noise() -> None:
    """Ning et al. 2023: lam is lower by log(1 + 0.1²) than without it, and the names stay."""
    found = audit(input_perturbed, SHAPE, batch=BATCH, float64=True)
    kept = np.cumprod(1 - linear_betas())
    lam, _ = weight(found)
    assert lam == pytest.approx(np.log(kept / (1 - kept))[::-1][: len(lam)] - np.log(1.01), abs=1e-9)
    named = found.identification
    assert (named.path["name"], named.target["name"]) == ("VP", "eps")
    assert named.judged is not None


def test_noise_that_is_not_white_has_no_weight() -> None:
    found = audit(offset_noise_in_the_state, SHAPE, batch=BATCH)
    assert found.identification.canonical is None
    assert found.identification.judged is None
