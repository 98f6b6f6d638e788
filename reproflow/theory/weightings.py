r"""Weightings: the factor on a loss as a function of time.

`on` names the prediction whose squared error the factor multiplies: velocity, x1, eps, score, v, ce (the cross-entropy
of a masked process), or **canonical**. A canonical weighting *is* w(lam), its weight relative to the ELBO integrand,
and means the same in every process; 001 (Fig. 2) plots these, with lam the log-SNR, or log(alpha/(1-alpha)) when
masked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.numerics.bisection import bisect
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.components import Component, resolve
from reproflow.theory.processes.base import facts, get_process, with_prediction


def weighting(
    name: str, *, on: str, cite: str, process: str | tuple[str, ...] | None = None, **meta: Any
) -> Callable[..., Any]:
    """Decorator: registers `(t, lam) -> factor` on the squared error of the prediction named by `on`.

    Without `process`, a canonical weighting serves every process, another one those that have its prediction.
    """
    return registry.register("weighting", name, process=process or with_prediction(on), cite=cite, on=on, **meta)


@dataclass(frozen=True, eq=False)
class Weighting(Component):
    """A weighting with its parameters bound."""

    prediction: str = ""

    @property
    def on(self) -> str:
        """What the factor multiplies: what was asked for, else what the noun says, else velocity (masked: ce)."""
        return self.prediction or self.entry.meta.get("on") or get_process(self.process).prediction

    def at(self, c: Coefficients) -> Tensor:
        """The factor at the path's times, of their shape."""
        value = self.function(c) if self.entry.meta.get("expression") else self.function(c.t, c.lam)
        return value + torch.zeros_like(c.t)


def get_weighting(spec: str | Spec, process: str = "gaussian", on: str = "") -> Weighting:
    """The weighting a spec names; `on` overrides what it multiplies.

    Raises `UsageError` for an unknown name or parameter, or an `on` that the process does not have.
    """
    noun = resolve("weighting", spec, process)
    found = Weighting(**vars(noun), prediction=on)
    check_prediction(noun.name, found.on, process)
    return found


def check_prediction(weighting: str, on: str, process: str) -> None:
    """Raises `UsageError`, naming the weighting, where `on` is not a prediction of the process."""
    if on not in facts(process).weighted:
        known = ", ".join(facts(process).weighted)
        raise UsageError(f"weighting {weighting!r}: {on!r} is not a {process} prediction; known: {known}")


# -- canonical: w(lam) in every process --------------------------------------------------------------------------------


@weighting("elbo", on="canonical", cite="Kingma et al. 2021; Shi et al. 2024")
def elbo(t: Tensor, lam: Tensor) -> Tensor:
    """w = 1: the variational bound itself."""
    return torch.ones_like(lam)


@weighting("sigmoid", on="canonical", cite="Kingma & Gao 2023; Hoogeboom et al. 2024")
def sigmoid(t: Tensor, lam: Tensor, k: float = 0.0) -> Tensor:
    """w = sigmoid(k - lam)."""
    return torch.sigmoid(k - lam)


@weighting("fm", on="canonical", cite="Kingma & Gao 2023, flow matching with the OT path")
def fm(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-lam/2): what uniform weight and uniform time on the velocity of the linear path amount to."""
    return torch.exp(-0.5 * lam)


@weighting("v_cosine", on="canonical", cite="Salimans & Ho 2022; Kingma & Gao 2023, table 1")
def v_cosine(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-lam/2): v-prediction with uniform time on the cosine path; the same objective as `fm`."""
    return torch.exp(-0.5 * lam)


@weighting("iddpm", on="canonical", cite="Nichol & Dhariwal 2021; Kingma & Gao 2023")
def iddpm(t: Tensor, lam: Tensor) -> Tensor:
    """w = sech(lam/2): eps-prediction with uniform time on the cosine path; not monotone in lam."""
    return 1 / torch.cosh(0.5 * lam)


