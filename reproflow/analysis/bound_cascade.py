"""`cascade.csv` as read: the frame with levels as numbers, and what it says in a few words for the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtr

from reproflow.analysis.formatting import DASH
from reproflow.claims.policy import INCONCLUSIVE, REFUTED, SUPPORTED
from reproflow.evaluation.bound_cascade.columns import COLUMNS, REPLICATES, TOLERANCE
from reproflow.numerics.statistics import holm

NOT_REPRESENTABLE = "not_representable"
EMPTY = "no image experiment has a cascade"
LEVEL = 0.05
DEGREES = REPLICATES - 1
QUANTITIES = {
    "entropy": "H(q)",
    "path_kl": "gap of the improved bound, PKL",
    "elbo": "improved bound, E L",
    "path_kl_steps": "gap in T steps",
    "weighted_sum": "Theorem 2: integral of gaps | weighted excess loss",
    "data_model_kl": "KL(q ‖ p) | its bound",
}
TERMS = [
    "cell", "process", "dataset", "path", "weighting", "seed", "weighting_summed", "levels", "value", "se", "share",
    "mass", "sum_of_bounds",
]  # fmt: skip
NOTE = (
    "Bounds on the trained image networks, over their training set, in nats (001, Theorems 1 and 2): about the "
    "ancestral (SDE) model, not the probability flow. Beside the value stands what it is compared with: the chain of "
    "the most steps, the continuous limit, the loss by its definition, or the bound. Supported: equal to a tenth, by "
    "the 95 % interval of the difference, and the control, the same integral with every bound read a fifth of the way "
    f"too late, is not; {DASH}: nothing to decide. The terms of the sums (001, Fig. 1) stand in cascade.csv and in "
    "figures/st_weighted_sum."
)


def read_cascade(results: str | Path) -> tuple[pd.DataFrame, str]:
    """cascade.csv with `level`, the number in `at` (NaN for weightings); and, where there is nothing, why."""
    path = Path(results) / "cascade.csv"
    empty = pd.DataFrame(columns=[*COLUMNS, "level"])
    if not path.exists():
        return empty, "no cascade.csv: the configuration asks for no cascade"
    try:
        frame = pd.read_csv(path, dtype={"at": str, "reason": str, "target": str}, keep_default_na=True)
        frame = frame[COLUMNS]
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        return empty, f"cascade.csv cannot be read ({error})"
    if frame.empty:
        return empty, EMPTY
    frame["level"] = pd.to_numeric(frame["at"].str.replace(r"^(m|lam)=", "", regex=True), errors="coerce")
    return frame, ""


def contradicted(frame: pd.DataFrame) -> list[str]:
    """Bounds and identities that do not hold on a trained network, with Holm over all that are decided.

    KL(q || p) above its bound; the two sides of Theorem 2 further apart, either way, than its tolerance. By Student's t
    with 7 degrees of freedom, the fewest behind any of these errors, so that many true rows do not alarm.
    """
    tested = frame[frame["verdict"].isin([SUPPORTED, REFUTED, INCONCLUSIVE])].dropna(subset=["value", "reference"])
    if tested.empty:
        return []
    gap = tested["value"] - tested["reference"]
    allowed, bound = TOLERANCE * tested["reference"].abs(), tested["quantity"] == "data_model_kl"
    error = np.maximum(np.hypot(tested["se"].fillna(0), tested["reference_se"].fillna(0)), 1e-300)
    p = stdtr(DEGREES, -(gap.where(bound, gap.abs() - allowed) / error))
    other = stdtr(DEGREES, -((gap.abs() + allowed) / error)).where(~bound, 0.0)
    adjusted = np.array(holm(np.minimum(1.0, p + other).tolist()))
    rows = tested[(adjusted < LEVEL) & (tested["verdict"] == REFUTED)]
    return [f"{row['cell']} {row['quantity']} {row['at']}" for row in rows.to_dict("records")]


def terms(frame: pd.DataFrame) -> pd.DataFrame:
    """The terms of Theorem 2 (`weighted_term`), one row a network, weighting and range of levels.

    `value` in nats with `se`; `share` of the whole sum; `mass` of the increments there; `sum_of_bounds`: the
    weight never rises with the log-SNR. Ranges from data to noise.
    """
    found = frame[frame["quantity"] == "weighted_term"].copy()
    if found.empty:
        return pd.DataFrame(columns=TERMS)
    found[["weighting_summed", "levels"]] = found["at"].str.split(", ", n=1, expand=True).reindex(columns=[0, 1])
    found["share"] = found["value"] / found.groupby(["cell", "weighting_summed"])["value"].transform("sum")
    found["mass"] = found["reference"]
    sums = frame[frame["quantity"] == "weighted_sum"].rename(columns={"at": "weighting_summed"})
    rising = sums.assign(sum_of_bounds=sums["verdict"] != NOT_REPRESENTABLE)
    keys = ["cell", "weighting_summed"]
    found = found.merge(rising[[*keys, "sum_of_bounds"]], "left", keys, validate="many_to_one")
    return found[TERMS]


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The table for reading; the terms of the sums are left to their figure and CSV."""
    frame = frame[frame["quantity"] != "weighted_term"]
    names = {key: key.capitalize() for key in ("process", "dataset", "path", "weighting", "seed")}
    text = pd.DataFrame({title: frame[key].astype(str) for key, title in names.items()})
    text["Quantity"] = frame["quantity"].map(QUANTITIES).fillna(DASH)
    text["At"] = frame["at"].fillna(DASH)
    for title, (value, se) in {"Value": ("value", "se"), "Compared with": ("reference", "reference_se")}.items():
        pairs = zip(frame[value], frame[se], strict=True)
        text[title] = [DASH if number != number else _with_error(number, error) for number, error in pairs]
    for key in ("verdict", "control_verdict", "reason"):
        text[key.replace("_", " ").capitalize()] = frame[key].fillna(DASH).astype(str).str.replace("_", " ")
    return text


def _with_error(value: float, error: float) -> str:
    return f"{value:.4g}" if error != error or error == 0 else f"{value:.4g} ± {error:.2g}"
