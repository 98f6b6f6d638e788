"""A user's file of divergences, sound, broken and faulty ones, in the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

FILE = """
import torch
import reproflow

def squared(a, b, t, x, k=1.0): return k * (a - b).square().sum(1)
def mahalanobis(a, b, t, x):
    n = a.shape[1]
    d = a - b
    return torch.einsum("bi,ij,bj->b", d, torch.eye(n, dtype=a.dtype) + 0.9, d)
def sums(a, b, t, x): return (a.sum(1) - b.sum(1))**2
def first(a, b, t, x): return (a[:, 0] - b[:, 0])**2
def detached(a, b, t, x): return (a - b.detach()).square().sum(1)
def by_numpy(a, b, t, x): return torch.from_numpy(((a.numpy() - b.detach().numpy()) ** 2).sum(1))
def steps(a, b, t, x): return ((a - b).abs() > 1).double().sum(1)
def norm_squared(a, b, t, x): return (a - b).norm(dim=1) ** 2
def root_squared(a, b, t, x): return (a - b).square().sum(1).sqrt() ** 2
def nearly(a, b, t, x): return torch.nn.functional.pairwise_distance(a, b) ** 2
def shares_kl(a, b, t, x):
    p, q = a / a.sum(1, keepdim=True), b / b.sum(1, keepdim=True)
    return (p * (p / q).log()).sum(1)
def norm(a, b, t, x): return (a - b).norm(dim=1)
def insensitive(a, b, t, x): return torch.relu((a - b).abs() - 1).square().sum(1)
def single(a, b, t, x): return (a.float() - b.float()).square().sum(1)
def clamped(a, b, t, x): return (a * (a.clamp(min=1e-12) / b.clamp(min=1e-12)).log() - a + b).sum(1)
def constant(a, b, t, x): return 0.0
@reproflow.divergence("mine", cite="-", domain="real")
def decorated(a, b, t, x): return (a - b).abs().sum(1)

def nan(a, b, t, x): return (a - b).log().sum(1)
def far(a, b, t, x): return (20 - a).sqrt().sum(1) * float("nan")
def shape(a, b, t, x): return (a - b)**2
def mean(a, b, t, x): return (a - b).square().mean()
def shares(a, b, t, x): return (a - b).square().sum(1) / (a - b).square().mean()
def random(a, b, t, x): return (a - b).square().sum(1) + torch.rand(len(a))
def raises(a, b, t, x): raise ValueError("on purpose")
def three(a, b, t): return a
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loss.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
