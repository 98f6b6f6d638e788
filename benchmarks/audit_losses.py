"""How exactly an audit reads the losses of real data that the tests restate, and whether its verdicts are theirs.

    python -m benchmarks.audit_losses [--out FILE]

One row a loss, in float32 with nothing told: the largest relative error of path and target at a level, that of the
canonical weight between which 96 % of the draws lie (for 95 % of those levels), the law's largest distance in u, the
three verdicts against those of the stated objective, and the exit code. A table of steps has
its own weight, w_i = 2 pi c_x / (SNR_(i-1) - SNR_i), read in double precision, and no law in continuous time. Exit 1
where a verdict differs, or where anything is held against a loss.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
for folder in ("auditing", "../helpers"):
    sys.path.insert(0, str((ROOT / "tests" / "unit" / folder).resolve()))
HEADER = [
    "| loss | path | target | weight | law | admissible, identified, bound | as stated | exit |",
    "|---|---|---|---|---|---|---|---|",
]


def weight_error(key: str, tests) -> float:
    """Relative, of the weight against the stated one; of steps against that of the table."""
    if not tests.REAL[key].steps:
        return tests.against(key, tests.audited(key).reading.measured).error_bulk
    measured, expected = tests.of_steps(key)
    ratio = measured / expected
    return float(np.abs(ratio / np.median(ratio) - 1).max())


def law_error(key: str, tests) -> float | None:
    """In u, of the mass up to each level; None of steps and of tables."""
    stated, measured = tests.REAL[key], tests.audited(key).reading.measured
    if stated.steps or key not in tests.CLOSED:
        return None
    t = tests.invert_lam(tests.get_path(stated.path), torch.from_numpy(measured.lam))
    expected = tests.get_time_law(stated.time, fine=True).cdf(t).numpy()
    return float(np.abs(expected - measured.law).max())


def verdicts(key: str, tests) -> tuple[list[str], list[str]]:
    """Those that the audit has, and those of the stated objective, or of the stated table of steps."""
    judged = tests.audited(key).identification.judged
    if key in tests.CLOSED:
        stated = tests.REAL[key]
        expected = tests.reference(stated.path, stated.time, stated.weighting, stated.on)
        return [judged[each]["verdict"] for each in tests.VERDICTS], [
            expected[each]["verdict"] for each in tests.VERDICTS
        ]
    chain = judged["chain"]
    return [chain[each] for each in ("verdict", "admissible", "identified")], tests.table_verdicts(key)


def row(key: str, tests) -> tuple[str, bool]:
    """A line of the table, and whether all is as it should be."""
    audited = tests.audited(key)
    state, target = tests.off(tests.REAL[key], audited.reading.measured)
    law, (found, expected) = law_error(key, tests), verdicts(key, tests)
    bound, admissible, identified = found
    same = found == expected
    numbers = [f"{state:.0e}", f"{target:.0e}", f"{weight_error(key, tests):.0e}", "" if law is None else f"{law:.0e}"]
    cells = [
        f"`{key}`",
        *numbers,
        f"{admissible}, {identified}, {bound}",
        "yes" if same else f"no: {expected}",
        str(audited.exit_code),
    ]
    return f"| {' | '.join(cells)} |", same and audited.exit_code == 0


def main() -> None:
    import test_restated_losses as tests

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    raise SystemExit(write(tests, parser.parse_args().out))


def write(tests, out: Path | None) -> bool:
    """The table, printed and written; whether a row is not as it should be."""
    rows = []
    for key in tests.REAL:
        rows.append(row(key, tests))
        print(rows[-1][0], flush=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    right = sum(good for _, good in rows)
    lines = [
        "# Losses of real data, restated and audited",
        "",
        f"{datetime.date.today()}, {commit}, float32:",
        "",
        "    python -m benchmarks.audit_losses",
        "",
        f"{len(rows)} losses; {right} have the stated verdicts and nothing held against them. Errors are relative, the "
        "law's in u; the weight of steps is that of their own table, in double precision.",
        "",
        *HEADER,
        *(line for line, _ in rows),
    ]
    if out:
        out.write_text("\n".join(lines) + "\n")
    return right < len(rows)


if __name__ == "__main__":
    main()
