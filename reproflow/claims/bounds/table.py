r"""Bounds: the weightings in use, brought to one form from what they were proposed as, and their verdicts (ST-8)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from reproflow.claims.policy import STATEMENT, Context, Measurement, claim, worst
from reproflow.numerics.arrays import on_arrays
from reproflow.numerics.derivatives import Mode
from reproflow.theory import bounds
from reproflow.theory.bounds import CERTIFIED, Bound
from reproflow.theory.log_snr import invert_lam, log_snr
from reproflow.theory.objective import Objective, error_factor, get_objective
from reproflow.theory.paths import Path, forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

PREDICTION = "on another prediction"
PATH = "on another path"
REVERSED = "time reversed"
UNIT = "1 on the eps error"
MINIMUM = "its running minimum"
RAW = "d lam/dt left out"
FORM = "form"
MONOTONE = "monotone"
END = "end"
POINTS = 1001
RISE = 1e-6


@dataclass(frozen=True)
class Row:
    """A weighting as it was proposed, and what the table says of it.

    The proposal is a path, a time law and a factor `spec` on the error of a prediction `on`; `form` is w(lam), up to a
    constant; `noun` is the registered weighting it must be; `end` gives the lam up to which w rises, if it does.
    """

    noun: str
    path: str
    spec: str
    on: str
    form: Callable[[Tensor], Tensor]
    end: Callable[[], float] | None = None
    law: str = "uniform"


def _edm(lam: Tensor) -> Tensor:
    return torch.exp(-0.5 * ((lam - 2.4) / 2.4) ** 2) * (torch.exp(-lam) + 0.25)


def _edm_peak() -> float:
    """The argmax of EDM's weight, by scipy."""
    log = lambda lam: 0.5 * ((lam - 2.4) / 2.4) ** 2 - math.log(math.exp(-lam) + 0.25)  # noqa: E731
    return float(optimize.minimize_scalar(log, bounds=(-10, 2), method="bounded", options={"xatol": 1e-10}).x)


def _sech(lam: Tensor) -> Tensor:
    return 1 / torch.cosh(0.5 * lam)


# EDM draws log sigma ~ N(-1.2, 1.2²) and weighs the error of the denoised data by (sigma² + 1/4)/(sigma/2)², where its
# sigma is sigma/alpha here.
_EDM = ("linear", "expr:(1/snr + 0.25)*4*snr", "x1")

ROWS: dict[str, Row] = {
    "elbo": Row("elbo", "cosine", "expr:abs(dlam)/2", "eps", torch.ones_like),
    "sigmoid": Row("sigmoid", "cosine", "expr:sigma/alpha", "eps", lambda lam: 1 / (1 + lam.exp())),
    "fm": Row("fm", "linear", "expr:1", "velocity", lambda lam: torch.exp(-0.5 * lam)),
    "v_cosine": Row("v_cosine", "cosine", "expr:1", "v", lambda lam: torch.exp(-0.5 * lam)),
    "indi": Row("indi", "linear", "expr:1", "x1", lambda lam: torch.exp(-lam) / torch.cosh(lam / 4) ** 2),
    "iddpm": Row("iddpm", "cosine", "expr:1", "eps", _sech, lambda: 0.0),
    "edm": Row("edm", *_EDM, _edm, _edm_peak, "lognormal_sigma"),
    "edm_monotone": Row(
        "edm_monotone", *_EDM, lambda lam: _edm(lam.clamp(min=_edm_peak())), law="lognormal_sigma"
    ),
    "p2": Row(
        "p2", "cosine", "expr:1/(1 + snr)", "eps", lambda lam: _sech(lam) / (1 + lam.exp()), lambda: -math.log(3)
    ),
    "p2:gamma=0.5": Row(
        "p2:gamma=0.5", "cosine", "expr:1/sqrt(1 + snr)", "eps", lambda lam: _sech(lam) / (1 + lam.exp()).sqrt(),
        lambda: -math.log(2),
    ),
    "min_snr": Row(
        "min_snr", "cosine", "expr:min(snr, 5)", "x1", lambda lam: _sech(lam) * (5 * torch.exp(-lam)).clamp(max=1),
        lambda: 0.0,
    ),
}  # fmt: skip


