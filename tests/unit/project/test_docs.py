"""The documentation: links resolve, the navigation is complete, commands exist, examples run, the site stands alone."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer
import yaml
from repository import ROOT

from reproflow import cli

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
READ = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
CONCEPTS = sorted((DOCS / "concepts").glob("*.md"))
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
SPOKEN = re.compile(r"(?:^ {4}|^\$ |`|\")(?:\.venv/bin/)?(reproflow [a-z][^`\n]*)", re.MULTILINE)
WRAPPED = re.compile(r"(?<!`)`(?!`)[^`]*`(?!`)")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", READ, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        to, _, anchor = link.partition("#")
        if "://" in link or to.endswith("mutants.md"):  # which `make mutants` writes
            continue
        target = (page.parent / to).resolve() if to else page
        assert target.exists(), f"{name(page)}: {link}"
        assert not anchor or anchor in anchors(target.read_text()), f"{name(page)}: {link}"


def places(entry: object) -> list[str]:
    """The pages below an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    below = entry.values() if isinstance(entry, dict) else entry
    return [page for each in below for page in places(each)]  # type: ignore[union-attr]


def test_every_page_is_in_the_navigation_once() -> None:
    listed = places(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert len(listed) == len(set(listed))
    generated = {"contributing.md", "mutants.md"}
    assert set(listed) - generated == {path.relative_to(DOCS).as_posix() for path in PAGES} - generated


def test_every_schema_is_linked() -> None:
    page = (DOCS / "schemas.md").read_text()
    for schema in DOCS.glob("schemas/*.json"):
        assert f"(schemas/{schema.name})" in page


@pytest.mark.parametrize("page", READ, ids=name)
def test_commands_and_their_options_exist(page: Path) -> None:
    text = WRAPPED.sub(lambda found: found[0].replace("\n", " "), page.read_text())
    for spoken in SPOKEN.findall(text):
        words = shlex.split(spoken.split("  #")[0].split(" > ")[0].split(" && ")[0].rstrip(".,\\"))[1:]
        found, rest = command_of(words)
        assert found is not None, f"{name(page)}: {spoken}"
        options = {option for each in found.params for option in each.opts + each.secondary_opts} | {"--help"}
        for option in (word.split("=")[0] for word in rest if re.match(r"--[a-z]", word)):
            assert option in options, f"{name(page)}: {spoken}"


def command_of(words: list[str]):
    """The command that the first words name, and the other words; None where there is none."""
    found = typer.main.get_command(cli.app)
    for at, word in enumerate(words):
        if not hasattr(found, "commands"):
            return found, words[at:]
        if word not in found.commands:
            return (found, words[at:]) if at and not re.match(r"[a-z]", word) else (None, words)
        found = found.commands[word]
    return found, []


def test_an_unknown_command_is_noticed() -> None:
    assert command_of(["check", "weigthing"])[0] is None
    assert command_of(["frobnicate"])[0] is None
    assert command_of(["check", "weighting", "x"])[1] == ["x"]


@pytest.mark.parametrize("page", CONCEPTS, ids=name)
def test_examples_of_a_concept_say_what_they_say(page: Path) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    done = doctest.testfile(str(page), module_relative=False, optionflags=flags, encoding="utf-8")
    assert done.attempted >= 4
    assert done.failed == 0


def tool(stem: str) -> ModuleType:
    """A module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(stem, DOCS / "site" / f"{stem}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_is_built_and_loads_nothing_from_elsewhere(site: Path) -> None:
    assert len(list(site.rglob("*.html"))) > 100
    assert tool("standalone").elsewhere(site) == {}


@pytest.mark.parametrize(
    ("name", "text", "address"),
    [
        ("a.html", '<a href="https://a.b/"></a><img src="c.svg"><link href="css/d.css">', None),
        ("a.html", '<script src="https://c.d/e.js"></script>', "https://c.d/e.js"),
        ("a.html", '<link rel="stylesheet" href="//f.g/h.css">', "//f.g/h.css"),
        ("a.html", '<style>p {}\n@import "http://i.j/k.css";</style>', "http://i.j/k.css"),
        ("a.html", '<p style="background: url(HTTPS://l.m/n.png)">', "HTTPS://l.m/n.png"),
        ("a.css", "@font-face {src: url('../fonts/o.woff2'), url( \"https://p.q/r.woff\")}", "https://p.q/r.woff"),
        ("a.css", "p {background: url(data:image/png;base64,AA//BB)}", None),
    ],
)
def test_what_a_page_fetches_is_found(tmp_path: Path, name: str, text: str, address: str | None) -> None:
    (tmp_path / name).write_text(text)
    assert tool("standalone").elsewhere(tmp_path) == ({name: address} if address else {})


@pytest.mark.slow
def test_the_reference_has_every_module_and_no_raw_formula(site: Path) -> None:
    for wing in ("theory", "exact", "claims", "judge"):
        for module in (ROOT / "reproflow" / wing).rglob("*.py"):
            address = module.relative_to(ROOT / "reproflow").with_suffix("").as_posix().removesuffix("/__init__")
            page = (site / "reference" / f"{address}.html").read_text()
            shown = re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)
            assert ".. math::" not in shown, address
            assert ":math:" not in shown, address
            assert 'class="doc doc-object doc-module"' in shown
            says = ast.get_docstring(ast.parse(module.read_text())) or ""
            assert "<math" in shown or "math::" not in says, address


@pytest.mark.slow
def test_schemas_are_on_the_site(site: Path) -> None:
    for schema in DOCS.glob("schemas/*.json"):
        assert (site / "schemas" / schema.name).read_bytes() == schema.read_bytes()


@pytest.mark.parametrize(
    ("docstring", "has"),
    [
        (
            "A.\n\n.. math:: a_1 = b\n          + c\n\nB.",
            ["<msub><mi>a</mi><mn>1</mn></msub>", "<mo>&#x0002B;</mo><mi>c</mi>", "\nB."],
        ),
        ("A.\n\n.. math::\n    a = \\frac{1}{2}\n\nB.", ["<mfrac>", "</div>\n", "B."]),
        ("A.\n\n.. math:: a = b, \\qquad c = d\n", ['display="block"><mrow><mi>a', 'display="block"><mrow><mi>c']),
        ("The law :math:`x^* a\\_b` of x.", ["<span><math", "a", "&#x0002A;", "</span> of x."]),
        ("a*b*c, p[i](x), l(a) < b", [r"a\*b\*c", r"p\[i](x)", "&lt; b"]),
        ("`a*b < c[0]` stays", ["`a*b < c[0]` stays"]),
        ("The *mean* of x:\n- one\n- two", ["*mean*", "x:\n\n- one\n- two"]),
    ],
)
def test_docstrings_become_pages(docstring: str, has: list[str]) -> None:
    made = tool("mathematics").markdown(docstring)
    for each in has:
        assert each in made
    assert "math::" not in made
