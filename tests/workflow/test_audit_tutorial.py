"""docs/audit_tutorial.md, followed word for word, and the recipe for GitHub Actions in a repository of its own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pages import Inside, missing, section, steps
from repository import ROOT

from reproflow.foundation import child_process

PAGE = (ROOT / "docs" / "audit_tutorial.md").read_text()
PARTS = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
ACTIONS = yaml.safe_load((ROOT / "docs/recipes/audit.yml").read_text())


def test_the_page_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(child_process, "inside", lambda: True)
    monkeypatch.setattr(child_process, "alive", lambda: None)
    shell, todo = Inside(capsys), steps(section(PAGE, *PARTS))
    assert sum(step.command.startswith("reproflow audit") for step in todo) == 5
    for step in todo:
        heard = shell.run(step)
        lacks = missing(step.said, heard)
        assert not lacks, f"$ {step.command}\nlacks {lacks!r}, says\n{heard}"


class Repository:
    """A git repository with the tutorial's files under the recipe's names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        loss, sample = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        mended = loss.replace("/ snr\n", "/ (snr + 1)\n")
        assert mended != loss
        self.put(f"{mended}\n\n{sample.partition('import torch')[2].strip()}\n")
        for command in ("git init -q", "git add -A", "git commit -qm start"):
            assert self.run(command).returncode == 0

    @property
    def code(self) -> str:
        return (self.folder / "audit_me.py").read_text()

    def put(self, code: str) -> None:
        (self.folder / "audit_me.py").write_text(code)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        identity = {f"GIT_{who}_{what}": "a@b.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **identity, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment |= {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            shlex.split(command),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def command(step: str) -> str:
    """The command of a named step of the recipe."""
    (found,) = [each["run"] for each in ACTIONS["jobs"]["loss"]["steps"] if each.get("name") == step]
    return found


@pytest.mark.slow
def test_the_recipe_in_a_repository_of_its_own(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    fine = repository.run(command("Audit the loss"))
    assert fine.returncode == 0, fine.stdout + fine.stderr
    kept = ACTIONS["jobs"]["loss"]["steps"][-1]["with"]["path"].split()
    assert kept == ["audit.json", "audit.html"]
    assert all((tmp_path / name).is_file() for name in kept)

    # A pull request that takes eps' divisor, and one whose sampler runs the other way.
    sound = repository.code
    repository.put(sound.replace("/ (snr + 1)", "/ snr"))
    other = repository.run(command("Audit the loss"))
    assert other.returncode == 3, other.stdout + other.stderr
    assert "not-as-stated" in other.stdout
    repository.put(sound.replace("i / steps))", "1 - i / steps))"))
    turned = repository.run(command("Audit the loss"))
    assert turned.returncode == 3, turned.stdout + turned.stderr
    assert "sampler-mismatch" in turned.stdout
    assert "not-as-stated" not in turned.stdout


def test_the_recipe_installs_before_it_audits_and_keeps_the_page_whatever_comes_out() -> None:
    names = [each.get("name") for each in ACTIONS["jobs"]["loss"]["steps"]]
    wanted = ["Install", "Audit the loss", "Keep the page"]
    assert [name for name in names if name in wanted] == wanted
    assert ACTIONS["jobs"]["loss"]["steps"][-1]["if"] == "always()"
