"""Conversions: what an error of one target is worth in another, and the weight that makes it the ELBO (LOSS-5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim
from reproflow.exact import three_gaussians
from reproflow.foundation import registry, seeds
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import convert, get_target

SWAPPED = "(alpha/sigma)² for (sigma/alpha)²"
DROPPED = "1/(1-t)² dropped"
WRONG_X = "x of another sample"

# Target: (|error|² in units of the eps error's square, the weight that makes it the ELBO integrand |lam'| e / 2).
Factor = Callable[[Coefficients], Tensor]
TABLE: dict[str, tuple[Factor, Factor]] = {
    "eps": (lambda c: torch.ones_like(c.t), lambda c: 0.5 * c.dlam.abs()),
    "x1": (lambda c: (c.sigma / c.alpha) ** 2, lambda c: 0.5 * c.dlam.abs() * (c.alpha / c.sigma) ** 2),
    "score": (lambda c: c.sigma**-2, lambda c: 0.5 * c.dlam.abs() * c.sigma**2),
    "velocity": (lambda c: 0.25 * (c.sigma * c.dlam) ** 2, lambda c: 2 / (c.sigma**2 * c.dlam.abs())),
    "v": (
        lambda c: ((c.alpha**2 + c.sigma**2) / c.alpha) ** 2,
        lambda c: 0.5 * c.dlam.abs() * c.alpha**2 / (c.alpha**2 + c.sigma**2) ** 2,
    ),
}


@claim(
    "LOSS-5",
    title="conversion factors between targets, and their ELBO weights",
    source="002; 003; 004",
    kind="exact",
    tolerance=1e-14,
    cases=three_gaussians.gaussian_paths,
    controls=(SWAPPED, DROPPED, WRONG_X),
)
def conversion_table(case: str, variant: str, context: Context) -> Measurement:
    """At one x, an error in eps is an error in every other target times the factor of the table, sample by sample.

    Statement: |d x1|² = (sigma/alpha)² e, |d score|² = e/sigma², |d u|² = sigma² lam'² e/4, |d v|² =
        ((alpha²+sigma²)/alpha)² e with e = |d eps|²; and these times the table's ELBO weights are |lam'| e/2.
    Assumptions: alpha, sigma > 0; t in [0.001, 0.999].
    Proof idea: x fixed, so alpha d x1 = -sigma d eps; every target is a combination of x1 and eps.
    Computed: `convert` on 4096 random (t, x1, eps, eps-hat), eps-hat from far off to nearly right. The discrepancy is
        scaled by the size of the terms that cancel, since a difference of near-equal numbers has only their accuracy.
        The same holds for each target's own `error_factor`, on which the canonical form rests.
    Source: the rows in 002 (score, noise), 003 and 004 (velocity), Salimans & Ho 2022 (x1, v); the ELBO weights in
        Kingma & Gao 2023.
    Refuted by: a scaled discrepancy above 1e-14. If the ratio depends on t alone, another weight was used (a different,
        still valid objective); if it differs between samples, the target is wrong. The detail says which. Controls of
        the first kind: x1's factor turned over; the velocity's taken as x1's, which on the linear path drops 1/(1-t)².
        Of the second: an error converted at the x of another sample.
    """
    worst, blamed, kind = 0.0, "", ""
    for entry in registry.entries("target"):
        for residual, ratio, what in _discrepancies(case, entry.name, variant):
            value = float(residual.nan_to_num(nan=torch.inf).max())
            if value > worst:
                worst, blamed = value, f"{what} of {entry.name}"
                kind = "different weight" if float(_spread(ratio)) < 1e-3 else "wrong target"
    return Measurement(worst, detail=f"worst: {blamed}" + (f" ({kind})" if worst > 1e-6 else ""))


def _discrepancies(path_name: str, name: str, variant: str) -> Iterator[tuple[Tensor, Tensor, str]]:
    """Scaled discrepancy and ratio measured/stated per (time, sample), for the factor and for the ELBO weight."""
    x1, eps, eps_hat, c, shape = _samples(path_name)
    target, given = get_target(name), get_target("eps")
    x = c.alpha[:, None] * x1 + c.sigma[:, None] * eps
    moved = x.roll(1, 0) if variant == WRONG_X else x
    error = convert(eps_hat, moved, c, given, target) - target.of(x1, eps, c)
    e, measured = (eps_hat - eps).square().sum(1), error.square().sum(1)
    factor, elbo = _row(name, variant)
    terms = _terms(target.coefficients(c), x, eps, eps_hat, c)
    ones = torch.ones_like(c.t)
    for weight, said, what in (
        (ones, factor(c) * e, "factor"),
        (ones, target.error_factor(c) * e, "error_factor"),
        (elbo(c), 0.5 * c.dlam.abs() * e, "ELBO weight"),
    ):
        value = weight * measured
        # |a|² of an a that is off by r is off by 2 r |a|, and rounding puts r at an ulp of the terms.
        residual = (value - said).abs() / (said + (weight * said).sqrt() * terms)
        yield residual, (value / said).reshape(shape), what


def _samples(path_name: str) -> tuple[Tensor, Tensor, Tensor, Coefficients, tuple[int, int]]:
    """64 times x 64 samples in 8 dimensions; eps-hat differs from eps by 1, 1e-2, 1e-4 or 1e-6."""
    generator = seeds.generator("LOSS-5")
    times, samples = 64, 64
    t = torch.linspace(*three_gaussians.T_RANGE, times, dtype=torch.float64).repeat_interleave(samples)
    x1, eps, step = torch.randn(3, times * samples, 8, generator=generator, dtype=torch.float64)
    size = 10.0 ** (-2 * (torch.arange(times * samples) % 4)).double()
    return x1, eps, eps + size[:, None] * step, forward_path(path_name).at(t), (times, samples)


def _row(name: str, variant: str) -> tuple[Factor, Factor]:
    own = get_target(name).error_factor
    factor, elbo = TABLE.get(name, (own, lambda c: 0.5 * c.dlam.abs() / own(c)))
    if variant == SWAPPED and name == "x1":
        factor = lambda c: (c.alpha / c.sigma) ** 2  # noqa: E731
    if variant == DROPPED and name == "velocity":
        factor = TABLE["x1"][0]
    return factor, elbo


def _terms(ab: tuple[Tensor, Tensor], x: Tensor, eps: Tensor, eps_hat: Tensor, c: Coefficients) -> Tensor:
    """Size of the terms whose sum is the target, (B,): rounding is relative to these, not to their difference."""
    a, b = ab
    noise = eps.norm(dim=1) + eps_hat.norm(dim=1)
    return a.abs() / c.alpha * (2 * x.norm(dim=1) + c.sigma * noise) + b.abs() * noise


def _spread(ratio: Tensor) -> Tensor:
    """Largest relative spread over samples of a ratio (times, samples), eps-hat far from eps only."""
    far = ratio[:, ::4]
    return ((far.amax(1) - far.amin(1)) / far.amax(1)).max()
