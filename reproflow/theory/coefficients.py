"""The coefficients of a path at given times: alpha, sigma, their derivatives, and the log-SNR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Coefficients:
    """A path at times t: all fields have t's shape.

    Derivatives are with respect to t. `lam` is log(alpha²/sigma²), or log(alpha/sigma) for a masked process, and `dlam`
    its derivative; `snr` is exp(lam).
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor
    dalpha: Tensor
    dsigma: Tensor
    process: str = "gaussian"

    def map(self, change: Callable[[Tensor], Tensor]) -> Coefficients:
        """The same with every tensor changed: a type, a shape, a selection of rows."""
        fields = (self.t, self.alpha, self.sigma, self.dalpha, self.dsigma)
        t, alpha, sigma, dalpha, dsigma = (change(field) for field in fields)
        return Coefficients(t, alpha, sigma, dalpha, dsigma, self.process)

    @property
    def power(self) -> int:
        return 1 if self.process == "masked" else 2

    @property
    def lam(self) -> Tensor:
        return self.power * (self.alpha.log() - self.sigma.log())

    @property
    def dlam(self) -> Tensor:
        return self.power * (self.dalpha / self.alpha - self.dsigma / self.sigma)

    @property
    def snr(self) -> Tensor:
        return (self.alpha / self.sigma) ** self.power
