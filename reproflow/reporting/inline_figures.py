"""Figures on the page: inline SVG, or the PNG where the SVG is large, each with its caption and the command of it."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from reproflow.analysis.reading import Missing

LARGEST_SVG = 600_000  # bytes; a larger figure goes in as its PNG


def figure(folder: Path, name: str, title: str, missing: list[Missing]) -> dict[str, Any]:
    """A figure for the page: inline SVG, or its PNG where the SVG is large; `image` is empty where there is neither."""
    svg, png = (folder / "figures" / f"{name}.{suffix}" for suffix in ("svg", "png"))
    plate = {"name": name, "title": title, "image": "", "caption": ""}
    try:
        source = svg.read_text(encoding="utf-8")
        root = ElementTree.fromstring(source)
        plate["caption"] = next((each.text or "" for each in root.iter() if each.tag.endswith("}description")), "")
        if len(source.encode()) <= LARGEST_SVG:
            return plate | {"image": inline_svg(source, name, title)}
        picture = base64.b64encode(png.read_bytes()).decode()
        return plate | {"image": f'<img alt="{title}" src="data:image/png;base64,{picture}">'}
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        why = "not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        missing.append(Missing(f"figures/{name}", why))
        return plate


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
