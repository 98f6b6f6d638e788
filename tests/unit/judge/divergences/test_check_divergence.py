"""`reproflow check divergence`: exit codes and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from judged_divergences import SCHEMA

from reproflow import cli
from reproflow.foundation import child_process


class TestCommand:
    def test_json_and_exit_codes(self, capsys: pytest.CaptureFixture) -> None:
        for spec, code in (("kl_rates", 0), ("l1", 3), ("expr:-(a - b)**2", 3)):
            assert cli.run(["check", "divergence", spec, "--json", "-"]) == code
            said = capsys.readouterr()
            assert said.err == ""
            SCHEMA.validate(json.loads(said.out))

    def test_the_page(self, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
        assert cli.run(["check", "divergence", "log_squared", "--json", str(tmp_path / "loss.json")]) == 3
        said = capsys.readouterr().out
        for word in ("gradient", "identified", "refuted", "geometric mean"):
            assert word in said
        assert json.loads((tmp_path / "loss.json").read_text())["affine_in_target"] is False

    @pytest.mark.usefixtures("user")
    def test_a_users_file_in_a_child(self, capfd: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "divergence", "loss.py:squared", "--json", "-"]) == 0
        found = json.loads(capfd.readouterr().out)
        assert found["spec"] == "loss.py:squared"
        assert found["gradient"]["verdict"] == "supported"

    @pytest.mark.usefixtures("user")
    def test_nan_is_exit_2_without_json(self, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the child, which this process plays here."""
        monkeypatch.setenv(child_process.PIPE, "-1")
        assert cli.run(["check", "divergence", "loss.py:nan", "--json", "-"]) == 2
        said = capfd.readouterr()
        assert "is NaN at a = (" in said.err
        assert said.out == ""

    def test_help_shows_an_example(self, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "divergence", "--help"]) == 0
        assert "Example: reproflow check divergence" in capsys.readouterr().out
