"""The comparison of two worktrees' numbers: it sees one bit, and nothing that is excepted."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.same_numbers import __main__ as command
from benchmarks.same_numbers import compare, exceptions, questions
from benchmarks.same_numbers.compare import Difference

PART = "cells"
CELLS = "cells/results/ci/cells.csv"
ANSWER = "cells/weighting-elbo.json"
NETWORK = "cells/results/ci/store/train/toy.s0"


def write(
    folder: Path,
    *,
    weights: tuple[float, ...] = (0.5, -0.25),
    nll: str = "1.2345678901234567",
    header: str = "cell,nll_nats,reason,fingerprint",
    fingerprint: str = "0123456789abcdef",
    reason: str = "none",
    mass: float | None = 0.1,
) -> Path:
    """A side's folder of results: a network, a table, an answer, samples and a page."""
    slot = folder / NETWORK / fingerprint
    slot.mkdir(parents=True)
    save_file({"ema": np.array(weights, np.float32)}, slot / "final.safetensors", {"reproflow": '{"kind": "network"}'})
    (slot / "record.json").write_text(json.dumps({"status": "ok", "fingerprint": fingerprint, "parts": {"a": "b"}}))
    row = {"cell": "toy.s0", "nll_nats": nll, "reason": reason, "fingerprint": fingerprint}
    line = ",".join(row[column] for column in header.split(","))
    (folder / CELLS).write_text(f"{header}\n{line}\n")
    answer = {"admissible": {"verdict": "supported", "mass": mass, "reason": reason}, "w": [1.0, 2.0], "seconds": 0.3}
    (folder / ANSWER).write_text(json.dumps(answer))
    (folder / "cells/results/ci/samples").mkdir()
    np.savez(folder / "cells/results/ci/samples/toy.npz", samples=np.array([[1, 2]]))
    (folder / "cells/results/ci/report.html").write_text(reason)
    for name in ("cells/logs/same_numbers.log", f"{NETWORK}/{fingerprint}/lock", "cells/.snakemake/metadata"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(reason)
    return folder


def differences(tmp_path: Path, **changed: object) -> list[Difference]:
    before, after = write(tmp_path / "before"), write(tmp_path / "after", **changed)  # type: ignore[arg-type]
    return compare.folders(before, after, PART)[0]


def test_equal_results_are_equal_and_counted(tmp_path: Path) -> None:
    before, after = write(tmp_path / "before"), write(tmp_path / "after")
    found, compared = compare.folders(before, after, PART)
    assert not found
    # network 3, record 2, table 5, answer 7, samples 1
    assert compared == 18


def test_one_bit_of_a_tensor_is_seen(tmp_path: Path) -> None:
    (bits,) = struct.unpack("<I", struct.pack("<f", -0.25))
    (moved,) = struct.unpack("<f", struct.pack("<I", bits ^ 1))
    (found,) = differences(tmp_path, weights=(0.5, moved))
    assert found.place == f"{NETWORK}/final.safetensors:ema"
    assert found.before.startswith("1 of 2 values, the first at 1: -0.25")
    assert found.relative == pytest.approx(2.0**-24, rel=1)


def test_the_sign_of_zero_and_not_a_number_are_bits(tmp_path: Path) -> None:
    (found,) = differences(tmp_path, weights=(0.5, float("nan")))
    assert found.relative == float("inf")
    assert compare.difference("x", 0.0, -0.0) is not None
    assert compare.difference("x", float("nan"), float("nan")) is None
    assert compare.difference("x", 1, 1.0) is not None
    assert compare.difference("x", True, 1) is not None


def test_what_is_excepted_is_not_compared(tmp_path: Path) -> None:
    assert not differences(tmp_path, reason="in other words", fingerprint="fedcba9876543210")


def test_a_missing_column_is_one_difference(tmp_path: Path) -> None:
    (found,) = differences(tmp_path, header="cell,reason,fingerprint")
    assert (found.place, found.after) == (f"{CELLS}:column/nll_nats", "absent")


@pytest.mark.parametrize("missing", [CELLS, "cells/results/ci/report.html", "cells/results/ci/samples/toy.npz"])
def test_a_missing_file_is_a_difference_either_way(tmp_path: Path, missing: str) -> None:
    before, after = write(tmp_path / "before"), write(tmp_path / "after")
    (after / missing).unlink()
    assert compare.folders(before, after, PART)[0] == [Difference(missing, "a file", "absent")]
    assert compare.folders(after, before, PART)[0] == [Difference(missing, "absent", "a file")]


def test_rows_keys_and_lengths(tmp_path: Path) -> None:
    before, after = write(tmp_path / "before"), write(tmp_path / "after")
    (after / CELLS).write_text((after / CELLS).read_text() + "toy.s1,2,,\n")
    (after / ANSWER).write_text('{"admissible": {"verdict": "supported", "mass": 0.1, "new": 1}, "w": [1.0]}')
    places = {each.place for each in compare.folders(before, after, PART)[0]}
    assert places == {
        f"{CELLS}:rows", f"{CELLS}:2/cell", f"{CELLS}:2/nll_nats",
        f"{ANSWER}:/admissible/new", f"{ANSWER}:/w/length", f"{ANSWER}:/w/1",
    }  # fmt: skip


def test_two_fingerprints_of_one_cell_are_refused(tmp_path: Path) -> None:
    before, after = write(tmp_path / "before"), write(tmp_path / "after")
    write(tmp_path / "other", fingerprint="f" * 16)
    (tmp_path / "other" / NETWORK / ("f" * 16)).rename(after / NETWORK / ("f" * 16))
    with pytest.raises(ValueError, match="are one stage of one cell"):
        compare.folders(before, after, PART)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    before, after = write(tmp_path / "before"), write(tmp_path / "after")
    for side in (before, after):
        (side / "cells/results/ci/new.parquet").write_text("")
    with pytest.raises(ValueError, match=r"new\.parquet: no way"):
        compare.folders(before, after, PART)


def listed(tmp_path: Path, text: str) -> list[exceptions.Tolerance]:
    file = tmp_path / "tolerances.toml"
    file.write_text(text)
    return exceptions.read_tolerances(file)


MASS = f'[[place]]\npattern = "{ANSWER}:/admissible/mass"\nreason = "quadrature"\n'


@pytest.mark.parametrize(("mass", "text", "refused"), [
    (0.1 * (1 + 1e-13), MASS, 0),
    (0.1 * (1 + 1e-13), "", 1),
    (0.1 * (1 + 1e-13), MASS.replace("mass", "verdict"), 1),
    (0.1 * (1 + 1e-11), MASS, 1),
    (None, MASS, 1),
])  # fmt: skip
def test_a_listed_tolerance(tmp_path: Path, mass: float | None, text: str, refused: int) -> None:
    tolerances = listed(tmp_path, text)
    found = command.judge(differences(tmp_path, mass=mass), tolerances, [])
    assert [len(each) for each in found] == [refused, 1 - refused]


@pytest.mark.parametrize("text", [
    '[[place]]\npattern = "*"\n', '[[place]]\npattern = "*"\nreason = " "\n', f"{MASS}relative = 0.1\n",
])  # fmt: skip
def test_a_tolerance_has_a_reason_and_no_number_of_its_own(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="has `pattern` and `reason`"):
        listed(tmp_path, text)


def test_texts_of_numbers_have_a_relative_difference(tmp_path: Path) -> None:
    found = compare.difference("x", "1;0;2.0", "1;0;2.0000000000002")
    assert found is not None
    assert found.relative == pytest.approx(1e-13, rel=1e-2)
    words = compare.difference("x", "K forgotten", "K left out")
    assert words is not None
    assert words.relative is None


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command on two worktrees whose one part writes results; `after` changes those of the second."""

    def called(*options: str, **after: object) -> int:
        for name in ("a", "b"):
            (tmp_path / name / "reproflow").mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "reproflow/__init__.py").touch()

        def part(side: command.Side, folder: Path, _: object) -> None:
            (tmp_path / f"ran_{side.worktree.name}").open("a").write(".")
            folder.rmdir()
            write(folder.parent, **(after if side.worktree.name == "b" else {}))  # type: ignore[arg-type]

        monkeypatch.setitem(command.PARTS, "cells", part)
        monkeypatch.setattr(command.Side, "check_import", lambda side: None)
        worktrees = [str(tmp_path / "a"), str(tmp_path / "b"), "--work", str(tmp_path / "work")]
        return command.main([*worktrees, "--only", "cells", *options])

    return called


def test_the_command(call: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    assert "18 values compared, 0 differ" in capsys.readouterr().out
    out = tmp_path / "out.json"
    assert call("--json", str(out), nll="2", mass=float("inf")) == 1
    answer = json.loads(out.read_text())
    assert [each["place"] for each in answer["differences"]] == [
        f"{CELLS}:1/nll_nats",
        f"{ANSWER}:/admissible/mass",
    ]
    assert answer["differences"][1]["relative"] == "inf"
    assert f"{CELLS}:1/nll_nats: '1.2345678901234567' -> '2'" in capsys.readouterr().out


def test_a_finished_before_is_reused(call: Callable[..., int], tmp_path: Path) -> None:
    kept = ("--before-results", str(tmp_path / "kept"))
    assert [call(*kept), call(*kept), call()] == [0, 0, 0]
    assert [(tmp_path / f"ran_{name}").read_text() for name in "ab"] == ["..", "..."]
    both = (*kept, "--after-results", str(tmp_path / "work" / "after"))
    assert call(*both) == 0
    assert [(tmp_path / f"ran_{name}").read_text() for name in "ab"] == ["..", "..."]


def test_a_missing_column_is_nothing_new(call: Callable[..., int]) -> None:
    assert call("--allow-new", f"{CELLS}:*", header="cell,reason,fingerprint") == 1


def test_an_allowed_new_column(tmp_path: Path) -> None:
    found = [Difference("cells/x.csv:column/process", compare.ABSENT, "'a column'"), Difference("cells/y", "1", "2")]
    refused, _ = command.judge(found, [], ["cells/x.csv:column/*", "cells/y"])
    assert refused == found[1:], "what was there before is not new"


def test_bad_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), str(tmp_path)])
    assert "holds no reproflow/" in capsys.readouterr().err


def test_every_registered_name_is_asked_for() -> None:
    root = Path(__file__).parents[3]
    asked = questions.of_check(root)
    known = json.loads((root / "reproflow/foundation/names.json").read_text())
    for entry in known:
        if entry["kind"] in questions.KINDS:
            lines = [line[1:3] for line in asked.values()]
            assert [entry["kind"], entry["name"]] in lines
    for kind, process in {(each["kind"], each["process"]) for each in known if each["kind"] in ("weighting", "path")}:
        names = {each["name"] for each in known if (each["kind"], each["process"]) == (kind, process)}
        assert names <= {
            line[2] for line in asked.values() if line[1:4:2] == [kind, "--process"] and line[4] == process
        }
    assert all(line[0] == "check" and f"{{out}}/{name}.json" == line[-1] for name, line in asked.items())
