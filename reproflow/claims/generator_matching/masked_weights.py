"""Generator matching: which weights of a masked model leave its best denoiser alone (BIL-10)."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from reproflow.claims.policy import Context, Measurement, claim, told, worst
from reproflow.exact.discrete import TableDenoiser
from reproflow.foundation import registry, seeds
from reproflow.learning.processes.masked import MaskedLoss
from reproflow.numerics.derivatives import Mode
from reproflow.theory.objective import get_objective
from reproflow.theory.processes import masked

DATA = "weight depends on x1"
SCHEDULE = "each token value masked at a pace of its own"

VOCABULARY = 3
LENGTH = 3
T_RANGE = (0.05, 0.95)
TIMES = 5


def _cases() -> tuple[str, ...]:
    return tuple(entry.name for entry in registry.entries("weighting", "masked"))


@claim(
    "BIL-10",
    title="masked models: every positive weight in time has the same best denoiser",
    source="000 Theorem 4.8, Jump Models; 001",
    kind="exact",
    tolerance=1e-12,
    cases=_cases,
    controls=(DATA, SCHEDULE),
)
def same_denoiser(case: str, variant: str, context: Context) -> Measurement:
    """For any w(t) > 0, E[w(t) sum over hidden n of CE(mu_n(z_t), x_n)] is least at mu_n = q(x_n | x_U), whatever t.

    Statement: U are the tokens that z_t shows. The posterior of a hidden token given z_t is q(x_n|x_U): time cancels
        from Bayes' rule. So it is the best denoiser at each t, and at all of them together, under every weight, path
        and time law; a network without time input loses nothing, and for it w > 0 on any length of time will do.
    Assumptions: tokens are masked independently with a probability that depends on t alone; the denoiser is
        unrestricted. Equal minimisers do not make equal training runs (LOSS-6).
    Proof idea: P(z_t|x) = alpha^|U| (1-alpha)^(D-|U|) 1[x_U = z_U]: its time factor is the same for every x that
        agrees with z_t. The cross-entropy given z_t is least at the posterior.
    Computed: a random joint law of three tokens of three values, all 27 x and 8 masks, on every registered masked path,
        at five quantiles of the uniform time law, and on the linear path under each other one. The package's own loss
        is differentiated at the uniform denoiser: its gradient in the logits of z_t is mass(z_t) (uniform - best), so
        that one step finds the minimiser, at which the gradient is computed again. The statistic is the largest of the
        distance of the minimiser from the table of conditional laws, that of its minimisers at single times (a time-
        conditioned network's), and the gradient left at the minimiser, shown tokens included, relative to the mass.
    Source: 000 Theorem 4.8 with its jump models; 001 for the masked weightings; Shi et al. 2024 for the denoiser.
    Refuted by: a distance above 1e-12. A weight that depends on x1, and a masking probability that depends on the
        token's value, so that being hidden says something about it, must show one.
    """
    gaps = denoiser_gaps(_rows(case, variant))
    return Measurement(worst(gaps.values()), detail=told(gaps))


@dataclass(frozen=True)
class Rows:
    """Every (x, z_t) at T times in K settings: x1 and z (R, D), weight (K, T, R), the coefficient times P(x, z_t)."""

    x1: Tensor
    z: Tensor
    weight: Tensor


def denoiser_gaps(rows: Rows) -> dict[str, float]:
    """Largest distances in probability of the minimiser, of those at single times, and the gradient left over."""
    exact, hidden = TableDenoiser(table()).logits(_states()).exp(), (_states() == VOCABULARY)[..., None]
    together = replace(rows, weight=rows.weight.sum(1, keepdim=True))
    found, single = _minimiser(together), _minimiser(rows)
    # Of shown tokens the loss must know nothing, so that any guess will do for them.
    left = _gradient(together, torch.where(hidden, found, 1 / VOCABULARY).log()) / _mass(together)
    # At a time that a weight leaves out, every denoiser is as good.
    misses = {"minimiser": found - exact, "at single times": (single - exact) * (_mass(rows) > 0)}
    gaps = {name: float((hidden * miss).abs().max()) for name, miss in misses.items()}
    return gaps | {"gradient": float(left.abs().max())}


@functools.cache
def table() -> Tensor:
    """A joint law of the tokens, (V, ..., V), all its entries positive."""
    logits = torch.randn(VOCABULARY**LENGTH, generator=seeds.generator("BIL-10"), dtype=torch.float64)
    return logits.softmax(0).view([VOCABULARY] * LENGTH)


def _states() -> Tensor:
    """Every z, (64, D)."""
    return torch.cartesian_prod(*[torch.arange(VOCABULARY + 1)] * LENGTH)


def _rows(case: str, variant: str) -> Rows:
    tokens = torch.cartesian_prod(*[torch.arange(VOCABULARY)] * LENGTH)
    # Uniforms of 0 and 1, on either side of any alpha: every set of hidden tokens once.
    chance = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * LENGTH).repeat(len(tokens), 1)
    x1 = tokens.repeat_interleave(2**LENGTH, 0)
    alpha, coefficient = _draws(case)
    z = masked.mask(x1, alpha.mean().expand(len(x1)), chance, VOCABULARY)
    shown = alpha[..., None, None].expand(*alpha.shape, *x1.shape)
    if variant == SCHEDULE:
        shown = shown ** (1 + x1)
    p = table().flatten().repeat_interleave(2**LENGTH) * torch.where(z == VOCABULARY, 1 - shown, shown).prod(-1)
    weight = coefficient[..., None] * p
    return Rows(x1, z, weight * (1 + x1[:, 0]) if variant == DATA else weight)


@functools.cache
def _draws(case: str) -> tuple[Tensor, Tensor]:
    """alpha and the coefficient of the loss at T quantiles in every setting, as training draws them, (K, T) each."""
    u = (torch.arange(TIMES) + 0.5) / TIMES
    at = [_training_loss(case, *setting).at(u) for setting in _settings()]
    alpha, coefficient = (torch.stack([each[name] for each in at]).double() for name in ("alpha", "coefficient"))
    return alpha, coefficient


def _settings() -> list[tuple[str, str]]:
    """Every registered masked path under the uniform time law, and the linear one under every other."""
    laws = [entry.name for entry in registry.entries("time", "masked") if entry.name != "uniform"]
    paths = [entry.name for entry in registry.entries("path", "masked")]
    return [(path, "uniform") for path in paths] + [("linear", law) for law in laws]


def _training_loss(case: str, path: str, law: str) -> MaskedLoss:
    return MaskedLoss(get_objective(path, law, case, "masked", mode=Mode.FORWARD), VOCABULARY, T_RANGE)


def _minimiser(rows: Rows) -> Tensor:
    """The best denoiser of every state, (K, T, 64, D, V): one step of length 1/mass from the uniform one."""
    uniform = torch.full((VOCABULARY,), 1 / VOCABULARY, dtype=torch.float64)
    gradient, mass = _gradient(rows, uniform.log().expand(len(_states()), LENGTH, VOCABULARY)), _mass(rows)
    return uniform - gradient / torch.where(mass > 0, mass, 1.0)


def _gradient(rows: Rows, logits: Tensor) -> Tensor:
    """The gradient of the package's loss in the logits (..., 64, D, V) of each setting and time, (K, T, 64, D, V)."""
    leaf = logits.expand(*rows.weight.shape[:2], *logits.shape[-3:]).clone().requires_grad_()
    shape = (*rows.weight.shape, LENGTH)
    # `loss` takes means over rows and tokens: their numbers belong to the coefficient.
    coefficient, predicted = rows.weight * rows.x1.numel(), leaf[:, :, _index(rows.z)]
    value = masked.loss(coefficient, rows.x1.expand(shape), rows.z.expand(shape), predicted, VOCABULARY)
    return torch.autograd.grad(value.sum(), leaf)[0]


def _mass(rows: Rows) -> Tensor:
    """The weight with which every state occurs, (K, T, 64, 1, 1)."""
    occurs = functional.one_hot(_index(rows.z), len(_states())).double()
    return (rows.weight @ occurs)[..., None, None]


def _index(z: Tensor) -> Tensor:
    """The place of z (R, D) in `_states`."""
    return z @ (VOCABULARY + 1) ** torch.arange(LENGTH - 1, -1, -1)
