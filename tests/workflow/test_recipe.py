"""The recipe of docs/regression.md, followed word for word in a repository of somebody else's."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from repository import ROOT

PAGE = (ROOT / "docs/regression.md").read_text().partition("# A recipe for your own repository")[2]
FINE = {"equal within the margin", "better", "not worse by more than the margin", "not separated"}
ACTIONS = ROOT / "docs/recipes/regression.yml"


def blocks(language: str) -> list[str]:
    """The page's code blocks of a language, without their indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.M | re.S)
    return ["\n".join(line.removeprefix("   ") for line in block.splitlines()) + "\n" for block in found]


class Repository:
    """A git repository with the recipe's files; commands run in it as its owner would run them."""

    def __init__(self, folder: Path, summary: Path) -> None:
        self.folder, self.summary = folder, summary
        self.environment: dict[str, str] = {}
        (code,), (config,) = blocks("python"), blocks("yaml")
        (folder / "configs").mkdir()
        (folder / "my_weighting.py").write_text(code)
        (folder / "configs/mine.yaml").write_text(config)
        (folder / ".gitignore").write_text("results/*\n!results/baselines/\n.snakemake/\nbuild/\n__pycache__/\n")
        for command in ("git init -q", "git add -A", "git commit -qm start"):
            assert self.run(command).returncode == 0

    def cloned(self, folder: Path, environment: dict[str, str]) -> Repository:
        """A clone of it elsewhere, with this environment besides."""
        assert self.run(f"git clone -q . '{folder}'").returncode == 0
        other = copy.copy(self)
        other.folder, other.environment = folder, environment
        return other

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(command.replace("PATH/TO/reproflow", str(ROOT)).replace(".reproflow", str(ROOT)))
        words = [os.path.expandvars(word.replace("$GITHUB_STEP_SUMMARY", str(self.summary))) for word in words]
        identity = {f"GIT_{who}_{what}": "a@b.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **identity, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment |= {"PYTHONPATH": str(ROOT), **self.environment}
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900, check=False
        )


def commands(step: str) -> str:
    """The command of a named step of the GitHub Actions file."""
    steps = yaml.safe_load(ACTIONS.read_text())["jobs"]["compare"]["steps"]
    (found,) = [each["run"] for each in steps if each.get("name") == step]
    return found


@pytest.mark.slow
def test_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    repository = Repository(tmp_path / "home", tmp_path / "summary.md")
    (console,) = blocks("console")
    for line in console.splitlines():
        for command in line.removeprefix("$ ").split(" && "):
            answer = repository.run(command)
            assert answer.returncode == 0, command + answer.stdout + answer.stderr
    assert (tmp_path / "home/results/baselines/mine.csv").is_file()

    # A pull request that changes nothing.
    judged = repository.run(commands("Judge the weighting"))
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert repository.run(commands("Run")).returncode == 0
    assert repository.run(commands("Compare with the baseline")).returncode == 0
    assert "no regression" in repository.summary.read_text()

    # Another clone, other threads, and another processor as far as it can be had: vector instructions, last digits.
    below = {"avx512": "avx2", "avx2": "default"}.get(torch.backends.cpu.get_cpu_capability().lower())
    if below:
        features = {"ATEN_CPU_CAPABILITY": below, "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "2"}
        other = repository.cloned(tmp_path / "another clone", features)
        assert other.run(commands("Run")).returncode == 0
        compared = other.run(commands("Compare with the baseline") + " --json other.json")
        found = json.loads((other.folder / "other.json").read_text())
        assert compared.returncode == found["exit_code"] == 0
        assert found["incomparable"] == []
        assert {row["verdict"] for row in found["rows"]} != {"untouched"}, "no digit changed: nothing was tried"

    # One that breaks the weighting: nearly all of it lies where only noise is seen.
    file = tmp_path / "home/my_weighting.py"
    file.write_text(file.read_text().replace("torch.sigmoid(-lam)", "torch.exp(-3 * lam).clamp(max=1e4)"))
    ran = repository.run(commands("Run"))
    assert ran.returncode == 0, ran.stderr
    compared = repository.run(commands("Compare with the baseline") + " --json found.json")
    found = json.loads((tmp_path / "home/found.json").read_text())
    assert compared.returncode == found["exit_code"] == 4
    single = [row for row in found["rows"] if row["cells"] == 1]
    assert [row["what"].split()[4] for row in single if row["verdict"] == "worse"] == ["mine"]
    assert {row["verdict"] for row in single if "mine" not in row["what"]} <= {"untouched"} | FINE
    assert "REGRESSION" in repository.summary.read_text()

    # The whole workflow keeps the evidence and fails at the gate.
    whole = repository.run(f"snakemake --snakefile {ROOT}/Snakefile --cores 2 --configfile configs/mine.yaml")
    assert whole.returncode == 1
    assert "worse than its baseline" in whole.stdout + whole.stderr
    results = tmp_path / "home/results/mine"
    assert json.loads((results / "regression.json").read_text())["exit_code"] == 4
    assert "Regression</h2>" in (results / "report.html").read_text()


def test_the_actions_file_runs_what_the_page_says() -> None:
    """The steps that the slow test runs are there, in that order, with the page's names of files."""
    steps = [each.get("name") for each in yaml.safe_load(ACTIONS.read_text())["jobs"]["compare"]["steps"]]
    wanted = ["Install", "Judge the weighting", "Run", "Compare with the baseline"]
    assert [name for name in steps if name in wanted] == wanted
    assert "my_weighting.py:weight" in commands("Judge the weighting")
    assert "configs/mine.yaml" in commands("Run")
    assert commands("Compare with the baseline").startswith("reproflow baseline compare mine --markdown")
