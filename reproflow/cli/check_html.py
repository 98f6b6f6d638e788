"""A judgement as one self-contained page: verdicts first, then figures, then everything else that was found."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from reproflow.cli import check_terminal
from reproflow.foundation.files import write_text
from reproflow.reporting.figures import judgement, style
from reproflow.reporting.html import environment
from reproflow.reporting.inline_figures import inline_svg

GOOD = ("supported", "certified")


def write(found: Any, target: Path) -> None:
    """Writes the page of a judgement of any kind; the file is whole or not there."""
    figure, caption = _figure(found)
    content = {
        "spec": found.spec,
        "about": check_terminal.about(found),
        "verdicts": [(key.replace("_", " "), value) for key, value in check_terminal.verdicts(found)],
        "good": GOOD,
        "more": check_terminal.more(found),
        "figure": figure,
        "caption": caption,
        "answer": json.dumps(found.as_dict(), indent=1),
        "version": metadata.version("reproflow"),
    }
    write_text(target, environment().get_template("judgement.html.j2").render(content))


def _figure(found: Any) -> tuple[str, str]:
    with style.styled():
        figure, caption = judgement.draw(found)
        source = style.as_svg(figure)
    return inline_svg(source, "judgement", caption), caption
