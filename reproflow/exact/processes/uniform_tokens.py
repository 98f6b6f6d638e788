r"""Two tokens of three values under uniform noise, enumerated: laws, posteriors, rates, losses and bounds.

All that is asked of p_t(z|x_1) is how many tokens of z are those of x_1, and of the rate of a jump from z to y, which
differ in one token, by how much it changes that number (d = -1, 0, 1):

.. math:: p_t(z|x_1) = (\alpha + \sigma/V)^{same} (\sigma/V)^{D - same}, \qquad
          u_t(y|z,x_1) = \begin{cases} \frac{\alpha'}{\sigma} 1[d = 1] & \text{mixture path} \\
          \frac{\alpha'}{\alpha V} \big( \frac{\alpha + \sigma/V}{\sigma/V} \big)^d & \text{reversed noise} \end{cases}

(`theory.processes.uniform_tokens`). The marginal rates are the posterior means of these; either generates p_t. T counts
times, S = V^D states, data and noisy ones alike; rates are (.., S, S), from row to column, zero where not one token
differs; float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.exact.matching import Problem
from reproflow.numerics import gauss_rules
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, forward_path

MIXTURE = "mixture path"
REVERSED = "reversed noise"
LAW = ((0.22, 0.03, 0.1), (0.05, 0.2, 0.02), (0.08, 0.06, 0.24))
"""P(x_1) by its first and second token."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of a joint law (V, .., V), one axis a token, on a path of this process."""

    law: Tensor
    path: Path

    @property
    def vocabulary(self) -> int:
        return self.law.shape[0]

    @property
    def states(self) -> Tensor:
        """Every sequence, (S, D) int64."""
        return torch.cartesian_prod(*[torch.arange(self.vocabulary)] * self.law.dim()).reshape(-1, self.law.dim())

    @property
    def prior(self) -> Tensor:
        """P(x_1), (S,)."""
        return self.law.flatten()

    @property
    def same(self) -> Tensor:
        """How many tokens two states have in common, (S, S)."""
        return (self.states[:, None] == self.states).sum(-1)

    def conditional(self, c: Coefficients) -> Tensor:
        """p_t(z|x_1), (T, S, S), from x_1 to z."""
        kept, other = (each[:, None, None] for each in self._token(c))
        return kept**self.same * other ** (self.law.dim() - self.same)

    def marginal(self, c: Coefficients) -> Tensor:
        """p_t(z), (T, S)."""
        return self.prior @ self.conditional(c)

    def posterior(self, c: Coefficients) -> Tensor:
        """P(x_1 | x_t = z), (T, S, S), from z to x_1."""
        joint = self.prior[:, None] * self.conditional(c)
        return (joint / joint.sum(1, keepdim=True)).mT

    def token_posterior(self, c: Coefficients) -> Tensor:
        """mu_n(v|z) = P(x_1n = v | x_t = z), (T, S, D, V): what the best network puts out."""
        onehot = torch.nn.functional.one_hot(self.states, self.vocabulary).double()
        return torch.einsum("tzx,xdv->tzdv", self.posterior(c), onehot)

    def conditional_rates(self, c: Coefficients, kind: str) -> Tensor:
        """u_t(y|z,x_1), (T, S, S, S), from x_1 and z to y, of the mixture path or of the reversed noise."""
        gain = self.same[:, None, :] - self.same[:, :, None]
        kept, other = (each[:, None, None, None] for each in self._token(c))
        if kind == MIXTURE:
            rates = (c.dalpha / c.sigma)[:, None, None, None] * (gain == 1)
        else:
            rates = (c.dalpha / c.alpha / self.vocabulary)[:, None, None, None] * (kept / other) ** gain
        return torch.where(self.same == self.law.dim() - 1, rates, 0.0)

    def marginal_rates(self, c: Coefficients, kind: str) -> Tensor:
        """u_t(y|z), the posterior mean of the conditional rates, (T, S, S)."""
        return torch.einsum("tzx,txzy->tzy", self.posterior(c), self.conditional_rates(c, kind))

    def conditional_loss(self, c: Coefficients, kind: str, rates: Tensor) -> Tensor:
        """E sum_y u log(u/v) - u + v of the conditional rates u and a model's rates v (T, S, S), (T,), in nats/time."""
        target = self.conditional_rates(c, kind)
        joint = self.prior[:, None] * self.conditional(c)
        return (joint * poisson_kl(target, rates[:, None])).sum((1, 2))

    def marginal_loss(self, c: Coefficients, kind: str, rates: Tensor) -> Tensor:
        """The same of the marginal rates, (T,): without E u log u of the conditional ones, a constant."""
        return (self.marginal(c) * poisson_kl(self.marginal_rates(c, kind), rates)).sum(1)

    def bound(self, kind: str, nodes: int = 96) -> float:
        """The expected negative ELBO of the exact marginal rates, the integral of `conditional_loss`, in nats.

        By Gauss-Legendre in s with t = 1 - (1 - s)^4, since the integrand has a logarithm at t = 1. The path's ends are
        noise and data exactly, so there are no terms at them.
        """
        s, weights = gauss_rules.legendre_on(0.0, 1.0, nodes)
        c = self.path.at(1 - (1 - s) ** 4)
        return float(weights * 4 * (1 - s) ** 3 @ self.conditional_loss(c, kind, self.marginal_rates(c, kind)))

    def _token(self, c: Coefficients) -> tuple[Tensor, Tensor]:
        """P(z_n = x_1n) and the probability of each other value."""
        other = c.sigma / self.vocabulary
        return c.alpha + other, other


def poisson_kl(u: Tensor, v: Tensor) -> Tensor:
    """The sum over y of u log(u/v) - u + v, (.., S, S) -> (.., S); 0 log 0 = 0, infinite where only v is 0."""
    return (torch.xlogy(u, u) - torch.xlogy(u, v) - u + v).sum(-1)


def example(path: str = "linear") -> Tokens:
    """Two dependent tokens of three values."""
    return Tokens(torch.tensor(LAW, dtype=torch.float64), forward_path(path, "uniform_tokens"))


def problem(kind: str, t: Tensor | None = None, background: float = 0.0) -> Problem:
    """The example as a matching problem: z is x_1, every (t, x_t) a node, targets the rates of its D (V - 1) jumps.

    A state, as losses see it, is which of the values but the last each token has, (N, D (V - 1)). `background`, added
    to all targets, makes those of the mixture path positive, for divergences that are infinite at zero. t (T,) are
    eight times from 0.05 to 0.9 unless given.
    """
    tokens = example()
    c = tokens.path.at(torch.linspace(0.05, 0.9, 8, dtype=torch.float64) if t is None else t)
    states = tokens.states
    jumps = (tokens.same == states.shape[1] - 1).nonzero()[:, 1].view(len(states), -1)
    rates = tokens.conditional_rates(c, kind).transpose(1, 2)
    target = rates.gather(-1, jumps[:, None].expand(*rates.shape[:-1], -1)).flatten(0, 1)
    joint = (tokens.prior[:, None] * tokens.conditional(c)).mT.flatten(0, 1)
    shown = torch.nn.functional.one_hot(states, tokens.vocabulary)[..., :-1].flatten(1).double().repeat(len(c.t), 1)
    return Problem("uniform_tokens", "positive", c.t.repeat_interleave(len(states)), shown, joint, background + target)
