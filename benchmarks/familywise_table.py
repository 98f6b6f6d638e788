"""The tables of benchmarks/familywise.py as Markdown: false alarms with their limits, power, intervals."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy import stats

from benchmarks.familywise import (
    ARMS,
    BASELINE,
    COVER_RUNS,
    GROUPS,
    LEVEL,
    PATHS,
    POWER_SHIFTS,
    WEIGHTINGS,
    upper_limit,
)

MOST = 0.06
ORACLE_DRAWS = 200_000


def table(rows: Sequence[Sequence[str]]) -> str:
    """The whole page, of the rows of the CSV file."""
    alarms: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    found: dict[tuple[str, float, int], dict[float, float]] = defaultdict(dict)
    covered = []
    for design, kind, n, _, runs, count in rows:
        if kind == "false alarms":
            alarms[design, int(n)][0] += int(runs)
            alarms[design, int(n)][1] += int(count)
        elif kind == "found":
            shared = float(re.search(r"correlation ([\d.]+)", design)[1])  # type: ignore[index]
            shift = float(re.search(r"moved ([\d.]+) sd", design)[1])  # type: ignore[index]
            found[design.partition(":")[0], shared, int(n)][shift] = int(count) / int(runs)
        else:
            inside, equal = map(int, count.split(";"))
            covered.append((design, int(n), inside / int(runs), equal / int(runs)))
    return "\n".join([*_alarms(alarms), "", *_power(found), "", *_covered(covered), ""])


def _alarms(alarms: dict[tuple[str, int], list[int]]) -> list[str]:
    lines = [
        "## False alarms", "",
        "The share of runs in which any row whose law did not change is called worse or better, at level "
        f"{LEVEL:g}, and its one-sided 99 % Clopper-Pearson limit, which must be at most {MOST:g}.", "",
        "| design | seeds | runs | false alarms | limit | |", "|---|---:|---:|---:|---:|---|",
    ]  # fmt: skip
    for (design, n), (runs, count) in sorted(alarms.items(), key=lambda each: (each[0][0].partition(":")[0], each[0])):
        limit = upper_limit(count, runs)
        ok = "" if limit <= MOST else "**above**"
        lines.append(f"| {design} | {n} | {runs} | {count / runs:.4f} | {limit:.4f} | {ok} |")
    return lines


def _power(found: dict[tuple[str, float, int], dict[float, float]]) -> list[str]:
    lines = [
        "## Power", "",
        "One group is worse (samples: among 24 groups and 5 means; pairs: one arm of six), by so many standard "
        "deviations of its numbers (pairs: of the difference). Beside it the shift found with power 0.8, by "
        "interpolation, and that of an oracle, which knows each row's standard deviation and the correlation and takes "
        "the exact quantile of the largest normal deviate.", "",
        "| | correlation | seeds | 1 sd | 2 sd | 3 sd | found with .8 | oracle | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for (kind, shared, n), powers in sorted(found.items()):
        scale = np.sqrt(2) if kind == "pairs" else 1.0
        own = {shift / scale: power for shift, power in powers.items()}
        at = [own.get(min(own, key=lambda s, want=want: abs(s - want)), np.nan) for want in POWER_SHIFTS]
        reached, oracle = _reached(own), _oracle(kind, shared, n)
        lines.append(
            f"| {kind} | {shared:g} | {n} | {at[0]:.2f} | {at[1]:.2f} | {at[2]:.2f} | {reached:.2f} | {oracle:.2f} | "
            f"{reached / oracle:.2f} |"
        )
    return lines


def _reached(powers: dict[float, float]) -> float:
    """The shift with power 0.8, by interpolation."""
    shifts = sorted(powers)
    return float(np.interp(0.8, np.maximum.accumulate([powers[s] for s in shifts]), shifts))


def _oracle(kind: str, shared: float, n: int) -> float:
    """The shift with power 0.8 of a test of all rows by normal deviates of known law, each side at half the level."""
    generator = np.random.default_rng(20261130)
    if kind == "samples":
        common, own = generator.standard_normal((ORACLE_DRAWS, 1)), generator.standard_normal((ORACLE_DRAWS, GROUPS))
        z = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        means = [z.mean(1), *(z[:, w * PATHS : (w + 1) * PATHS].mean(1) for w in range(WEIGHTINGS))]
        variances = [shared + (1 - shared) / size for size in (GROUPS, *[PATHS] * WEIGHTINGS)]
        rows = np.column_stack([z, *(m / np.sqrt(v) for m, v in zip(means, variances, strict=True))])
        error = np.sqrt(1 / BASELINE + 1 / n)
    else:
        arms = generator.standard_normal((ORACLE_DRAWS, ARMS))
        rows = np.column_stack(
            [(arms[:, a] - arms[:, b]) / np.sqrt(2) for a in range(ARMS) for b in range(a + 1, ARMS)]
        )
        error = 1 / np.sqrt(n)
    return float((np.quantile(rows.max(1), 1 - LEVEL / 2) + stats.norm.ppf(0.8)) * error)


def _covered(covered: list[tuple[str, int, float, float]]) -> list[str]:
    lines = [
        "## Intervals", "",
        f"The share of {COVER_RUNS} runs in which all intervals hold their true shifts at once (0.95 wanted), and in "
        "which a shift at its margin is called equal (0.05 at most).", "",
        "| design | seeds | all covered | falsely equal |", "|---|---:|---:|---:|",
    ]  # fmt: skip
    return lines + [f"| {design} | {n} | {inside:.3f} | {equal:.3f} |" for design, n, inside, equal in covered]
