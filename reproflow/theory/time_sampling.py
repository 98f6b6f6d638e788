r"""Drawing schemes: how the time quantiles of one batch hang together.

A scheme turns n independent uniforms u (n, ...) into n quantiles of the same shape. Whatever the scheme, a quantile
picked at random from the batch is uniform, so batch means are unbiased; what differs is their variance. For a loss
L(u) without noise of its own,

.. math:: \operatorname{Var}_{iid} = \frac{\operatorname{Var} L(U)}{n}, \qquad
          \operatorname{Var}_{strat} = \frac{1}{n^2} \sum_i \operatorname{Var}(L(U) | U \in [i/n, (i+1)/n)),

the second never larger and of order n^-3 for smooth L (003, "Stratified"; TUT-1). Other noise in the loss is not
reduced. Every scheme draws afresh at each step: strata with a fixed offset are a quadrature rule, which is biased.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def iid(u: Tensor) -> Tensor:
    """The uniforms themselves."""
    return u


def stratify(u: Tensor) -> Tensor:
    """Stratified quantiles: the i-th of n i.i.d. uniforms is moved into [i/n, (i+1)/n) (003, "Stratified").

    u has shape (n, ...); each stratum is hit once along the first dimension.
    """
    return (_places(u) + u) / len(u)


def antithetic(u: Tensor) -> Tensor:
    """Pairs u, 1 - u, the second half mirroring the first; for odd n the middle one stays alone.

    The variance is (Var L(U) + Cov(L(U), L(1 - U))) / n: it falls for monotone L and rises for one symmetric about 1/2.
    """
    half = (len(u) + 1) // 2
    return torch.cat([u[:half], 1 - u[: len(u) - half]])


def low_discrepancy(u: Tensor) -> Tensor:
    """A regular grid with one random shift, (u_0 + i/n) mod 1, of the first uniform alone.

    Kingma et al. (2021) and, after them, the code of Shi et al. (2024) call this antithetic sampling. The variance is
    of order n^-2 where L(0) and L(1) differ: less than `stratify` gives in small batches, more in large ones.
    """
    return (u[:1] + _places(u) / len(u)).remainder(1.0)


SCHEMES: dict[str, Callable[[Tensor], Tensor]] = {
    "iid": iid,
    "stratified": stratify,
    "antithetic": antithetic,
    "low_discrepancy": low_discrepancy,
}


def _places(u: Tensor) -> Tensor:
    return torch.arange(len(u), dtype=u.dtype, device=u.device).view(-1, *[1] * (u.ndim - 1))
