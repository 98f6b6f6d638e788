"""Chains of one bit: small enough to see why a better bound need not mean a better model (ST-4, erratum E27)."""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.exact.chain import Chain


def binary_chain(data: tuple[float, float], flips: tuple[float, ...]) -> Chain:
    """x ~ data; each of x -> z_0 -> z_1 ... flips with its probability in `flips`. The model is the exact reversal."""
    kernels = [torch.tensor([[1 - f, f], [f, 1 - f]], dtype=torch.float64) for f in flips]
    law = torch.tensor(data, dtype=torch.float64)
    marginals = [law @ kernels[0]]
    for kernel in kernels[1:]:
        marginals.append(marginals[-1] @ kernel)
    steps = tuple(kernel.log() for kernel in kernels[1:])
    blank = tuple(torch.full_like(step, 0.5).log() for step in steps)
    chain = Chain(law.log(), kernels[0].log(), steps, blank, marginals[-1].log())
    return chain.with_model(reverse=chain.exact_reverse)


def forgetful(chain: Chain, prior: tuple[float, float] | None = None) -> Chain:
    """A model whose last step back forgets where it comes from and draws z_0 from q(z_0): its p(z_0) is exact."""
    reverse = (chain.marginals[0].expand(2, 2), *chain.reverse[1:])
    return chain.with_model(reverse, None if prior is None else torch.tensor(prior, dtype=torch.float64).log())


def wrong_prior() -> Chain:
    """x ~ (0.3, 0.7), flips 0.1 and 0.2; the prior is (0.8, 0.2) and the step back forgets it."""
    return forgetful(binary_chain((0.3, 0.7), (0.1, 0.2)), (0.8, 0.2))


def matched_prior() -> Chain:
    """x ~ (0.3, 0.7), flips 0.02, 0.05, 0.1, exact prior: the first step back takes 0 for 1, the last forgets."""
    chain = binary_chain((0.3, 0.7), (0.02, 0.05, 0.1))
    swapped: Tensor = chain.reverse[1].flip(1)
    return forgetful(chain.with_model(reverse=(chain.reverse[0], swapped)))
