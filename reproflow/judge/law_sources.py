"""What is said of a time law that is given by a density, or by draws, beside what is said of any quantile map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reproflow.foundation import law_forms
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED
from reproflow.judge import drawn_laws
from reproflow.judge.drawn_laws import DRAWS, UNSEEN, Draws
from reproflow.theory import density_laws
from reproflow.theory.times import TimeLaw

WINDOW = 0.005
MANY = 1000
UNRESOLVED: dict[str, Any] = {"resolution": None, "below_resolution": None}


def without_map(text: str, turned: bool) -> dict[str, Any] | None:
    """The parts of a judgement on a law of draws, and on a density that is none; None where there is a quantile map."""
    kind = law_forms.split(text)[0]
    if kind == law_forms.SAMPLER:
        return of_draws(text, turned)
    found = density_laws.law_or_fault(text, turned) if kind == law_forms.DENSITY else None
    return void(found.reason, found.verdict) if isinstance(found, density_laws.Fault) else None


def of_density(law: TimeLaw) -> dict[str, Any] | None:
    """`mass`, by which the density was divided, and how far its quantiles may be off (`accuracy`, in P(T <= t))."""
    if density_laws.ACCURACY not in law.entry.meta:
        return None
    mass, accuracy = law.entry.meta[density_laws.MASS], law.entry.meta[density_laws.ACCURACY]
    reason = (
        f"a density of mass {mass:.8g}, normalised and inverted numerically: P(T <= t) to {accuracy:.1g}, as far as "
        f"seen in steps of {1 / density_laws.POINTS:.1g} in t"
    )
    return {"form": law_forms.DENSITY, "mass": mass, "accuracy": accuracy, "draws": None, "reason": reason}


def void(reason: str, verdict: str = REFUTED) -> dict[str, Any]:
    """The parts of a judgement on what is no law, or cannot be told to be one."""
    unknown = "no time law" if verdict == REFUTED else "perhaps no time law"
    return {
        "valid": {"verdict": verdict, "reason": reason},
        "dominates_lebesgue": {
            "verdict": None,
            "gap": None,
            "gaps": [],
            **UNRESOLVED,
            "reason": f"{unknown}: {reason}",
        },
        "atoms": [],
        "density_at": _at([None] * 9),
        "source": None,
    }


def of_draws(text: str, turned: bool) -> dict[str, Any]:
    """The parts of a judgement on a law by its draws."""
    found = drawn_laws.draws(text, turned)
    if len(outside := found.outside):
        share = len(outside) / DRAWS
        return void(f"t = {outside[0]:.6g} was drawn, outside [0, 1] (a share {share:.3g} of {DRAWS} draws)")
    reason = (
        f"{DRAWS} draws: a cell of length 1/{drawn_laws.CELLS} of a probability under {UNSEEN:.2g} may go unseen "
        "(95 %, all cells at once); shorter lengths are not resolved"
    )
    span = f"[{found.t[0]:.4g}, {found.t[-1]:.4g}]"
    source = {"form": law_forms.SAMPLER, "mass": None, "accuracy": None, "draws": DRAWS, "reason": reason}
    return {
        "valid": {"verdict": SUPPORTED, "reason": f"all of {DRAWS} draws lie in {span}, inside [0, 1]"},
        "dominates_lebesgue": _dominates(found),
        "atoms": [{"t": place, "mass": mass} for place, mass in found.atoms[:MANY]],
        "density_at": _at(_histogram(found)),
        "source": source,
    }


def _dominates(found: Draws) -> dict[str, Any]:
    if found.repeats:
        words = f"next to every draw is another one again ({len(np.unique(found.t))} different times): atoms alone"
        return {
            "verdict": REFUTED,
            "gap": [0.0, 1.0],
            "gaps": [[0.0, 1.0]],
            **UNRESOLVED,
            "undrawn": [],
            "reason": words,
        }
    if found.grid:
        words = (
            f"{found.atom_words}: a fine grid, which has no density, or times in few digits; draw in float64, or give "
            "the quantile map or the density"
        )
        return {"verdict": INCONCLUSIVE, "gap": None, "gaps": [], **UNRESOLVED, "undrawn": [], "reason": words}
    undrawn = [list(each) for each in found.undrawn]
    resolved = {"resolution": 1 / drawn_laws.CELLS, "below_resolution": sum(high - low for low, high in undrawn)}
    if not undrawn:
        words = (
            f"each of {drawn_laws.CELLS} cells of length 1/{drawn_laws.CELLS} was drawn; shorter gaps cannot be seen"
        )
        return {"verdict": SUPPORTED, "gap": None, "gaps": [], **resolved, "undrawn": [], "reason": words}
    shown = ", ".join(f"({low:g}, {high:g})" for low, high in undrawn[:3])
    more = f" and {len(undrawn) - 3} more" if len(undrawn) > 3 else ""
    words = (
        f"no draw in {shown}{more}: each thousandth there has a probability below {UNSEEN:.2g} (95 %), and draws "
        "cannot tell it from zero; give the density, density:FILE.py:f"
    )
    return {"verdict": INCONCLUSIVE, "gap": None, "gaps": [], **resolved, "undrawn": undrawn, "reason": words}


def _histogram(found: Draws) -> list[float | str | None]:
    """The share of draws within 0.005 of t = 0.1, .., 0.9, over that length: "inf" where an atom lies."""
    pi: list[float | str | None] = []
    for place in np.arange(1, 10) / 10:
        low, high = np.searchsorted(found.t, [place - WINDOW, place + WINDOW])
        atom = any(math.isclose(place, t, abs_tol=WINDOW) for t, _ in found.atoms)
        pi.append("inf" if atom else float(high - low) / DRAWS / (2 * WINDOW))
    return pi


def _at(pi: list[Any]) -> dict[str, Any]:
    return {"t": [k / 10 for k in range(1, 10)], "pi": pi}
