"""Equal objectives: do cells that share one ideal objective agree once they are trained? What came out, with intervals.

Objectives of one process with proportional canonical weights have one ideal minimiser and, up to a constant factor, one
ideal gradient (`theory.log_snr`). Trained networks may differ all the same. For each class of such objectives, each
pair of its members and each metric, the row holds

    d = mean_s [m_a(s) - m_b(s)]    with its simultaneous 95 % interval over all comparisons of the class,

over the seeds that both have (`numerics.paired`). With m the margin that regression checks allow the metric (the
configuration's, else `analysis.margins`), `verdict` says what the interval shows: `equal within the margin`, `differ`
(by more than the margin), `not separated`, `too few seeds` (below eight pairs), `no result`; and `equivalence`, of the
statement |E d| < m, is `supported` where they are equal, `refuted` where they differ, else `inconclusive`. The columns
p_equivalence and p_beyond hold Student's t with Holm for both, for comparison.

Members whose networks came out the same in every number are `identical`: the later one stands beside the first and is
not tested again. `trained once`: `dedupe` let one network stand for both.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pandas as pd

from reproflow.analysis.comparison import FIXED, by_seed
from reproflow.analysis.formatting import (
    DASH,
    HEADINGS,
    interval,
    label,
    listed,
    number,
    p_text,
    plural,
    text,
    with_error,
)
from reproflow.analysis.margins import margin
from reproflow.analysis.objective_classes import NOUNS, Group, Member, groups
from reproflow.analysis.results import Results, records
from reproflow.claims.policy import INCONCLUSIVE, REFUTED, SUPPORTED
from reproflow.foundation import measures
from reproflow.numerics.paired import NOTHING, Seeds, compare_seeds, needed
from reproflow.numerics.relabelling import FEWEST_PAIRS
from reproflow.numerics.simultaneous import BETTER, EQUAL, NOT_SEPARATED, NOT_WORSE, TOO_FEW, WORSE
from reproflow.numerics.statistics import beyond_p, equivalence_p, holm, mean_interval, paired

SIDES = [f"{what}_{side}" for side in "ab" for what in (*NOUNS, "lam_low", "lam_high")]
NUMBERS = [
    "mean_a", "mean_b", "pairs", "difference", "difference_se", "difference_low", "difference_high", "p", "p_holm",
]  # fmt: skip
EQUIVALENCE_COLUMNS = [
    *FIXED, "target", "coupling", "class", *SIDES, "metric", *NUMBERS, "verdict", "margin", "p_equivalence",
    "p_beyond", "equivalence", "p_adjusted", "detectable",
]  # fmt: skip
UNTESTED: dict[str, Any] = {"margin": math.nan, "p_equivalence": math.nan, "p_beyond": math.nan, "equivalence": ""}
DIFFER = "differ"
IDENTICAL = "identical"
ONCE = "trained once"
WORDS = {WORSE: DIFFER, BETTER: DIFFER, NOT_WORSE: NOT_SEPARATED}
STATEMENTS = {EQUAL: SUPPORTED, DIFFER: REFUTED, NOT_SEPARATED: INCONCLUSIVE}
WHY = (
    "In theory the members of a class have one minimiser and, up to a constant factor, one gradient; trained networks "
    "may still differ, because the path sets the scale and the log-SNRs of what a network sees, the time law and the "
    "form of the factor set the noise of its gradient, and a network of finite size and training does not reach the "
    "minimiser."
)
NOTE = (
    f"{WHY} Difference: a minus b, paired over seeds; interval and p: simultaneous at 95 % over all comparisons of the "
    "class, by sign flips of whole seeds. Margin: what regression checks allow. Equal within the margin: the interval "
    "lies inside it; differ: the difference is shown to exceed it; not separated: neither is shown; identical: every "
    f"number is the same, so b is not compared with the others again; {DASH}: fewer than {FEWEST_PAIRS} pairs of "
    "seeds, so no interval."
)


def equivalence_table(read: Results, unplaced: list[str] | None = None) -> pd.DataFrame:
    """One row a pair of members and metric, columns `EQUIVALENCE_COLUMNS`; `class` counts the classes from 1.

    Objectives whose nouns cannot be found are said in `unplaced`.
    """
    rows: list[dict[str, Any]] = []
    count = itertools.count(1)
    for group in groups(read, [] if unplaced is None else unplaced):
        for members in group.classes:
            if len(members) > 1:
                rows += [{"class": number, **row} for number in [next(count)] for row in _class(read, group, members)]
    return pd.DataFrame(rows, columns=EQUIVALENCE_COLUMNS)


def show_equivalence(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as text for reading."""
    rows = []
    for row in records(frame):
        heading, decimals = HEADINGS.get(row["metric"], ("", 2))
        a, b = sides(row)
        rows.append({
            "Class": text(row["class"]), "Dataset": row["dataset"], "Process": row["process"],
            "Target": row["target"], "Steps": text(row["steps"]), "a": a, "b": b, "Metric": heading or DASH,
            "Pairs": text(row["pairs"]), "Mean a": number(row["mean_a"], decimals),
            "Mean b": number(row["mean_b"], decimals), "Difference": with_error(row, decimals),
            "95 % interval": interval(row, decimals), "p": p_text(row["p_adjusted"]),
            "Margin": number(row["margin"], decimals), "Verdict": spoken(row["verdict"], row["pairs"]),
            "Equivalent": row["equivalence"] or DASH,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else ["Class", "a", "b", "Verdict"])


def sides(row: dict[str, Any]) -> tuple[str, str]:
    """What the two members of a row are called."""
    a, b = (label({noun: row[f"{noun}_{side}"] for noun in NOUNS}) for side in "ab")
    return a, b


def spoken(verdict: str, pairs: float = 0) -> str:
    """A verdict in plain words, with the number of pairs needed where there are too few."""
    return needed(int(pairs)) if verdict == TOO_FEW else verdict


def summary(rows: list[dict[str, Any]]) -> str:
    """One sentence about a class: how many of its comparisons agree, and how the others came out."""
    compared = [row["verdict"] for row in rows if row["verdict"] != ONCE]
    counts = Counter(compared)
    said = [f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict]]
    said = compared if len(compared) == 1 else said
    head = f"{plural(len(compared), 'comparison')}: {listed(said)}" if said else ""
    tested = Counter(row["equivalence"] for row in rows if row["equivalence"])
    equal = [f"{tested[verdict]} {verdict}" for verdict in (SUPPORTED, REFUTED, INCONCLUSIVE) if tested[verdict]]
    merged = len(rows) - len(compared)
    parts = [
        head,
        f"equivalent within the margin: {listed(equal)}" if equal else "",
        f"{plural(merged, 'objective')} not trained" if merged else "",
    ]
    return "; ".join(filter(None, parts)) + "."


