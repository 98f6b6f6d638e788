"""One self-contained page about a results folder: ledger, comparison, figures, cells and provenance in `report.html`.

Everything is inline, and the page asks for nothing from elsewhere. What is missing is said to be missing.
"""

from __future__ import annotations

import base64
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from reproflow.foundation.errors import ReproflowError
from reproflow.foundation.files import write_text
from reproflow.reporting.comparison import COMPARISON_COLUMNS, GROUP, METRICS, comparison_table
from reproflow.reporting.results import Missing, Results, load_results, records
from reproflow.reporting.summary import finding, summarise
from reproflow.reporting.tables import COMPARISON_NOTE, HEADINGS, claims_table, interval, number, p_text, text

TEMPLATES = Path(__file__).parent / "templates"
FIGURES = {
    "fid_likelihood": "Sample quality against likelihood",
    "weightings": "The weightings in canonical form",
    "losses": "Training",
    "samples_masked": "Samples: masked process",
    "samples_gaussian": "Samples: Gaussian process",
    "samples_plane": "Samples in the plane",
    "paths_fields": "Paths and velocity fields",
}
PROVENANCE = ("command", "config_name", "git_commit", "dirty", "versions", "platform", "cpu", "fingerprint")
IDENTITY = ("dataset", "process", "path", "time", "weighting", "target", "seed", "steps")
SETTINGS = ("path", "time", "target", "steps")  # said once where all cells share them
LARGEST_SVG = 400_000  # bytes; a larger figure goes in as its PNG


def write_report(results: str | Path) -> Path:
    """Writes `report.html` from whatever the results folder holds and returns its path."""
    read = load_results(results)
    target = read.folder / "report.html"
    write_text(target, _environment().get_template("report.html.j2").render(_content(read)))
    return target


def _content(read: Results) -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    missing = list(read.missing)
    claims, comparison, cells = claims_table(read.claims), _comparison(read, missing), read.cells
    same = {key: cells[key].iloc[0] for key in SETTINGS if cells[key].nunique(dropna=False) == 1}
    return {
        "name": read.provenance.get("config_name") or read.folder.name,
        "summary": summarise(read, claims),
        "claims": records(claims),
        "blocks": _blocks(comparison),
        "note": COMPARISON_NOTE,
        "figures": [
            _figure(read.folder, name, title, missing) | {"command": figure_command(read.provenance, name)}
            for name, title in FIGURES.items()
        ],
        "cells": records(cells),
        "same": same,
        "identity": [key for key in IDENTITY if key not in same],
        "metrics": [metric for metric in METRICS if cells[metric].notna().any()],
        "headings": HEADINGS,
        "has_provenance": bool(read.provenance),
        "provenance": dict.fromkeys(PROVENANCE, "") | read.provenance,
        "config": json.dumps(read.config, indent=1, sort_keys=True) if read.config else "",
        "seconds": float(read.timings["seconds"].sum()) if "seconds" in read.timings else None,
        "missing": missing,
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters.update(number=number, text=text, p_text=p_text, interval=interval, sortable=_sortable)
    return environment


def _sortable(value: Any) -> str:
    """What the page's script sorts by: all digits of a number, nothing for a missing one, else the text."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.17g}"
    return str(value)


def _comparison(read: Results, missing: list[Missing]) -> pd.DataFrame:
    try:
        return comparison_table(read.cells)
    except ReproflowError as error:
        missing.append(Missing("comparison of weightings", str(error)))
        return pd.DataFrame(columns=COMPARISON_COLUMNS)


def _blocks(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """One table a group: its weightings in order, for each the row of every metric, and a sentence a metric."""
    blocks = []
    for key, rows in comparison.groupby(GROUP, sort=True):
        metrics = {metric: rows[rows["metric"] == metric] for metric in METRICS if (rows["metric"] == metric).any()}
        blocks.append({
            **dict(zip(GROUP, key, strict=True)), "metrics": list(metrics),
            "rows": {w: own.set_index("metric").to_dict("index") for w, own in rows.groupby("weighting", sort=False)},
            "references": {metric: own["reference"].iloc[0] for metric, own in metrics.items()},
            "findings": {metric: finding(records(own)) for metric, own in metrics.items()},
        })  # fmt: skip
    return blocks


def _figure(folder: Path, name: str, title: str, missing: list[Missing]) -> dict[str, Any]:
    """A figure for the page: inline SVG, or its PNG where the SVG is large; `image` is empty where there is neither."""
    svg, png = (folder / "figures" / f"{name}.{suffix}" for suffix in ("svg", "png"))
    figure = {"name": name, "title": title, "image": "", "caption": ""}
    try:
        source = svg.read_text(encoding="utf-8")
        root = ElementTree.fromstring(source)
        figure["caption"] = next((each.text or "" for each in root.iter() if each.tag.endswith("}description")), "")
        if len(source.encode()) <= LARGEST_SVG:
            return figure | {"image": inline_svg(source, name, title)}
        picture = base64.b64encode(png.read_bytes()).decode()
        return figure | {"image": f'<img alt="{title}" src="data:image/png;base64,{picture}">'}
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        why = "not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        missing.append(Missing(f"figures/{name}", why))
        return figure


def figure_command(provenance: dict[str, Any], name: str) -> str:
    """The command that makes this figure from the results; the recorded one where that names no configuration file."""
    command = str(provenance.get("command", ""))
    config = re.search(r"--configfile (\S+)", command)
    return f"reproflow figures --config {config[1]} {name}" if config else command


def inline_svg(source: str, prefix: str, title: str) -> str:
    """An SVG file as an element of a page: no prologue or metadata, ids made unique by `prefix`, width left to CSS."""
    element = source[source.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    # Matplotlib names an image by its content, so one drawn twice has its id twice; nothing refers to it.
    element = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", element)
    element = re.sub(r'\bid="', f'id="{prefix}-', element)
    element = re.sub(r'href="#', f'href="#{prefix}-', element)
    element = element.replace("url(#", f"url(#{prefix}-")
    head, rest = element.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{title}">{rest}'
