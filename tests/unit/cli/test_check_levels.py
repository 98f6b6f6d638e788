"""`reproflow check weighting` with tables: files of numbers, names in a user's file, and what goes with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from repository import schema

from reproflow import cli
from reproflow.foundation import child_process

SCHEMA = schema("check-levels")
BETAS = np.linspace(1e-4, 0.02, 100)
KEPT = np.cumprod(1 - BETAS)

USER = """
import functools

import numpy as np
import torch

betas = torch.linspace(1e-4, 0.02, 100, dtype=torch.float64)
numbers = [1.0] * 100
sine = torch.sin

def kept():
    return torch.cumprod(1 - betas, 0)

def with_default(scale=2.0):
    return scale / kept()

def random():
    return np.random.rand(100)

def words():
    return "three"

def ordinary(t, lam):
    return torch.exp(-0.5 * lam)

bound = functools.partial(ordinary)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files with one chain, in the working directory; this process plays the child."""
    (tmp_path / "user.py").write_text(USER)
    np.save(tmp_path / "betas.npy", BETAS)
    np.savez(tmp_path / "both.npz", kept=KEPT, weights=1 / KEPT)
    np.savetxt(tmp_path / "weights.csv", 1 / KEPT)
    rows = "\n".join(f"{place},{value!r}" for place, value in enumerate((1 / KEPT).tolist()))
    (tmp_path / "named.csv").write_text(f"i,weight\n{rows}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(child_process.PIPE, "-1")
    return tmp_path


def answer(capfd: pytest.CaptureFixture, *arguments: str, code: int = 0) -> dict:
    assert cli.run(["check", "weighting", *arguments, "--json", "-"]) == code
    said = capfd.readouterr()
    found = json.loads(said.out)
    SCHEMA.validate(found)
    return found


SCHEDULE = ["--schedule", "betas.npy", "--schedule-of", "betas"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["weights.csv", *SCHEDULE],
        ["named.csv", *SCHEDULE],
        ["named.csv:weight", *SCHEDULE],
        ["both.npz:weights", "--schedule", "both.npz:kept", "--schedule-of", "alphas_cumprod"],
        ["user.py:with_default", *SCHEDULE, "--table-of", "weights"],
        ["expr:1/alpha**2", *SCHEDULE, "--target", "eps"],
        ["user.py:numbers", "--schedule", "user.py:betas", "--schedule-of", "betas", "--target", "v"],
        ["betas.npy", "--table-of", "betas", "--target", "v"],
        ["user.py:kept", "--table-of", "alphas_cumprod", "--target", "v"],
    ],
)
@pytest.mark.default_cases(2)
def test_one_objective_in_every_form(arguments: list[str], capfd: pytest.CaptureFixture, folder: Path) -> None:
    """All are 1 on v, up to a factor: certified, and known as such."""
    found = answer(capfd, *arguments)
    assert found["spec"] == arguments[0]
    assert found["levels"] == 100
    assert ("1", "v") in [(each["weighting"], each["on"]) for each in found["equivalent"]]
    kept = KEPT[-2:] / (1 - KEPT[-2:])
    scale = 2.0 if "user.py:with_default" in arguments else 1.0
    assert found["canonical"]["w"][-1] == pytest.approx(
        scale * 2 / 100 / (1 - KEPT[-1]) / (kept[0] - kept[1]), rel=1e-9
    )


def test_levels_of_a_path_and_exit_codes(capfd: pytest.CaptureFixture, folder: Path) -> None:
    assert answer(capfd, "uniform", "--levels", "50")["schedule"].startswith(
        "50 levels, linear path at t = 1 - (i + 1)/50"
    )
    assert answer(capfd, "weights.csv", "--path", "cosine", "--target", "v")["levels"] == 100
    simple = ["simple", "--process", "masked", "--levels", "20"]
    assert answer(capfd, *simple)["bound"]["verdict"] == "certified"
    # On the linear schedule w_i = c_i i/N (test_levels.py), and t(1 - t) rises from the noise to the middle.
    found = answer(capfd, "expr:t", *simple[1:], code=3)
    assert found["identified"]["levels"] == [19]
    assert found["bound"]["violation"]["levels"] == [19, 9]


def test_index_0_is_at_the_noise_where_time_runs_to_the_data(capfd: pytest.CaptureFixture, folder: Path) -> None:
    plain = answer(capfd, "weights.csv", "--path", "cosine", code=3)  # nothing is trained at pure noise
    turned = answer(capfd, "weights.csv", "--path", "cosine", "--time-runs", "noise-to-data", code=3)
    assert (plain["canonical"]["index"][0], turned["canonical"]["index"][0]) == (0, 99)
    assert plain["canonical"]["lam"] == turned["canonical"]["lam"]


def test_functions_with_the_data_at_0_are_turned_round(capfd: pytest.CaptureFixture, folder: Path) -> None:
    """The linear path and t on the velocity, said in either time; what they are without the option is another chain."""
    ours = ["expr:t", "--path", "linear", "--levels", "50", "--time", "expr:1 - (1 - u)**2"]
    theirs = ["expr:1 - t", "--path", "expr:1 - t, t", "--levels", "50", "--time", "expr:u**2"]
    turned = answer(capfd, *theirs, "--time-runs", "data-to-noise", code=3)
    expected = answer(capfd, *ours, code=3)
    assert turned["canonical"]["w"][1:] == pytest.approx(expected["canonical"]["w"][1:], rel=1e-9)
    assert answer(capfd, *theirs, code=3)["canonical"]["w"] == []
    assert cli.run(["check", "weighting", *ours, "--time-runs", "backwards"]) == 2


def test_against_another_on_the_same_levels(capfd: pytest.CaptureFixture, folder: Path) -> None:
    same = answer(capfd, "weights.csv", *SCHEDULE, "--against", "expr:3", "--against-target", "v")
    assert (same["against"]["verdict"], same["against"]["factor"]) == ("same", pytest.approx(3, rel=1e-9))
    other = answer(capfd, "weights.csv", *SCHEDULE, "--against", "min_snr", code=3)
    assert other["against"]["verdict"] == "different"
    assert 0 <= other["against"]["difference"]["index"] < 100


def test_a_function_is_a_function_wherever_it_comes_from(capfd: pytest.CaptureFixture, folder: Path) -> None:
    """A name that the file assigns may hold one; without a chain it is judged on the path as ever."""
    found = answer(capfd, "user.py:ordinary", *SCHEDULE, "--target", "canonical")
    assert found["target"] == "canonical"
    assert cli.run(["check", "weighting", "user.py:ordinary", "--target", "canonical"]) == 0
    own = ["user.py:bound", "--target", "canonical", "--range", "0.2,0.7", "--lam", "0"]
    assert cli.run(["check", "weighting", *own]) == 0
    assert cli.run(["check", "weighting", *own, *SCHEDULE]) == 2
    assert cli.run(["check", "weighting", "user.py:sine"]) == 2
    assert "user.py:sine" in capfd.readouterr().err


def test_the_page_for_the_terminal_and_for_the_browser(capfd: pytest.CaptureFixture, folder: Path) -> None:
    np.save("long.npy", np.linspace(1e-4, 0.02, 1000))
    assert cli.run(["check", "weighting", "long.npy", "--table-of", "betas", "--html", "page.html"]) == 3
    said = " ".join(capfd.readouterr().out.split())
    for word in ("1000 levels, betas of long.npy", "not_representable", "index 0, next to the data", "to certify"):
        assert word in said
    assert "<svg" in (folder / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["weights.csv"], "needs its levels"),
        (["user.py:numbers"], "needs its levels"),
        (["nowhere.npy", *SCHEDULE], "no file nowhere.npy"),
        (["both.npz", *SCHEDULE], "has the arrays kept, weights"),
        (["both.npz:weight", *SCHEDULE], "did you mean 'weights'"),
        (["named.csv:wieght", *SCHEDULE], "did you mean 'weight'"),
        (["betas.npy:x", *SCHEDULE], "holds one array"),
        (["user.py:random", *SCHEDULE], "global random generator"),
        (["user.py:words", *SCHEDULE], "no real numbers"),
        (["weights.csv", "--schedule", "betas.npy"], "go together"),
        (["weights.csv", "--schedule", "cosine", "--schedule-of", "betas"], "is no table"),
        (["weights.csv", "--schedule", "betas.npy", "--schedule-of", "beta"], "did you mean 'betas'"),
        (["weights.csv", *SCHEDULE, "--levels", "10"], "leave out --path and --levels"),
        (["weights.csv", *SCHEDULE, "--train"], "continuous time"),
        (["weights.csv", *SCHEDULE, "--range", "0.1,0.9"], "continuous time"),
        (["uniform", *SCHEDULE], "has no velocity"),
        (["uniform", "--table-of", "betas"], "is none"),
        (["uniform", "--levels", "1"], "--levels 1"),
        (["weights.csv", "--path", "cosine", "--levels", "7"], "100 numbers for 7 levels"),
    ],
)
def test_bad_usage(arguments: list[str], word: str, capfd: pytest.CaptureFixture, folder: Path) -> None:
    assert cli.run(["check", "weighting", *arguments, "--json", "-"]) == 2
    said = capfd.readouterr()
    assert word in said.err.replace("\n", " ")
    assert 1 <= len(said.err.strip().splitlines()) <= 3
    assert said.out == ""


def test_pickles_are_not_opened(capfd: pytest.CaptureFixture, folder: Path) -> None:
    np.save(folder / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert cli.run(["check", "weighting", "objects.npy", *SCHEDULE]) == 2
    assert "cannot be read as numbers" in capfd.readouterr().err


def test_a_table_in_a_file_is_only_opened_by_a_child(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(child_process.PIPE)
    asked: list[list[str]] = []
    monkeypatch.setattr(child_process, "run", lambda arguments, what: asked.append(arguments) or 5)
    arguments = ["user.py:numbers", "--schedule", "user.py:kept", "--schedule-of", "alphas_cumprod"]
    assert cli.run(["check", "weighting", *arguments]) == 5
    assert {"--schedule=user.py:kept", "--schedule-of=alphas_cumprod"} <= set(asked[0])
    assert asked[0][-1] == "user.py:numbers"
    asked.clear()
    assert cli.run(["check", "weighting", "user.py:ordinary", "--levels", "9", "--against", "elbo"]) == 5
    assert asked[0][-1] == "user.py:ordinary"
