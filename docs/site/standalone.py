"""The site stands alone: a build fails if a page or a style would fetch anything from elsewhere.

A link that a reader may click is not fetched. Scripts, styles, images and fonts are, and whoever serves them learns who
reads here; offline they are missing.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

ELSEWHERE = re.compile(r"\s*([a-z][a-z+.-]*:)?//", re.IGNORECASE)
IN_STYLES = re.compile(r"""url\(\s*['"]?([^)'"\s]+)|@import\s+['"]([^'"]+)""")
FETCHED = ("src", "srcset", "data", "poster")


def on_post_build(config: MkDocsConfig) -> None:
    """Looks at what was built."""
    found = elsewhere(Path(config.site_dir))
    if found:
        file, address = next(iter(found.items()))
        raise PluginError(f"{file} fetches {address}: the site has to stand alone, so put a copy into docs/.")


def elsewhere(site: Path) -> dict[str, str]:
    """By file, the first address outside the site that it fetches."""
    found: dict[str, str] = {}
    for file in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        text = file.read_text(encoding="utf-8")
        away = filter(ELSEWHERE.match, in_page(text) if file.suffix == ".html" else in_style(text))
        found |= {str(file.relative_to(site)): address for address in [*away][:1]}
    return found


def in_page(text: str) -> list[str]:
    """What a browser fetches for a page, unasked."""
    reader = Reader()
    reader.feed(text)
    return reader.found


def in_style(text: str) -> list[str]:
    """What a style sheet, or a style attribute, fetches."""
    return [address for found in IN_STYLES.findall(text) for address in found if address]


class Reader(HTMLParser):
    """Collects the addresses that a page's tags and styles fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.style = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attributes if value}
        self.style = tag == "style"
        names = (*FETCHED, "href") if tag in {"link", "image", "use"} else FETCHED
        self.found += [given[name] for name in names if name in given]
        self.found += in_style(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self.style:
            self.found += in_style(data)
