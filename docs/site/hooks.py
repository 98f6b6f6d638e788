"""What MkDocs does beyond its configuration: reference pages, one a module, and links that leave docs/.

The pages in docs/ are read in the repository too, where `../CONTRIBUTING.md` is a link. On the site CONTRIBUTING is a
page of its own, a module leads to its reference, and other files of the repository are named without a link.
`mutants.md` is written by `make mutants`; until then a line stands in its place.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
WINGS = ("theory", "exact", "claims", "judge")
CONTRIBUTING = "contributing.md"
WRITTEN_LATER = {
    "mutants.md": "# What the ledger notices\n\nNot measured in this copy: `make mutants` writes this page.\n"
}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<to>[^)#\s]+)(?P<anchor>#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation of mkdocs.yml, and under Reference a page a module."""
    config.nav = [*(config.nav or []), {"Reference": [{wing: pages(wing)} for wing in WINGS]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The generated pages: CONTRIBUTING, what is not written yet, and one of the reference for each module."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files.append(File.generated(config, CONTRIBUTING, content=contributing))
    for name, content in WRITTEN_LATER.items():
        if not (ROOT / "docs" / name).is_file():
            files.append(File.generated(config, name, content=content))
    for wing in WINGS:
        for module in modules(wing):
            content = f"# {module.removeprefix('reproflow.')}\n\n::: {module}\n"
            files.append(File.generated(config, uri(module), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **kwargs: Any) -> str:
    """Links out of docs/ as the site has them."""
    return LINK.sub(lambda found: redirected(found, page.file.src_uri), markdown)


def redirected(found: re.Match[str], source: str) -> str:
    """A link of the repository as one of the site; its words alone where the site has no such page."""
    if "://" in found["to"]:
        return found[0]
    home = ROOT if source == CONTRIBUTING else (ROOT / "docs" / source).parent
    address = address_of(home.joinpath(found["to"]).resolve().relative_to(ROOT))
    if address is None:
        return found["text"]
    return f"[{found['text']}]({os.path.relpath(address, Path(source).parent)}{found['anchor'] or ''})"


def address_of(file: Path) -> str | None:
    """The source of the site's page for a file of the repository, None where there is none."""
    parts = file.with_suffix("").parts
    if parts[0] == "docs":
        return file.relative_to("docs").as_posix()
    if parts[0] == "reproflow" and parts[1:2] and parts[1] in WINGS:
        return uri(".".join(parts))
    return CONTRIBUTING if file.name == "CONTRIBUTING.md" else None


def modules(wing: str) -> list[str]:
    """The modules of a wing, packages by their own name, in the order of their paths."""
    files = sorted((ROOT / "reproflow" / wing).rglob("*.py"))
    names = (file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for file in files)
    return [name.removesuffix(".__init__") for name in names]


def pages(wing: str) -> list[dict[str, str]]:
    return [
        {module.removeprefix(f"reproflow.{wing}.").removeprefix("reproflow."): uri(module)} for module in modules(wing)
    ]


def uri(module: str) -> str:
    return "reference/" + module.removeprefix("reproflow.").replace(".", "/") + ".md"
