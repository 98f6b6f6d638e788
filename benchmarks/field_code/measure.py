"""Audits each loss of list.toml against the catalogue's objective, and writes what came out.

`python -m benchmarks.field_code.measure`, in the environment that `environment.py` makes, writes
benchmarks/results/field_code.md and reproflow/judge/measured_in_code.csv, which the catalogue's page reads. What is
measured is kept in build/field_code, so that it goes on where it was stopped; with KEY .. those are measured anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reproflow.judge import measured_in_code, published_objectives
from reproflow.judge.measured_in_code import Measured

HERE = Path(__file__).parent
PAGE = HERE.parent / "results" / "field_code.md"
KEPT = HERE.parents[1] / "build" / "field_code"
HEAD = """# The field, executed

Losses of installable packages, called through the adapters of `benchmarks/field_code/adapters` (at most ten lines
each) and audited against the objective of the catalogue ([docs/field.md](../../docs/field.md)): `make field-code`.
*Library*: the loss itself stands in the wheel. *Script*: the wheel has its parts, and the few lines between them are
restated from the package's examples. **As published**: is the canonical weight the stated one, up to a constant
(`--expect`)? Steps are compared on their own levels. The ratio is measured over stated at the noise end, at λ = 0 and
at the data end. Findings are those of [docs/audit_findings.md](../../docs/audit_findings.md).

Not in the list for what they import (transformers, open-clip, rdkit, lightning): muse-maskgit-pytorch, imagen-pytorch,
dalle2-pytorch, lerobot, alphafold3-pytorch, boltz.

"""
TABLE = (
    "| objective | package | stands | how | state | target | as published | ratio | findings |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def listed() -> list[dict[str, Any]]:
    """The entries of list.toml."""
    return tomllib.loads((HERE / "list.toml").read_text(encoding="utf-8"))["measured"]


def audit(row: dict[str, Any]) -> dict[str, Any]:
    """The audit's JSON; `error` alone where the loss cannot be called."""
    stated = published_objectives.entries((row["key"],))[0]
    command = [sys.executable, "-W", "ignore", "-m", "reproflow", "audit", f"adapters/{row['loss']}", "--json", "-"]
    command += ["--expect", stated.weighting, "--time", stated.time, "--path", stated.path_spec.source or stated.path]
    command += ["--on", stated.on] if stated.on else []
    for option in ("shape", "data", "vocab", "mask"):
        command += [f"--{option}", str(row[option])] if option in row else []
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.stdout else {"error": done.stderr.strip().splitlines()[-1]}


def measured(row: dict[str, Any], found: dict[str, Any]) -> Measured:
    """What the catalogue's page says of it."""
    expected = found.get("expected") or {"verdict": "error", "ratio": None}
    ratio = expected["ratio"] or {}
    ids = [each["id"] for each in found.get("findings", ()) if each["id"] != "not-as-stated"]
    return Measured(
        key=row["key"],
        package=row["package"],
        version=version(row["package"]),
        how=row["how"],
        verdict=expected["verdict"],
        ratio=" ".join(f"{ratio[end]:.4g}" for end in ratio),
        findings=" ".join(ids),
    )


def line(row: dict[str, Any], found: dict[str, Any], says: Measured) -> str:
    """A row of the page."""
    name = published_objectives.entries((row["key"],))[0].name
    part = {key: (found.get(key) or {}).get("name") or "–" for key in ("path", "target")}
    cells = [
        f"{name} (`{row['key']}`)", f"{row['package']} {says.version}", row["stands"], row["how"], part["path"],
        part["target"], says.words, says.ratio.replace(" ", ", ") or "–", says.findings.replace(" ", ", ") or "–",
    ]  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |\n"


def kept(row: dict[str, Any], anew: bool) -> dict[str, Any]:
    """The audit's JSON, from `KEPT` unless it is to be done anew."""
    file = KEPT / f"{row['key']}-{row['package']}.json"
    if anew or not file.is_file():
        found = audit(row)
        KEPT.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def note(row: dict[str, Any], found: dict[str, Any]) -> str:
    """What there is to say beside the table: the reason of a difference, and the sentences of findings."""
    expected = found.get("expected") or {}
    reason = found.get("error") or ("" if expected.get("verdict") == "same" else expected.get("reason"))
    sentences = [each["text"] for each in found.get("findings", ()) if each["id"] != "not-as-stated"]
    said = " ".join(filter(None, [reason, *sentences]))
    return f"- `{row['key']}`, {row['package']}: {said}\n" if said else ""


def main() -> None:
    lines, told, notes = [], [], []
    for row in listed():
        found = kept(row, row["key"] in sys.argv[1:])
        told.append(measured(row, found))
        lines.append(line(row, found, told[-1]))
        notes.append(note(row, found))
        print(lines[-1] + notes[-1], flush=True)
    PAGE.write_text(HEAD + TABLE + "".join(lines) + "\n" + "".join(notes), encoding="utf-8")
    measured_in_code.write(told)


if __name__ == "__main__":
    main()