def _cases() -> tuple[str, ...]:
    return tuple(
        f"{name} {what}" for name, row in ROWS.items() for what in (FORM, MONOTONE, END) if what != END or row.end
    )


def _controls(case: str) -> tuple[str, ...]:
    name, what = case.split()
    if what == FORM:
        # No path changes the ELBO, and the velocity under uniform time has e^(-lam/2) on the cosine path as well.
        return (PREDICTION,) if name in ("elbo", "fm") else (PREDICTION, PATH)
    if what == END:
        return (RAW,)
    if ROWS[name].end:
        return (MINIMUM,)
    return (UNIT,) if name == "elbo" else (REVERSED,)


def _tolerance(case: str) -> float:
    return {FORM: 1e-12, MONOTONE: RISE, END: 1e-5}[case.split()[1]]


@claim(
    "ST-8",
    title="weightings in use as functions of the log-SNR, and which of them are monotone",
    source="001 Fig. 2 (left) and its table of weightings",
    kind="exact",
    tolerance=_tolerance,
    cases=_cases,
    controls=_controls,
    expected={f"{name} {MONOTONE}": "refuted" for name, row in ROWS.items() if row.end},
)
def weighting_table(case: str, variant: str, context: Context) -> Measurement:
    """w relative to the ELBO integrand never rises with lam for ELBO, sigmoid, FM, v, InDI; IDDPM, EDM, P2, Min-SNR do.

    Statement: ELBO 1; sigmoid 1/(1+e^lam); FM and v-prediction e^(-lam/2); InDI e^-lam sech²(lam/4); IDDPM sech(lam/2),
        rising for lam < 0; EDM N(lam; 2.4, 2.4²)(e^-lam + 1/4), up to its maximum at -3.30778; P2 with exponent g,
        sech(lam/2)/(1+e^lam)^g, up to -log(1 + 2g); Min-SNR sech(lam/2) min(1, 5 e^-lam), for lam < 0; EDM made
        constant below its maximum does not rise.
    Assumptions: Gaussian diffusion; uniform time (EDM: its own law) and the path of the proposal, named in `ROWS`.
    Proof idea: w = 2 pi c_eps/|lam'| with the conversion factors of LOSS-5; one derivative each.
    Computed: case `form`: each weighting from its proposal (path, time law, factor on one prediction's error) through
        the canonical form, at 301 log-SNRs in [-12, 12]: relative gap from the formula up to a constant, and that of
        the registered weighting of the same name (EDM made monotone: also of EDM's running maximum). `monotone`: by how
        much the derived w rises above its running minimum, relative, over t in [1e-4, 1 - 1e-4]; the verdict of
        `theory.bounds` must say the same. `end`: where the rise starts (the noise end of the range) and ends, against
        -log(1 + 2g), 0, or scipy's argmax.
    Source: 001 Fig. 2 (left), which refers to a table of them; formulas after Kingma & Gao 2023, table 1.
    Refuted by: a gap above 1e-12, a rise above 1e-6, an end off by 1e-5. Controls: the factor on another prediction, or
        on another path; w read in the wrong direction of time, and for the ELBO, which is constant, weight 1 on the
        eps error; the running minimum of those that rise must be supported; the end of pi c_eps without 2/|lam'|.
    """
    name, what = case.split()
    row = ROWS[name]
    if what == FORM:
        return Measurement(float(np.max([form_gap(row, variant), noun_gap(row), _majorant_gap(row)])))
    if what == END:
        return _end(name, variant)
    return _monotone(name, variant)


def form_gap(row: Row, variant: str = STATEMENT) -> float:
    """Largest relative gap between the derived weight and the row's formula, up to a constant."""
    t, lam = _points(_path(row, variant))
    return _spread(derived(row, variant, t) / row.form(lam))


