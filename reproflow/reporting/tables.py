"""Tables: cells, claims ledger, comparisons, equal objectives, rankings and FID, each as CSV, Markdown and LaTeX.

The CSV holds every digit; Markdown and LaTeX are rounded for reading. Rows are sorted, and the same results give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from reproflow.analysis import bound_cascade
from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.comparison import AXES, comparison_table
from reproflow.analysis.fid_table import FID_NOTE, fid_table, head, show_fid
from reproflow.analysis.formatting import DASH, HEADINGS, axis_word, interval, number, p_text, text, with_error
from reproflow.analysis.ranking import RANKING_NOTE, ranked_bold, ranking_table, show_ranking, spoken
from reproflow.analysis.results import UNPLACED, Results, load_results, records, write_frame
from reproflow.analysis.trained_equivalence import NOTE, equivalence_table, show_equivalence
from reproflow.foundation import measures
from reproflow.foundation.files import write_json, write_text
from reproflow.numerics.relabelling import FEWEST_PAIRS

IDENTITY = ["dataset", "process", "path", "time", "target", "steps"]
COMPARISON_NOTE = (
    "Lower is better in every metric. A block compares the values of one noun (Compared) while data set, process, the "
    "other nouns, steps and settings are the same. Difference: paired over seeds, value minus reference; interval and "
    "p: simultaneous at 95 % over the block, which is one metric, by sign flips of whole seeds; where a difference is "
    "rejected the interval ends at zero on its side. Not separated: neither a difference nor its absence is shown; "
    f"detectable: what would be found with power 0.8. {DASH}: fewer than {FEWEST_PAIRS} pairs, so no interval. "
    "Bold: the lowest mean, where it is separated from every other value of the block. Another time law or path is "
    "another objective too, unless the weighting is canonical (see the equal objectives)."
)


def write_tables(results: str | Path) -> list[Path]:
    """Writes `tables/<name>.{csv,md,tex}` of a results folder for every table, and returns these paths.

    The page and `Results.table` read them. `unplaced.json` lists the objectives that the table of equal ones leaves
    out.
    """
    read = load_results(results)
    folder = read.folder / "tables"
    cells, claims, comparison = read.contract_cells, claims_table(read.claims), comparison_table(read.cells)
    broken = _note(read, "cells.csv")
    written = write_table(cells, folder, "cells", show_cells(cells), broken)
    written += write_table(claims, folder, "claims", show_claims(claims), _note(read, "claims.csv"))
    shown, note = show_comparison(comparison), _joined(COMPARISON_NOTE, broken)
    bold = [{axis_word(row["axis"]).capitalize(), "Mean"} if row["best"] else set() for row in records(comparison)]
    written += write_table(comparison, folder, "comparison", shown, note, bold)
    unplaced: list[str] = []
    equal = equivalence_table(read, unplaced)
    write_json(folder / UNPLACED, unplaced)
    note = _joined(NOTE, f"Not placed: {'; '.join(unplaced)}." if unplaced else "", broken)
    written += write_table(equal, folder, "equivalence", show_equivalence(equal), note)
    bounds, why = read.cascade
    note = _joined(bound_cascade.NOTE, f"Missing: {why}." if why else "")
    written += write_table(bounds.drop(columns="level"), folder, "cascade", bound_cascade.shown(bounds), note)
    return written + _rankings(read, folder, broken)


def _rankings(read: Results, folder: Path, broken: str) -> list[Path]:
    """The tables of papers: `ranking`, and `fid_by_weighting`, whose head goes into the caption of its LaTeX."""
    ranking = ranking_table(read.cells)
    note = _joined(RANKING_NOTE, broken)
    written = write_table(ranking, folder, "ranking", show_ranking(ranking), note, ranked_bold(ranking))
    fid = fid_table(read, ranking)
    shown, bold = show_fid(fid)
    return written + write_table(fid, folder, "fid_by_weighting", shown, _joined(FID_NOTE, broken), bold, head(fid))


def show_comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparison as text for reading; coupling, divergence and setup stand there only where they vary."""
    varied = [key for key in ("coupling", "divergence", "setup") if frame[key].nunique() > 1]
    rare = {"coupling", "divergence", "setup"} - set(varied)
    keys = [key for key in ("dataset", "process", *AXES, "steps", "setup") if key not in rare]
    rows = []
    for row in records(frame):
        heading, decimals = HEADINGS[row["metric"]]
        rows.append({
            "Compared": axis_word(row["axis"]), **{axis_word(key).capitalize(): text(row[key]) for key in keys},
            "Metric": heading, "n": text(row["n"]), "Not ok": text(row["not_ok"]),
            "Mean": number(row["mean"], decimals), "Difference": with_error(row, decimals),
            "95 % interval": interval(row, decimals), "p": p_text(row["p_adjusted"]),
            "Detectable": number(row["detectable"], decimals), "Verdict": spoken(row),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else ["Compared", "Dataset", "Weighting", "Verdict"])


def show_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells as text for reading: identity, status, and each metric with its standard error."""
    shown = pd.DataFrame({key.capitalize(): frame[key].map(text) for key in [*IDENTITY, "weighting", "seed", "status"]})
    for metric in measures.compared(frame.columns):
        heading, decimals = HEADINGS[metric]
        pairs = zip(frame[metric], frame[f"{metric}_se"], strict=True)
        shown[heading] = [
            number(value, decimals) + ("" if se != se else f" ± {number(se, decimals)}") for value, se in pairs
        ]
    return shown.assign(Reason=frame["reason"].map(text))


def show_claims(frame: pd.DataFrame) -> pd.DataFrame:
    """The ledger as text for reading."""
    keys = ["id", "title", "kind", "tier", "case", "verdict", "expected", "statistic", "tolerance", "n"]
    shown = pd.DataFrame({key.capitalize(): frame[key].map(text) for key in keys})
    return shown.assign(Control=frame["control_verdict"].map(text))


def write_table(
    frame: pd.DataFrame,
    folder: Path,
    name: str,
    shown: pd.DataFrame,
    note: str = "",
    bold: Sequence[set[str]] = (),
    above: str = "",
) -> list[Path]:
    """Writes `name.csv` (full precision), and `shown` as `name.md` and `name.tex` (booktabs) with `note` below.

    `bold` names for each row the columns that stand in bold. `above` is a line over the table; with it the LaTeX is a
    table with a caption, which also holds the note, instead of a bare tabular.
    """
    paths = [folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex")]
    markdown = _dressed(shown, bold, _markdown, "**{}**").to_markdown(index=False, disable_numparse=True)
    caption = _latex(_joined(above, note)) if above else None
    latex = _dressed(shown, bold, _latex, r"\textbf{{{}}}").to_latex(index=False, escape=False, caption=caption)
    write_frame(frame, paths[0])
    write_text(paths[1], (f"{above}\n\n" if above else "") + f"{markdown}\n" + (f"\n{note}\n" if note else ""))
    write_text(paths[2], latex + (f"% {note}\n" if note and not above else ""))
    return paths


def _dressed(shown: pd.DataFrame, bold: Sequence[set[str]], escape: Callable[[str], str], strong: str) -> pd.DataFrame:
    dressed = shown.map(escape).astype("object")
    for position, columns in enumerate(bold):
        for place in (list(shown.columns).index(column) for column in sorted(columns)):
            dressed.iat[position, place] = strong.format(dressed.iat[position, place])
    return dressed.rename(columns=escape)


def _markdown(value: str) -> str:
    return value.replace("|", r"\|").replace("\n", " ")


_LATEX = {"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
          "–": "--", "−": "$-$", "±": r"$\pm$"}  # fmt: skip


def _latex(value: str) -> str:
    return "".join(_LATEX.get(character, character) for character in value)


def _note(read: Results, *files: str) -> str:
    why = read.why_missing(*files)
    return f"Missing: {why}." if why else ""


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