@weighting("indi", on="canonical", cite="Delbracio & Milanfar 2023; Kingma & Gao 2023, table 1")
def indi(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-lam) sech²(lam/4): x1-prediction with uniform time and weight on the linear path."""
    return 4 * torch.exp(-lam) * torch.sigmoid(0.5 * lam) * torch.sigmoid(-0.5 * lam)


@weighting("p2", on="canonical", cite="Choi et al. 2022; Kingma & Gao 2023, table 1", ranges={"gamma": (0, math.inf)})
def p2(t: Tensor, lam: Tensor, gamma: float = 1.0) -> Tensor:
    """w = sech(lam/2) / (1 + exp(lam))^gamma: eps-prediction on the cosine path, 1/(1 + SNR)^gamma; not monotone."""
    return torch.sigmoid(-lam) ** gamma / torch.cosh(0.5 * lam)


def _edm(lam: Tensor, mean: float, std: float, sigma_data: float) -> Tensor:
    density = torch.exp(-0.5 * ((lam - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    return density * (torch.exp(-lam) + sigma_data**2)


_EDM = {"std": (0, math.inf), "sigma_data": (0, math.inf)}


@weighting("edm", on="canonical", cite="Karras et al. 2022; Kingma & Gao 2023, table 1", ranges=_EDM)
def edm(t: Tensor, lam: Tensor, mean: float = 2.4, std: float = 2.4, sigma_data: float = 0.5) -> Tensor:
    """w = N(lam; mean, std²) (exp(-lam) + sigma_data²); not monotone at the noise end."""
    return _edm(lam, mean, std, sigma_data)


def _edm_peak(mean: float, std: float, sigma_data: float) -> float:
    """The lam where the edm weight is largest: the root of its log-derivative below the mean, by bisection.

    That derivative, -(lam - mean)/std² - 1/(1 + sigma_data² exp(lam)), is positive far below and negative at the mean.
    """

    def rises(lam: float) -> bool:
        return (mean - lam) / std**2 > 1 / (1 + sigma_data**2 * math.exp(lam))

    return bisect(rises, mean - std**2, mean, 80)


@weighting("edm_monotone", on="canonical", cite="Kingma & Gao 2023, section 4.2", ranges=_EDM)
def edm_monotone(t: Tensor, lam: Tensor, mean: float = 2.4, std: float = 2.4, sigma_data: float = 0.5) -> Tensor:
    """The edm weight, constant from its maximum towards the noise."""
    return _edm(lam.clamp(min=_edm_peak(mean, std, sigma_data)), mean, std, sigma_data)


# -- Gaussian: factors on the error of one prediction ------------------------------------------------------------------

GAMMA: dict[str, Any] = {"ranges": {"gamma": (0, math.inf)}}


@weighting("uniform", on="velocity", cite="Lipman et al. 2023; 003, 'Uniform'")
def uniform(t: Tensor, lam: Tensor) -> Tensor:
    """1 on the velocity error: plain flow matching on whatever path is used."""
    return torch.ones_like(t)


@weighting("snr", on="x1", cite="Ho et al. 2020; Salimans & Ho 2022, 'SNR'")
def snr(t: Tensor, lam: Tensor) -> Tensor:
    """SNR on the x1 error, which is 1 on the eps error."""
    return torch.exp(lam)


@weighting("truncated_snr", on="x1", cite="Salimans & Ho 2022, 'truncated SNR'")
def truncated_snr(t: Tensor, lam: Tensor) -> Tensor:
    """max(SNR, 1) on the x1 error."""
    return torch.exp(lam).clamp(min=1)


@weighting("min_snr", on="x1", cite="Hang et al. 2023", **GAMMA)
def min_snr(t: Tensor, lam: Tensor, gamma: float = 5.0) -> Tensor:
    """min(SNR, gamma) on the x1 error; 003 puts it on the velocity, which is another loss."""
    return torch.exp(lam).clamp(max=gamma)


@weighting("soft_min_snr", on="x1", cite="Crowson et al. 2024", **GAMMA)
def soft_min_snr(t: Tensor, lam: Tensor, gamma: float = 5.0) -> Tensor:
    """SNR gamma / (SNR + gamma) on the x1 error."""
    return gamma * torch.sigmoid(lam - math.log(gamma))


@weighting("inv_snr", on="velocity", cite="003, '1/SNR'")
def inv_snr(t: Tensor, lam: Tensor) -> Tensor:
    """1/SNR on the velocity error; its mean over uniform time is infinite (LOSS-7)."""
    return torch.exp(-lam)


@weighting("t_squared", on="velocity", cite="003, 'endpoint emphasis', in its own time (1-t)²")
def t_squared(t: Tensor, lam: Tensor) -> Tensor:
    """t² on the velocity error: stresses the data end, 87.5 % of its mass lies at t > 1/2 (TUT-3)."""
    return t**2


@weighting("one_minus_t_squared", on="velocity", cite="003, 'endpoint emphasis', in its own time t²")
def one_minus_t_squared(t: Tensor, lam: Tensor) -> Tensor:
    """(1-t)² on the velocity error: stresses the noise end (TUT-3)."""
    return (1 - t) ** 2


@weighting("inv_one_minus_t_squared", on="x1", cite="000, X1-prediction; Lipman et al. 2024")
def inv_one_minus_t_squared(t: Tensor, lam: Tensor) -> Tensor:
    """1/(1-t)² on the x1 error: on the linear path the velocity error itself (LOSS-5)."""
    return (1 - t) ** -2


# -- masked: the total cross-entropy, and matches of the Gaussian factors ----------------------------------------------
# A match puts log(alpha/(1-alpha)) in the place of the log-SNR (001, Fig. 2) in the canonical form that the Gaussian
# factor has with uniform time on the path it was proposed for: cosine for the SNR family, linear for the rest.


def _match(name: str, cite: str, **meta: Any) -> Callable[..., Any]:
    return weighting(name, on="canonical", process="masked", cite=f"{cite}, matched as in 001", **meta)


@weighting("simple", on="ce", cite="Chang et al. 2022; 001, 'simple weighting'")
def simple(t: Tensor, lam: Tensor) -> Tensor:
    """1 on the total cross-entropy of the masked tokens, whatever the schedule."""
    return torch.ones_like(t)


@_match("snr", "Ho et al. 2020")
def masked_snr(t: Tensor, lam: Tensor) -> Tensor:
    """w = sech(lam/2): the same as iddpm."""
    return 1 / torch.cosh(0.5 * lam)


@_match("truncated_snr", "Salimans & Ho 2022")
def masked_truncated_snr(t: Tensor, lam: Tensor) -> Tensor:
    """w = sech(lam/2) max(1, exp(-lam))."""
    return torch.exp(-lam).clamp(min=1) / torch.cosh(0.5 * lam)


@_match("min_snr", "Hang et al. 2023", **GAMMA)
def masked_min_snr(t: Tensor, lam: Tensor, gamma: float = 5.0) -> Tensor:
    """w = sech(lam/2) min(1, gamma exp(-lam)); not monotone."""
    return (gamma * torch.exp(-lam)).clamp(max=1) / torch.cosh(0.5 * lam)


@_match("soft_min_snr", "Crowson et al. 2024", **GAMMA)
def masked_soft_min_snr(t: Tensor, lam: Tensor, gamma: float = 5.0) -> Tensor:
    """w = sech(lam/2) gamma / (exp(lam) + gamma)."""
    return torch.sigmoid(math.log(gamma) - lam) / torch.cosh(0.5 * lam)


@_match("uniform", "Lipman et al. 2023")
def masked_uniform(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-lam/2): the same as fm."""
    return torch.exp(-0.5 * lam)


@_match("inv_snr", "003, '1/SNR'")
def masked_inv_snr(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-3 lam/2)."""
    return torch.exp(-1.5 * lam)


@_match("t_squared", "003, 'endpoint emphasis'")
def masked_t_squared(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-lam/2) sigmoid(lam/2)²: stresses the data end."""
    return torch.exp(-0.5 * lam) * torch.sigmoid(0.5 * lam) ** 2


@_match("one_minus_t_squared", "003, 'endpoint emphasis'")
def masked_one_minus_t_squared(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-lam/2) sigmoid(-lam/2)²: stresses the noise end."""
    return torch.exp(-0.5 * lam) * torch.sigmoid(-0.5 * lam) ** 2


@_match("inv_one_minus_t_squared", "000, X1-prediction")
def masked_inv_one_minus_t_squared(t: Tensor, lam: Tensor) -> Tensor:
    """w = exp(-lam/2): the same as fm."""
    return torch.exp(-0.5 * lam)
