"""An audit as one self-contained page: findings, what was read, a figure of w, the draws, and the whole answer."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from reproflow.cli import audit_words
from reproflow.foundation.files import write_text
from reproflow.reporting.figures import audit as figures
from reproflow.reporting.figures import style
from reproflow.reporting.html import environment
from reproflow.reporting.inline_figures import inline_svg

if TYPE_CHECKING:
    from reproflow.auditing.audit import Audit

PAGE = "audit.html.j2"


def write(found: Audit, target: Path) -> None:
    """Writes the page; the file is whole or not there."""
    with style.styled():
        figure, caption = figures.draw(found.identification)
        picture = inline_svg(style.as_svg(figure), "audit", caption)
    content = {
        "name": found.name,
        "summary": audit_words.summary(found),
        "findings": [(audit_words.standing(found, each), each) for each in found.findings],
        "parts": audit_words.parts(found),
        "draws": audit_words.draws(found),
        "code": found.exit_code,
        "says": audit_words.CALLS[found.exit_code],
        "figure": picture,
        "caption": caption,
        "answer": json.dumps(found.as_dict(), indent=1),
        "version": metadata.version("reproflow"),
    }
    write_text(target, environment().get_template(PAGE).render(content))
