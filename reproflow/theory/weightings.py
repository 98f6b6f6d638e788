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

from reproflow.foundation import registry, usercode
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.theory.nouns import Noun, resolve
from reproflow.theory.paths import Coefficients

BOTH = ("gaussian", "masked")


def weighting(
    name: str, *, on: str, cite: str, process: str | tuple[str, ...] | None = None, **meta: Any
) -> Callable[..., Any]:
    """Decorator: registers `(t, lam) -> factor` on the squared error of the prediction named by `on`.

    Without `process`, a canonical weighting serves both processes, `ce` the masked one, and the rest the Gaussian one.
    """
    default = {"canonical": BOTH, "ce": ("masked",)}.get(on, ("gaussian",))
    return registry.register("weighting", name, process=process or default, cite=cite, on=on, **meta)


@dataclass(frozen=True, eq=False)
class Weighting(Noun):
    """A weighting with its parameters bound."""

    prediction: str = ""

    @property
    def on(self) -> str:
        """What the factor multiplies: what was asked for, else what the noun says, else velocity (masked: ce)."""
        return self.prediction or self.entry.meta.get("on") or ("ce" if self.process == "masked" else "velocity")

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
    if found.on not in usercode.ON[process]:
        known = ", ".join(usercode.ON[process])
        raise UsageError(f"weighting {noun.name!r}: {found.on!r} is not a {process} prediction; known: {known}")
    return found


@weighting("uniform", on="velocity", cite="Lipman et al. 2023; 003, 'Uniform'")
def uniform(t: Tensor, lam: Tensor) -> Tensor:
    """1 on the velocity error: plain flow matching on whatever path is used."""
    return torch.ones_like(t)


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


@weighting("iddpm", on="canonical", cite="Nichol & Dhariwal 2021; Kingma & Gao 2023")
def iddpm(t: Tensor, lam: Tensor) -> Tensor:
    """w = sech(lam/2): eps-prediction with uniform time on the cosine path; not monotone in lam."""
    return 1 / torch.cosh(0.5 * lam)


@weighting("min_snr", on="x1", cite="Hang et al. 2023", ranges={"gamma": (0, math.inf)})
def min_snr(t: Tensor, lam: Tensor, gamma: float = 5.0) -> Tensor:
    """min(SNR, gamma) on the x1 error; 003 puts it on the velocity, which is another loss."""
    return torch.exp(lam).clamp(max=gamma)


@weighting("simple", on="ce", cite="Chang et al. 2022; 001, 'simple weighting'")
def simple(t: Tensor, lam: Tensor) -> Tensor:
    """1 on the total cross-entropy of the masked tokens, whatever the schedule."""
    return torch.ones_like(t)
