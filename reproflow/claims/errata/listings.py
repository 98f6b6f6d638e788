"""Errata in 004's training script: what does not compile (E10), and a batch of one (E11)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from reproflow.claims.errata import defects
from reproflow.claims.errata.erratum import PRINTED, erratum
from reproflow.claims.errata.networks import sinusoid
from reproflow.claims.policy import Context, Measurement
from reproflow.exact import three_gaussians
from reproflow.theory.paths import forward_path

STAR = "star before #"
QUOTES = "typographic quotes"
INDENTATION = "indentation lost"
DENSITY = "density at t = 1"

# Our own lines, each with one thing that the page's formatting has done to its code: (printed, corrected).
SNIPPETS = {
    STAR: ("speed = gap / left *# per unit of time\n", "speed = gap / left  # per unit of time\n"),
    QUOTES: ("print(f\u2019loss {value:.3f}\u2019)\n", "print(f'loss {value:.3f}')\n"),
    INDENTATION: ("for step in range(3):\ntotal = step\n", "for step in range(3):\n    total = step\n"),
}


@erratum(
    "E10",
    title="004's code does not compile, and its path has no density at t = 1",
    source="004, training and sampling code; condition 1",
    tolerance=0.0,
    controls=(STAR, QUOTES, INDENTATION, DENSITY),
)
def syntax(form: str, context: Context) -> Measurement:
    """`*#`, typographic quotes and lost indentation are SyntaxErrors; N(z, 0) at t = 1 is a law but not a density.

    Statement: the code runs as printed; p_t(x|z) integrates to 1 for all t in [0, 1], as its condition 1 is verified.
    Assumptions: Python 3; the linear path, z = 0.7.
    Computed: the number of defects that show: `compile` on three lines of our own with the page's three damages, one
        each; and the mass of p_1(.|z) on a line of 2001 points around z, from the density formula (0/0: not a
        number), against the same from the distribution function, which holds at sigma = 0 as well (mass 1). The
        boundary condition is thus a statement about laws (004 writes delta_z there); densities need sigma > 0 (PATH-1).
    Source: 004, "Training" and "Inference" code (training loop, Euler sampler), "Condition 1 verification".
    Refuted by: one defect that shows; each alone is a control.
    """
    attempts: dict[str, defects.Attempt] = {name: partial(_compiled, *snippets) for name, snippets in SNIPPETS.items()}
    return defects.count({**attempts, DENSITY: _mass_at_the_end}, form)


def _compiled(printed: str, corrected: str, faulty: bool) -> Measurement:
    return defects.raises(SyntaxError, lambda: compile(printed if faulty else corrected, "<page>", "exec"))


def _mass_at_the_end(faulty: bool) -> Measurement:
    z = 0.7
    alpha, sigma = forward_path("linear")(torch.ones((), dtype=torch.float64))
    x, spacing = three_gaussians.line(2001)
    standard = (x + z - alpha * z) / sigma
    if faulty:
        mass = float((spacing * torch.exp(-(standard**2) / 2) / (sigma * (2 * torch.pi) ** 0.5)).sum())
    else:
        mass = float(torch.special.ndtr(standard[-1]) - torch.special.ndtr(standard[0]))
    return Measurement(float(not abs(mass - 1) < 1e-9), detail=f"mass {mass:.3g}")


@erratum(
    "E11",
    title="004's t.squeeze() drops the batch axis of a batch of one",
    source="004, training code",
    tolerance=0.0,
)
def squeezed_time(form: str, context: Context) -> Measurement:
    """t of shape (B, 1, 1, 1) squeezed has shape () at B = 1, and t[:, None] fails; flattened it has shape (B,).

    Statement: the times of a batch reach the network as a vector, one time a sample, for every batch size.
    Assumptions: a network that indexes its times, as the usual sinusoidal embedding t[:, None] f does.
    Computed: the number of batches that fail (IndexError) in an epoch of 9 images in batches of 4: the last, partial
        one has one image. With 8 images, or drop_last, the same script runs: the defect waits for the data's size.
    Source: 004, training code, step 5.
    Refuted by: one batch that fails.
    """
    return epoch(form == PRINTED, size=9)


def epoch(faulty: bool, size: int, batch: int = 4) -> Measurement:
    """How many batches of an epoch over `size` images fail."""
    loader = DataLoader(TensorDataset(torch.zeros(size, 1, 2, 2)), batch_size=batch)
    tried = [(len(x), defects.raises(IndexError, partial(_embedded, x, faulty))) for (x,) in loader]
    failed = [f"batch of {n}: {result.detail}" for n, result in tried if result.statistic]
    return Measurement(float(len(failed)), detail=", ".join(failed) or f"batches of {[n for n, _ in tried]} run")


def _embedded(x: Tensor, faulty: bool) -> Tensor:
    t = torch.full((len(x), 1, 1, 1), 0.5, dtype=torch.float64)
    return sinusoid(t.squeeze() if faulty else t.flatten())