_ORDER = (IDENTICAL, EQUAL, DIFFER, NOT_SEPARATED, TOO_FEW, "no result")


def _class(read: Results, group: Group, members: list[Member]) -> list[dict[str, Any]]:
    """The rows of a class. Members whose networks came out the same stand in one row with the first of them only."""
    trained = [member for member in members if len(member.cells)]
    metrics = [
        metric
        for metric in measures.compared(read.cells.columns)
        if any(by_seed(each.cells, metric) for each in trained)
    ]
    first = {each.key: next(a for a in trained if a is each or _identical(a, each, metrics)) for each in trained}
    distinct = [each for each in trained if first[each.key] is each]
    stated = read.config.get("regression", {}).get("margins", {})
    pairs = [(a, b, metric) for metric in metrics for a, b in itertools.combinations(distinct, 2)]
    rows = _compared(pairs, stated)
    rows += [_same(first[each.key], each, metric) for each in trained if each not in distinct for metric in metrics]
    rows += [_once(read, trained, member) for member in members if member.merged]
    return [group.same | row for row in rows]


def _identical(a: Member, b: Member, metrics: list[str]) -> bool:
    """Whether the members have one value of every metric at every seed, and at least one."""
    values = [(by_seed(a.cells, metric), by_seed(b.cells, metric)) for metric in metrics]
    return any(x for x, _ in values) and all(x == y for x, y in values)


def _compared(pairs: list[tuple[Member, Member, str]], stated: dict[str, float]) -> list[dict[str, Any]]:
    """The rows of a class's pairs and metrics, one family."""
    values = [(by_seed(a.cells, metric), by_seed(b.cells, metric)) for a, b, metric in pairs]
    means = [_means(x, y) for x, y in values]
    margins = [
        margin(metric, (mean["mean_a"] + mean["mean_b"]) / 2, stated) if x and y else 0.0
        for (_, _, metric), mean, (x, y) in zip(pairs, means, values, strict=True)
    ]
    rows = []
    for (a, b, metric), mean, m, compared in zip(pairs, means, margins, compare_seeds(values, margins), strict=True):
        verdict = WORDS.get(compared["verdict"], compared["verdict"])
        row = _names(a, b) | {"metric": metric} | mean | compared | {"verdict": verdict}
        rows.append(row | UNTESTED | {"margin": m, "equivalence": STATEMENTS.get(verdict, "")})
    _oracles(rows, values)
    return rows


def _oracles(rows: list[dict[str, Any]], values: list[tuple[Seeds, Seeds]]) -> None:
    """Student's p of equivalence and of its opposite, by Holm over the rows that were compared."""
    tested = [(row, paired(*each)) for row, each in zip(rows, values, strict=True) if row["equivalence"]]
    for key, test in (("p_equivalence", equivalence_p), ("p_beyond", beyond_p)):
        adjusted = holm([test(estimate, row["margin"]) for row, estimate in tested]) if tested else []
        for (row, _), p in zip(tested, adjusted, strict=True):
            row[key] = p


def _same(a: Member, b: Member, metric: str) -> dict[str, Any]:
    x = by_seed(a.cells, metric)
    found = {"pairs": len(x), **NOTHING, "difference": 0.0 if x else math.nan}
    return _names(a, b) | {"metric": metric} | _means(x, x) | found | {"verdict": IDENTICAL, **UNTESTED}


def _means(x: Seeds, y: Seeds) -> dict[str, float]:
    return {"mean_a": mean_interval(list(x.values())).mean, "mean_b": mean_interval(list(y.values())).mean}


def _once(read: Results, trained: list[Member], member: Member) -> dict[str, Any]:
    """The row of an objective that was not trained, because another member's networks stand for it."""
    other = read.merged[member.key]
    stands = next(each for each in trained if other in set(each.cells["cell"]))
    nothing = {"mean_a": math.nan, "mean_b": math.nan, **NOTHING, **UNTESTED}
    return _names(stands, member) | {"metric": "", "pairs": len(member.merged), **nothing, "verdict": ONCE}


def _names(a: Member, b: Member) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for side, each in (("a", a), ("b", b)):
        named |= {f"{noun}_{side}": name for noun, name in each.names.items()}
        named |= dict(zip((f"lam_low_{side}", f"lam_high_{side}"), each.reach, strict=True))
    return named
