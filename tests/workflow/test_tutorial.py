"""docs/tutorial.md, followed word for word: inside this process, and from a wheel that is built and installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from pages import Inside, Shell, Step, missing, section, steps
from repository import ROOT
from workflow_clone import listed_files

from reproflow.foundation import child_process

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
PARTS = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
INSTALL, *AFTER = PARTS


def follow(shell: Inside | Shell, todo: list[Step]) -> None:
    for step in todo:
        heard = shell.run(step)
        lacks = missing(step.said, heard)
        assert not lacks, f"$ {step.command}\nlacks {lacks!r}, says\n{heard}"


def test_the_page_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(child_process, "inside", lambda: True)
    todo = steps(section(PAGE, *AFTER))
    assert sum(step.command.startswith("reproflow check") for step in todo) == 5
    follow(Inside(capsys), todo)
    assert {path.name for path in tmp_path.iterdir()} >= {"mine.py", "before.json", "after.json", "sound.txt"}


@pytest.mark.parametrize(
    ("said", "heard", "lacks"),
    [
        ("a b ... d", "a  b\nc d e", ""),
        ("... d", "a d", ""),
        ("d", "a d", "d"),
        ("a ... x ... d", "a d", "x"),
        ("a ... d ... b", "a b d", "b"),
        ("", "whatever", ""),
    ],
)
def test_the_comparison_of_words_can_fail(said: str, heard: str, lacks: str) -> None:
    assert missing(said, heard) == lacks


def clone(folder: Path) -> Path:
    """A clone's files as they stand, those not committed yet included."""
    for name in listed_files():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def wheel(source: Path, folder: Path) -> Path:
    """A wheel of the package, built without a network by the setuptools that is here."""
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def clean_environment(home: Path) -> dict[str, str]:
    """No variable that leads back to the clone or to this environment; torch's libraries stay where they are."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "REPROFLOW", "VIRTUAL_"))
    }
    return kept | {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "COLUMNS": "80"}


@pytest.mark.slow
def test_from_a_wheel_outside_the_clone_offline(tmp_path: Path) -> None:
    """The page after its installation, in a fresh venv that sees this one's libraries but not its reproflow."""
    made = tmp_path / "wheel"
    made.mkdir()
    built = wheel(clone(tmp_path / "reproflow"), made)
    assert {"reproflow/foundation/names.json", "reproflow/judge/objectives/judgement.py"} <= set(
        zipfile.ZipFile(built).namelist()
    )
    home = tmp_path / "sound"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    libraries = Path(sysconfig.get_path("purelib"))
    own = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (own / "libraries.pth").write_text(f"{libraries}\n")
    pip = [str(home / "bin" / "pip"), "install", "--no-index", "--no-deps", "--ignore-installed", str(built)]
    subprocess.run(pip, check=True, capture_output=True)
    shutil.rmtree(tmp_path / "reproflow")
    (tmp_path / "idea").mkdir()
    # A proxy that refuses everything: what asks for the network fails instead of passing unseen.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    with Shell(tmp_path / "idea", clean_environment(tmp_path) | nowhere) as shell:
        shell.run(Step(f"export PATH={home / 'bin'}:$PATH"))
        where = shell.run(Step("python -c 'import reproflow; print(reproflow.__file__)'"))
        assert where.strip() == str(own / "reproflow" / "__init__.py")
        follow(shell, steps(section(PAGE, *AFTER)))


@pytest.mark.slow
@pytest.mark.network
def test_word_for_word_from_a_fresh_clone(tmp_path: Path) -> None:
    """The whole page, pip's downloads included."""
    clone(tmp_path / "reproflow")
    with Shell(tmp_path, clean_environment(tmp_path)) as shell:
        follow(shell, steps(section(PAGE, INSTALL, *AFTER)))
        assert shell.run(Step("command -v reproflow")).strip() == str(tmp_path / "sound/bin/reproflow")
        assert shell.run(Step("pwd")).strip() == str(tmp_path / "idea")
