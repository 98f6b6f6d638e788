r"""From `not_representable` to `falsified`: a problem on which the inequality itself fails, told in full.

A weight that rises has no sum of bounds with positive coefficients; that its loss fails to bound anything is more, and
is said only with an example (`exact.witness`) whose two sides two routes agree on. The sum is that of the range of
times that is judged: nu has an atom w at its data end, and the prior's term belongs to its noise end. So of the sides
of `exact.witness`, whose atom lies at the data themselves, there is to take off

.. math:: w_{end} (KL(q \| r) - PKL_{end}) \quad\text{and}\quad w_{end} (KL(q \| r) - KL(q \| p^{(end)})),

from the left and from the right, which loses more. Where the range is the default one, the example must do as well with
w followed towards both ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.theory.bounds import NOT_REPRESENTABLE, Bound

if TYPE_CHECKING:
    from reproflow.exact.witness import Witness

FARTHEST = 24.0
"""The log-SNR up to which w is followed: examples change far inside of it."""


def wanted(bound: Bound) -> bool:
    """Whether there is something to falsify: w >= 0, finite but at single times, and somewhere rising."""
    infinite = np.isinf(bound.w)
    weight = bound.minorant is not None and not (infinite[1:] & infinite[:-1]).any()
    return bound.verdict == NOT_REPRESENTABLE and bool(bound.rises) and weight


def find(subject: NumericObjective, bound: Bound, whole: bool) -> Witness | None:
    """A witness against the bound property of a weight as sampled, or nothing where none is found.

    Of the examples that come within half of the largest violation, the one with the fewest tokens. `whole` says that
    the range is a default, so that w goes on beyond it.
    """
    # Imported where it is needed: scipy's statistics take half a second, which a certified weight need not wait for.
    from reproflow.exact import witness

    process = subject.objective.process
    every = witness.examples(bound.lam, bound.w, process)
    beyond = witness.examples(*_followed(subject, bound), process) if whole else every
    pairs = zip(every, beyond, strict=True)
    cut = [_on_range(each, bound) for each, other in pairs if each.falsifies and other.falsifies]
    good = [each for each in cut if each.falsifies]
    if not good:
        return None
    least = min(each.margin for each in good)
    by_parts = next(each for each in good if each.margin <= 0.5 * least)
    by_definition = _on_range(by_parts.verified(bound.lam, bound.w), bound)
    return by_definition if by_definition.falsifies and _agree(by_parts, by_definition) else None


def _on_range(found: Witness, bound: Bound) -> Witness:
    """The example with the atom at the data end of the range."""
    from reproflow.exact import shares, witness

    family = witness.FAMILIES[found.process]()
    q, r = family.laws
    lam, w, top = bound.lam[-1:], float(bound.w[-1]), float(shares.kl(q, r))
    path, shift = family.at(found.parameters, lam)
    reached = float(shares.kl(q, q + shift[0] * (r - q)))
    return replace(found, left=found.left - w * (top - float(path[0])), right=found.right - w * (top - reached))


def families(process: str) -> str:
    """Where witnesses are looked for, in words."""
    from reproflow.exact import witness

    return witness.FAMILIES[process]().where


def as_dict(found: Witness) -> dict[str, Any]:
    """The example with both sides, the laws q of the data and r of the model, and words."""
    from reproflow.exact import witness

    q, r = (law.tolist() for law in witness.FAMILIES[found.process]().laws)
    return {
        "family": found.family,
        "parameters": dict(found.parameters),
        "q": q,
        "r": r,
        "left": found.left,
        "right": found.right,
        "margin": found.margin,
        "text": text(found),
    }


def text(found: Witness) -> str:
    """The example in words: what the data are, what the model is, and the two sides in nats."""
    from reproflow.exact import witness

    q, r = (", ".join(f"{each:g}" for each in law) for law in witness.FAMILIES[found.process]().laws)
    short = found.right - found.left
    sides = (
        f"the loss exceeds its constant by {found.left:.5g}, {short:.3g} less than the {found.right:.5g} to be bounded"
    )
    data = witness.FAMILIES[found.process]().data(found.parameters, q)
    return f"{data}, the exact model of ({r}): {sides}"


def _agree(one: Witness, other: Witness) -> bool:
    """Whether the two routes differ by less than half of what falsifies."""
    apart = abs(one.left - other.left) + abs(one.right - other.right)
    return one.falsifies and apart < 0.5 * min(one.right - one.left, other.right - other.left)


def _followed(subject: NumericObjective, bound: Bound) -> tuple[np.ndarray, np.ndarray]:
    """lam and w with those beyond the range, as far as numbers and `FARTHEST` allow."""
    t = subject.ladder
    t = t[(t >= 2.0 ** -subject.dense[0]) & (t <= 1 - 2.0 ** -subject.dense[1])]
    at = subject.lam(t)
    new = ((at < bound.lam[0]) | (at > bound.lam[-1])) & (np.abs(at) <= FARTHEST)
    lam, w = np.concatenate([bound.lam, at[new]]), np.concatenate([bound.w, subject.w(t[new])])
    order = np.argsort(lam, kind="stable")
    return lam[order], w[order]
