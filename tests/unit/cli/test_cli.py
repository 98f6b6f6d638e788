"""The command line: exit codes, short errors, examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reproflow import cli

VERBS = [command.name or command.callback.__name__ for command in cli.app.registered_commands]


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.run([verb, "--help"]) == 0
    assert f"Example: reproflow {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["frobnicate"], "frobnicate"),
        (["list", "pahts"], "did you mean 'paths'"),
        (["train"], "--config"),
        (["train", "--config", "nowhere.yaml", "--shard", "x"], "nowhere.yaml"),
        (["train", "--config", "configs/ci.yaml", "--shard", "toy-00"], "did you mean 'toy-000'"),
        (["verify", "LOSS-77"], "did you mean 'LOSS-7'"),
        (["verify", "--tier", "exat"], "exat"),
        (["verify", "--explain"], "ids"),
        (["why", "x", "--config", "configs/ci.yaml"], "no cell 'x'"),
        (["list", "--frobnicate"], "--frobnicate"),
    ],
)
def test_bad_usage_exits_2_with_a_short_message(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    assert cli.run(arguments) == 2
    said = capsys.readouterr()
    assert word in said.err
    assert 1 <= len(said.err.strip().splitlines()) <= 3
    assert "Traceback" not in said.err
    assert said.out == ""


def test_list_as_json(capsys: pytest.CaptureFixture) -> None:
    assert cli.run(["list", "weightings", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"elbo", "min_snr", "simple"} <= {row["name"] for row in rows}
    assert {row["kind"] for row in rows} == {"weighting"}


def test_verify_writes_rows(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    assert cli.run(["verify", "ST-9", "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows} == {"ST-9"}
    assert all(row["verdict"] == row["expected"] and row["control_verdict"] == "refuted" for row in rows)
    assert {"id", "title", "statistic", "tolerance", "control", "seconds"} <= rows[0].keys()


def test_a_monte_carlo_claim_without_a_network_is_undecided(capsys: pytest.CaptureFixture) -> None:
    assert cli.run(["verify", "LOSS-1", "--tier", "mc"]) == 5
    assert "inconclusive" in capsys.readouterr().out


def test_explain(capsys: pytest.CaptureFixture) -> None:
    assert cli.run(["verify", "LOSS-5", "--explain"]) == 0
    said = capsys.readouterr().out
    for word in (
        "Statement:",
        "Refuted by:",
        "reproflow/claims/losses/conversions.py:",
        "7 supported",
        "controls refuted",
    ):
        assert word in said
    lines = [line for line in said.splitlines() if "●" in line and "│" in line and "○" in line]
    assert (
        len(lines) == 8
    )  # the key and seven paths, each with its statement left of the tolerance and that of controls
    assert all(line.index("●") < line.index("│") < line.index("○") for line in lines)


def test_resolve_writes_every_default(tmp_path: Path) -> None:
    assert cli.run(["resolve", "--config", "configs/ci.yaml", "--results", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["experiments"][0]["training"]["clip"] == 1.0


def test_cuda_is_never_replaced_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    import torch

    if torch.cuda.is_available():
        return
    from reproflow.cli import common
    from reproflow.foundation.errors import UsageError

    with pytest.raises(UsageError, match="no CUDA device"):
        common.device("cuda")
    assert common.device("auto").type == "cpu"


def test_figures_want_a_results_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["figures", "gallery", "--results", str(tmp_path)]) == 2
    assert "is no results folder" in capsys.readouterr().err
