"""CONTRIBUTING's recipe, followed word for word in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from repository import ROOT


def test_adding_a_weighting_works_as_written(tmp_path: Path, tiny_config: dict) -> None:
    shutil.copytree(ROOT / "reproflow", tmp_path / "reproflow", ignore=shutil.ignore_patterns("__pycache__"))
    recipe = re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    assert recipe is not None
    file = tmp_path / "reproflow/theory/weightings.py"
    file.write_text(file.read_text() + "\n\n" + "\n".join(line.removeprefix("   ") for line in recipe[1].splitlines()))
    tiny_config["experiments"][0]["weightings"] = ["cosh", "cosh:k=2"]
    (tmp_path / "mine.json").write_text(json.dumps(tiny_config))

    def reproflow(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-W", "ignore", "-m", "reproflow", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    before = reproflow("resolve", "--config", "mine.json")
    assert before.returncode == 2, "the control: unknown until the list is refreshed"
    assert "cosh" in before.stderr
    assert reproflow("list", "--refresh").returncode == 0
    assert reproflow("resolve", "--config", "mine.json").returncode == 0
    assert reproflow("prepare", "eight_gaussians", "--config", "mine.json").returncode == 0
    trained = reproflow("train", "--config", "mine.json", "--shard", "toy-000")
    assert trained.returncode == 0, trained.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/tiny/store/train/*/*/record.json")]
    assert [record["status"] for record in records] == ["ok", "ok"]