def noun_gap(row: Row) -> float:
    """The same for the registered weighting; one that is not canonical is taken under the row's path and law."""
    t, lam = _points(forward_path(row.path))
    w = get_objective(row.path, row.law, row.noun, mode=Mode.FORWARD).weight(t)
    return _spread(w / row.form(lam))


def _majorant_gap(row: Row) -> float:
    """How far EDM's running maximum from the data, as `theory.bounds` tells it, is from EDM made monotone."""
    if row.noun != "edm_monotone":
        return 0.0
    found = analysed("edm")
    return _spread(torch.from_numpy(found.majorant.copy()) / row.form(torch.from_numpy(found.lam)))


def derived(row: Row, variant: str, t: Tensor) -> Tensor:
    """The canonical weight at t of the proposal, or of what a control makes of it."""
    if variant == REVERSED:
        t = 1 - t  # linear and cosine paths have lam(1 - t) = -lam(t)
    other_prediction = "eps" if row.on == "x1" else "x1"
    on = other_prediction if variant == PREDICTION else row.on
    weighting = get_weighting("expr:1" if variant == UNIT else row.spec, on=on)
    objective = Objective(_path(row, variant), get_time_law(row.law), weighting)
    if row.noun == "edm_monotone":
        t = t.clamp(min=float(invert_lam(objective.path, _scalar(_ends("edm")[1]))))
    if variant == RAW:
        c = objective.path.at(t)
        return objective.time.density(t) * weighting.at(c) * error_factor(weighting, c)
    return objective.weight(t)


@functools.lru_cache(maxsize=64)
def analysed(name: str, variant: str = STATEMENT) -> Bound:
    """The verdict of `theory.bounds` on a row's derived weight, or on what a control makes of it."""
    row = ROWS[name]
    path = forward_path(row.path)
    lam, w = on_arrays(lambda t: log_snr(path, t)), on_arrays(lambda t: derived(row, variant, t))

    def least(t: np.ndarray) -> np.ndarray:
        found = analysed(name)
        return np.interp(lam(t), found.lam, np.minimum.accumulate(found.w))

    return bounds.analyse(least if variant == MINIMUM else w, lam, points=POINTS)


def _monotone(name: str, variant: str) -> Measurement:
    """By how much w rises above its running minimum; not a number where the verdict does not say the same."""
    found = analysed(name, variant)
    rise = float((found.w / np.minimum.accumulate(found.w)).max()) - 1
    if (found.verdict == CERTIFIED) != (rise <= RISE):
        return Measurement(math.nan, detail=f"the verdict is {found.verdict} where w rises by {rise:.3g}")
    return Measurement(rise, detail=found.verdict if found.verdict == CERTIFIED else found.reason)


def _end(name: str, variant: str) -> Measurement:
    """How far the ends of the rise are from the start of the range and from the row's end."""
    end = ROWS[name].end
    assert end is not None
    found = analysed(name, variant)
    if found.hull is None:
        return Measurement(math.inf, detail="does not rise")
    low, high = found.hull.lam
    return Measurement(worst(abs(high - end()), low - float(found.lam[0])), detail=f"rises up to lam = {high:.6f}")


def _ends(name: str) -> tuple[float, float]:
    """The lam from which and up to which a row's derived weight rises."""
    hull = analysed(name).hull
    assert hull is not None
    return hull.lam


def _path(row: Row, variant: str) -> Path:
    return forward_path({"linear": "cosine", "cosine": "linear"}[row.path] if variant == PATH else row.path)


def _points(path: Path) -> tuple[Tensor, Tensor]:
    """301 times and their log-SNRs, about evenly in [-12, 12]."""
    t = invert_lam(path, torch.linspace(-12, 12, 301, dtype=torch.float64))
    return t, path.at(t).lam


def _spread(ratio: Tensor) -> float:
    return float((ratio / ratio[len(ratio) // 2] - 1).abs().max())


def _scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
