"""Audits each loss of list.toml against the catalogue's objective, and writes what came out.

`python -m benchmarks.field_code.measure`, in the environment that `environment.py` makes, writes
benchmarks/results/field_code.md and reproflow/reporting/measured_in_code.csv, which the catalogue's page reads. What is
measured is kept in build/field_code under a digest of what it depends on, so that it goes on where it was stopped.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import reproflow
from reproflow.judge import published_objectives
from reproflow.reporting import measured_in_code
from reproflow.reporting.measured_in_code import Measured

HERE = Path(__file__).parent
PAGE = HERE.parent / "results" / "field_code.md"
KEPT = HERE.parents[1] / "build" / "field_code"
ANSWERED = (0, 3, 5)
CANNOT_BE_READ = 2
HEAD = """# The field, executed

{date}, commit {commit}.

Losses of installable packages, called through the adapters of `benchmarks/field_code/adapters` (at most ten lines
each) and audited against the objective of the catalogue ([docs/field.md](../../docs/field.md)): `make field-code`.
*Library*: the loss itself stands in the wheel. *Script*: the wheel has its parts, and the few lines between them are
restated from the package's examples. **As stated**: is the canonical weight the catalogue's, up to a constant
(`--expect`)? Of continuous times that is asked as far as the weight could be measured. Steps are compared on their own
levels: the coefficient to 0.2 %, the law of the levels to 0.015 in probability; what the discretisation, or an offset
of the schedule that the catalogue leaves out, does to the ends is in the ratio. That is measured over stated at the
noise end, at λ = 0 and at the data end. Findings are those of [docs/audit_findings.md](../../docs/audit_findings.md).

Not in the list for what they import (transformers, open-clip, rdkit, lightning): muse-maskgit-pytorch, imagen-pytorch,
dalle2-pytorch, lerobot, alphafold3-pytorch, boltz.

"""
TABLE = (
    "| objective | package | stands | how | state | target | as stated | ratio | findings |\n"
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
    if done.returncode == CANNOT_BE_READ:
        return {"error": done.stderr.strip().splitlines()[-1]}
    if done.returncode not in ANSWERED:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


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
        part["target"], *says.cells,
    ]  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |\n"


def kept(row: dict[str, Any], code: str) -> dict[str, Any]:
    """The audit's JSON, from `KEPT` where entry, package and code are what they were."""
    told = json.dumps([row, version(row["package"]), code], sort_keys=True)
    file = KEPT / f"{row['key']}-{row['package']}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"
    if not file.is_file():
        found = audit(row)
        KEPT.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def digest_of_code() -> str:
    """Of the package's sources and of the adapters."""
    folders = (Path(reproflow.__file__).parent, HERE / "adapters")
    texts = (path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))
    return hashlib.sha256(b"".join(texts)).hexdigest()


def note(row: dict[str, Any], found: dict[str, Any]) -> str:
    """What there is to say beside the table: by what it is the same or another, and the sentences of findings."""
    reason = found.get("error") or (found.get("expected") or {}).get("reason")
    sentences = [each["text"] for each in found.get("findings", ()) if each["id"] != "not-as-stated"]
    said = " ".join(filter(None, [reason, *sentences]))
    return f"- `{row['key']}`, {row['package']}: {said}\n" if said else ""


def main() -> None:
    lines, told, notes, code = [], [], [], digest_of_code()
    for row in listed():
        found = kept(row, code)
        told.append(measured(row, found))
        lines.append(line(row, found, told[-1]))
        notes.append(note(row, found))
        print(lines[-1] + notes[-1], flush=True)
    asked = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    head = HEAD.format(date=datetime.date.today(), commit=commit)
    PAGE.write_text(head + TABLE + "".join(lines) + "\n" + "".join(notes), encoding="utf-8")
    measured_in_code.write(told)


if __name__ == "__main__":
    main()
