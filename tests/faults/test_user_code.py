"""Through the command line: user code runs in a child, and nothing it does takes its host along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reproflow import cli
from reproflow.foundation import child_process
from reproflow.foundation.errors import UsageError


def test_a_child_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(UsageError, match=r"w\.py:f did not come back within 0\.01 s and was stopped"):
        child_process.run(["list"], "w.py:f", seconds=0.01)


def test_a_child_that_comes_back_gives_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert child_process.run(["list", "paths", "--json"], "w.py:f") == 0
    assert {row["kind"] for row in json.loads(capfd.readouterr().out)} == {"path"}
    assert child_process.run(["list", "nonsense"], "w.py:f") == 2


def test_a_function_that_leaves_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_config: dict, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.py").write_text("import os\ndef leave(t, lam):\n    os._exit(0)\n")
    tiny_config["experiments"][0]["weightings"] = ["elbo", {"name": "mine", "spec": "w.py:leave", "on": "x1"}]
    Path("c.json").write_text(json.dumps(tiny_config))
    assert cli.run(["resolve", "--config", "c.json"]) == 2
    assert "w.py:leave ended the process (exit code 0)" in capfd.readouterr().err
    assert not Path("results/tiny/config.json").exists()


@pytest.mark.parametrize(
    "body", ["threading.Thread(target=time.sleep, args=(600,)).start()", "os.fork()"], ids=["thread", "fork"]
)
@pytest.mark.slow
def test_what_a_function_leaves_running_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], body: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.py").write_text(f"import os, threading, time\ndef f(t, lam):\n    {body}\n    return 1 - t\n")
    assert cli.run(["check", "weighting", "w.py:f", "--json", "-"]) == 0
    assert json.loads(capfd.readouterr().out)["admissible"]["mass"] == pytest.approx(0.5)


def test_yaml_reads_on_as_true_and_the_configuration_does_not(tmp_path: Path, tiny_config: dict) -> None:
    from reproflow.foundation import config

    text = json.dumps(tiny_config).replace('"elbo"', '{name: mine, spec: "expr:1", on: x1}')
    (tmp_path / "c.yaml").write_text(text)
    assert [spec.on for spec in config.load(tmp_path / "c.yaml").user_functions] == ["x1"]
