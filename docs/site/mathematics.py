"""Docstrings as pages: reST formulas become MathML, which browsers set by themselves; the rest becomes Markdown.

Our docstrings are prose with two marks of reStructuredText, `.. math::` and the role `:math:`. Nothing is fetched to
show them: `latex2mathml` translates when the site is built. What else Markdown would take for its own (brackets, stars
between letters, less-than signs) is escaped, except inside backticks and indented blocks.
"""

from __future__ import annotations

import re
from typing import Any

import griffe
from latex2mathml.converter import convert

BLOCK = re.compile(
    r"^\.\. math::[ ]*(?P<first>[^\n]*)\n?(?P<rest>(?:[ ]+\S[^\n]*(?:\n|$)|\n(?=[ ]{4}))*)", re.MULTILINE
)
INLINE = re.compile(r":math:`(?P<latex>[^`]*)`")
LITERAL = re.compile(r"(`[^`]*`|^(?:[ ]{4,})\S.*$)", re.MULTILINE)
BARE_LIST = re.compile(r"^(?P<before>(?![-\s]).*\S)\n(?=- )", re.MULTILINE)
# Inside an inline element Markdown still reads the text between the tags.
MARKS = str.maketrans({mark: f"&#{ord(mark)};" for mark in "*_[]`\\"})


class Mathematics(griffe.Extension):
    """A griffe extension: every docstring that is loaded passes through `markdown`."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring as Markdown: formulas as MathML, Markdown's own marks escaped, lists set off by a blank line."""
    formulas: list[str] = []

    def kept(html: str) -> str:
        formulas.append(html)
        return f"\0{len(formulas) - 1}\0"

    text = BLOCK.sub(lambda found: "\n" + kept(block(found["first"] + " " + found["rest"])) + "\n\n", text)
    text = INLINE.sub(lambda found: kept(inline(found["latex"])), text)
    parts = LITERAL.split(text)
    text = "".join(part if odd % 2 else escaped(part) for odd, part in enumerate(parts))
    text = BARE_LIST.sub(r"\g<before>\n\n", text)
    return re.sub("\0(\\d+)\0", lambda found: formulas[int(found[1])], text)


def block(latex: str) -> str:
    """A displayed formula, a row for each part between wide spaces, with a div around it that Markdown leaves alone."""
    rows = (convert(row, display="block") for row in rows_of(" ".join(latex.split())))
    return f'<div class="formula">{"".join(rows)}</div>'


def rows_of(latex: str) -> list[str]:
    """The parts of a formula between its \\qquad; one row where a cut would go through brackets."""
    rows = [row.strip() for row in latex.split(r"\qquad") if row.strip()]
    whole = all(row.count("{") == row.count("}") and row.count("(") == row.count(")") for row in rows)
    return rows if whole else [latex]


def inline(latex: str) -> str:
    """A formula within a line; the span keeps it within its paragraph."""
    return f"<span>{convert(latex).translate(MARKS)}</span>"


def escaped(prose: str) -> str:
    """Prose with what Markdown would read as links, tags or emphasis made literal; *words* stay emphasised."""
    prose = prose.replace("<", "&lt;").replace("[", r"\[")
    return re.sub(r"(?<=[\w)\]])\*+(?=[\w(])", lambda found: r"\*" * len(found[0]), prose)
