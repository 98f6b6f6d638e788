"""One self-contained page about a results folder: ledger, comparisons, figures, cells and provenance in `report.html`.

Everything is inline, and the page asks for nothing from elsewhere. What is missing is said to be missing.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

import jinja2

from reproflow.analysis import bound_cascade as bounds
from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.formatting import HEADINGS, axis_word, interval, number, p_text, plural, text
from reproflow.analysis.results import Results, load_results, records
from reproflow.analysis.summary import summarise
from reproflow.analysis.trained_equivalence import WHY, spoken
from reproflow.foundation.files import write_text
from reproflow.reporting import published_objectives, sections
from reproflow.reporting.claim_evidence import SOURCES, STATUSES, axis, groups
from reproflow.reporting.columns import alike
from reproflow.reporting.figures import listed
from reproflow.reporting.inline_figures import figure, figure_command
from reproflow.reporting.tables import COMPARISON_NOTE

TEMPLATES = Path(__file__).parent / "templates"
FIGURES = {each.name: each.facts["title"] for each in listed()}
PROVENANCE = (
    *("command", "config_name", "reproflow", "git_commit", "dirty", "git_unknown", "versions", "platform", "cpu"),
    "fingerprint",
)


def write_report(results: str | Path) -> Path:
    """Writes `report.html` from whatever the results folder holds, its tables included, and returns its path."""
    read = load_results(results)
    target = read.folder / "report.html"
    write_text(target, environment().get_template("report.html.j2").render(_content(read)))
    return target


def _content(read: Results) -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    missing = list(read.missing)
    claims = claims_table(read.claims)
    ledger = groups(records(claims), read.folder)
    return {
        "name": read.provenance.get("config_name") or read.folder.name,
        "summary": summarise(read, claims),
        "claims": ledger,
        "claims_same": alike(ledger, ("kind", "tier")),
        "sources": SOURCES.values(),
        "statuses": STATUSES,
        "axis": axis(),
        "comparisons": sections.comparisons(read, missing),
        "note": COMPARISON_NOTE,
        "equal": sections.equal_objectives(read, missing),
        "merged": read.merged,
        "ranking": sections.ranking(read, missing),
        "regression": sections.regression(read.folder),
        "cascade": sections.cascade(read),
        "cascade_note": bounds.NOTE,
        "why": WHY,
        "figures": [
            figure(read.folder, name, title, missing) | {"command": figure_command(read.provenance, name)}
            for name, title in FIGURES.items()
        ],
        "cells": sections.cells(read.cells),
        "headings": HEADINGS,
        "field": published_objectives.section(missing),
        "has_provenance": bool(read.provenance),
        "provenance": dict.fromkeys(PROVENANCE, "") | read.provenance,
        "config": json.dumps(read.config, indent=1, sort_keys=True) if read.config else "",
        "missing": missing,
    }


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of this folder with their filters; names that are not given are errors."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    found.filters.update(number=number, text=text, p_text=p_text, interval=interval, sortable=_sortable)
    found.filters.update(axis_word=axis_word, plural=plural, spoken=spoken)
    return found


def _sortable(value: Any) -> str:
    """What the page's script sorts by: all digits of a number, nothing for a missing one, else the text."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.17g}"
    return str(value)
