r"""Couplings: which noise is paired with which data in a batch.

A coupling has the marginals of independent noise and data over the batch, so the conditional path from x0 to x1 is as
before, and its average over pairs transports noise to data all the same (Tong et al. 2024, Pooladian et al. 2023). What
changes is the posterior of the pair given x_t, hence the field that is learned: its paths become straighter. Only for
independent pairs is -E[eps|x_t] / sigma the score, and is a weighted loss related to a likelihood. x0, x1 have shape
(n, D); data and labels keep their places, the noise is rearranged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from reproflow.foundation import registry
from reproflow.foundation.errors import ReproflowError, UserFunctionError
from reproflow.foundation.specs import Spec, parse
from reproflow.theory.components import resolve

Coupling = Callable[[Tensor, Tensor, Generator], Tensor]


def coupling(name: str, *, cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers `(x0, x1, generator) -> x0`, the noise paired with each row of x1."""
    return registry.register("coupling", name, cite=cite, **meta)


def get_coupling(spec: str | Spec) -> Coupling:
    """The coupling a spec names. Raises `UsageError` for an unknown name or parameter."""
    return resolve("coupling", spec).function


def couple(rule: Coupling, x0: Tensor, x1: Tensor, y: Tensor | None, generator: Generator) -> Tensor:
    """The noise paired with each row of x1, (n, D), rearranged among rows of one label y (n,) only.

    Across labels it would tie the noise to the label: a class would be trained on a part of the noise and sampled from
    all of it (Cheng & Schwing 2025).
    """
    if y is None:
        return rule(x0, x1, generator)
    paired = x0.clone()
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        paired[rows] = rule(x0[rows], x1[rows], generator)
    return paired


def admit_coupling(spec: str | Spec, dim: int, n: int = 64) -> None:
    """Tries a coupling on n standard normal rows of noise and data. Raises `UserFunctionError` as the function itself.

    It must rearrange the noise (checked at every call of a user's) and give the same from the same generator.
    """
    rule = get_coupling(spec)
    x0, x1 = torch.randn(2, n, dim, generator=Generator().manual_seed(0))
    first = rule(x0, x1, Generator().manual_seed(1))
    rule(x0[:1], x1[:1], Generator().manual_seed(1))  # of a class there may be one row in a batch
    rule(x0[::2], x1[1::2], Generator().manual_seed(2))  # another batch between, which must leave no trace
    second = rule(x0, x1, Generator().manual_seed(1))
    if not torch.equal(first, second):
        raise UserFunctionError(
            f"coupling {parse(spec, 'coupling').name!r} pairs otherwise when it is called again; draw from the "
            "generator alone."
        )


@coupling("independent", cite="Lipman et al. 2023")
def independent(x0: Tensor, x1: Tensor, generator: Generator) -> Tensor:
    """Noise and data are independent."""
    return x0


@coupling("ot", cite="Tong et al. 2024; Pooladian et al. 2023")
def ot(x0: Tensor, x1: Tensor, generator: Generator) -> Tensor:
    """The permutation of the batch's noise that minimises sum |x0 - x1|²: exact optimal transport of the minibatch.

    Between n equal weights an optimal vertex of the transport polytope is a permutation. Raises `ReproflowError` when
    the solver gives anything else.
    """
    import ot as solver

    cost = torch.cdist(x1.double(), x0.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    plan = torch.as_tensor(solver.emd([], [], cost.numpy(), numItermax=10_000_000))
    partner = plan.argmax(1)
    if len(partner.unique()) < len(x0):
        raise ReproflowError(f"optimal transport of {len(x0)} points gave no permutation; use coupling: independent.")
    return x0[partner]
