"""docs/field.md and its curves, rendered from the committed verdicts on the field."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path

from reproflow.foundation import files, processes
from reproflow.judge.published_objectives_table import HYPOTHESES, Field
from reproflow.reporting import measured_in_code
from reproflow.reporting.measured_in_code import Measured
from reproflow.reporting.published_objectives import curve, said, summary

DOCS = Path(__file__).parents[2] / "docs"
HEAD = """# The field, judged

<!-- {provenance} -->

Training objectives in use in public code and papers, each restated in one convention and put to `reproflow check
weighting`.
{summary}

Time runs from noise (t = 0) to data (t = 1), x_t = alpha x1 + sigma eps, and λ = log(alpha²/sigma²), masked
log(alpha/(1 − alpha)). "f on x1" means: f times the squared error of the x1-prediction, whatever the network puts out;
"on ce": times the total cross-entropy of the masked tokens; "canonical": the weight itself, relative to the ELBO
integrand. The curve is that weight, w(λ)/w(0), for λ from −8 (noise, left) to 8, over two decades up and down; blue
where the loss is certified, orange where not, and shaded where w rises with λ.

- **Bound**: *certified* means that the loss is a sum of variational bounds with positive coefficients (Shi & Titsias,
  Theorem 2; Kingma & Gao), which needs a w that never rises with λ. *not representable*: it is no such sum for a
  network conditioned on t. *falsified*: it is no such sum, and the inequality itself fails on a problem that was found.
  **Rises** says where; **keeps** is the share of w that its running minimum certifies all the same.
- **Admissible**: every hypothesis of Lemma 4.7 of Billera et al. **E[w]** is the mean of the coefficient over the time
  law, as it stands on that prediction (a canonical one on the velocity). An infinite mean, such as that of 1/(1 − t)
  on masked tokens, only means that the weight cannot be turned into a time law.
- **Identified**: w times the density of t is positive almost everywhere.

None of this is a judgement on samples. A verdict is on the objective as stated here: in continuous time, without
truncation where the note does not say so, and without what is learned besides.

*Measured in code*: a package's own loss was audited against the objective ([audit.md](audit.md)); *restated from a
script* where the wheel has its parts and its examples the rest. The three numbers are its weight over the stated one
at the noise end, at λ = 0 and at the data end. Steps are judged on their own levels: their ends differ by the
discretisation, or by an offset of the schedule that the statement leaves out. `make field-code` does it again
([benchmarks/results/field_code.md](../benchmarks/results/field_code.md)).

`reproflow check field` judges all of it again and compares; `--refresh` writes this page. The objectives stand in
`reproflow/judge/published_objectives.toml`, the reasons of every verdict in `reproflow/judge/published_objectives.csv`.
"""
TABLE = """
| objective | w(λ) | bound | rises in λ | keeps | admissible | E[w] | identified | same as |
|---|---|---|---|---|---|---|---|---|
"""


def write_page(field: Field) -> list[Path]:
    """Writes docs/field.md and docs/field/*.svg and removes curves of objectives that are gone; the paths written.

    Nothing where the package is installed and there is no clone.
    """
    if not (DOCS / "check.md").is_file():
        return []
    texts = {DOCS / name: text for name, text in page(field).items()}
    for stale in set((DOCS / "field").glob("*.svg")) - set(texts):
        stale.unlink()
    for path, text in texts.items():
        files.write_text(path, text)
    return list(texts)


def page(field: Field) -> dict[str, str]:
    """The files of the page by their place under docs/: field.md, and field/KEY.svg for each objective."""
    counts = textwrap.fill(summary(list(field.rows.values())), 118)
    parts = [HEAD.format(provenance=field.provenance, summary=counts)]
    for family, rows in itertools.groupby(field.rows.values(), key=lambda row: row["family"]):
        own = list(rows)
        parts.append(f"\n## {family}\n{TABLE}" + "".join(_row(row, field.rows) for row in own) + _sources(own))
    curves = {f"field/{key}.svg": curve(row) + "\n" for key, row in field.rows.items()}
    return {"field.md": "".join(parts), **curves}


def _row(row: dict[str, str], rows: dict[str, dict[str, str]]) -> str:
    shown = said(row, rows)
    verdict = {key: _verdict(row[key], shown["good"][key]) for key in HYPOTHESES}
    cells = [
        f"**{row['name']}**", f"![{row['bound'].replace('_', ' ')}](field/{row['key']}.svg)", verdict["bound"],
        shown["rising"], shown["share"], verdict["admissible"], shown["mean"], verdict["identified"], shown["equal"],
    ]  # fmt: skip
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _verdict(word: str, good: bool) -> str:
    spoken = word.replace("_", " ")
    return spoken if good else f"*{spoken}*"


def _sources(rows: list[dict[str, str]]) -> str:
    """Each objective of a family as it is restated, its source, what was left out, and whose code was measured."""
    code = measured_in_code.read()
    lines = [
        f"\n- **{row['name']}** (`{row['key']}`): {_restated(row)}. {row['source']}.{_note(row)}"
        f"{_in_code(code.get(row['key'], []))}"
        for row in rows
    ]
    return "".join(lines) + "\n"


def _in_code(found: Sequence[Measured]) -> str:
    """` *Measured in code*: torchcfm 1.0.7, as stated (1, 1, 1).`, what was restated from a script apart."""
    said = ""
    for how, words in (("library", "Measured in code"), ("script", "Restated from a script")):
        own = [f"{each.package} {each.version}, {each.sentence}" for each in found if each.how == how]
        said += f" *{words}*: {'; '.join(own)}." if own else ""
    return said


def _restated(row: dict[str, str]) -> str:
    factor, law = (row[key].removeprefix("expr:") for key in ("weighting", "time"))
    what = f"`{factor}`, canonical" if row["on"] == "canonical" else f"`{factor}` on {row['on']}"
    time = f"t = `{law}`" if law != row["time"] else f"`{law}` time"
    process = "" if row["process"] == processes.known()[0] else f"{row['process']}, "
    return f"{process}{what}, `{row['path']}` path, {time}"


def _note(row: dict[str, str]) -> str:
    return f" {row['note']}" if row["note"] else ""
