"""The coefficients of a path at given times: alpha, sigma, their derivatives, and the log-SNR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from reproflow.theory.processes.base import get_process


@dataclass(frozen=True)
class Coefficients:
    """A path at times t: all tensors have t's shape; `process` is the name of the path's process.

    Derivatives are with respect to t. `lam` is log(alpha²/sigma²), or log(alpha/sigma) for a masked process, and `dlam`
    its derivative; `snr` is exp(lam).
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor
    dalpha: Tensor
    dsigma: Tensor
    process: str

    def map(self, change: Callable[[Tensor], Tensor]) -> Coefficients:
        """The same with every tensor changed: a type, a shape, a selection of rows."""
        fields = (self.t, self.alpha, self.sigma, self.dalpha, self.dsigma)
        t, alpha, sigma, dalpha, dsigma = (change(field) for field in fields)
        return Coefficients(t, alpha, sigma, dalpha, dsigma, self.process)

    @property
    def power(self) -> int:
        """The power of alpha/sigma that is the SNR of the process."""
        return get_process(self.process).log_snr_power

    @property
    def lam(self) -> Tensor:
        return self.power * (self.alpha.log() - self.sigma.log())

    @property
    def dlam(self) -> Tensor:
        return self.power * (self.dalpha / self.alpha - self.dsigma / self.sigma)

    @property
    def snr(self) -> Tensor:
        return (self.alpha / self.sigma) ** self.power
