"""A record vouches for files, and only as long as they are as it says; what it does not vouch for is done again."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from reproflow import cli
from reproflow.evaluation import cells as evaluation
from reproflow.evaluation.collect import collect
from reproflow.foundation import cleaning, config, files, grid, store
from reproflow.foundation.errors import InterruptedRun, ReproflowError, UsageError
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.sampling import samples
from reproflow.learning.training import shard, stacked

CPU = torch.device("cpu")
STAGES = ("train", "sample", "evaluate")
PAYLOAD = dict(zip(STAGES, (shard.FINAL, samples.SAMPLES, evaluation.MEASURES), strict=True))


def run_all(results: Run) -> None:
    """The three stages, as their jobs do them."""
    experiment, points = results.config.experiments[0], data.get_dataset("eight_gaussians")
    cells = grid.expand(results.config)
    slots = [[results.slot(stage, cell) for stage in STAGES] for cell in cells]
    shard.train(experiment, [(cell, s[0]) for cell, s in zip(cells, slots, strict=True)], points, CPU)
    samples.sample(experiment, [(cell, *s[:2]) for cell, s in zip(cells, slots, strict=True)], points, CPU)
    evaluation.evaluate(experiment, [(cell, *s) for cell, s in zip(cells, slots, strict=True)], points, CPU)


EXPERIMENT = {
    "name": "toy",
    "process": "gaussian",
    "dataset": "eight_gaussians",
    "paths": ["linear"],
    "weightings": ["uniform", "elbo"],
    "seeds": [0],
    "model": {"width": 16, "depth": 1},
    "training": {"steps": 10, "batch": 32, "warmup": 5, "save_every": 10},
    "sampling": {"solver": "euler", "steps": 2, "n": 64},
    "likelihood": {"points": 16, "steps": 4},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two finished cells; tests work on copies."""
    opened = Run(config.check({"name": "tiny", "experiments": [EXPERIMENT]}), tmp_path_factory.mktemp("made") / "tiny")
    files.write_text(opened.folder / "config.json", config.dump(opened.config))
    data.prepare("eight_gaussians", opened.data_file("eight_gaussians"))
    run_all(opened)
    return opened


@pytest.fixture
def results(finished: Run, tmp_path: Path) -> Run:
    shutil.copytree(finished.folder, tmp_path / "tiny")
    return Run(finished.config, tmp_path / "tiny")


def payloads(results: Run) -> dict[str, bytes]:
    return {
        str(path.relative_to(results.folder)): path.read_bytes()
        for path in sorted(results.folder.glob("store/*/*/*/*.safetensors"))
    }


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def edit(path: Path) -> None:
    """One bit, the same size; the file is newer than its record, as any edited file is."""
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(time.time_ns() + 10**9,) * 2)


def rot(path: Path) -> None:
    """One bit, and neither size nor time say so."""
    about = path.stat()
    edit(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def older_record(path: Path) -> None:
    """A record as an earlier version wrote it, without the list of files."""
    record = json.loads((path.parent / "record.json").read_text())
    body = {key: value for key, value in record.items() if key not in ("digest", "files")}
    (path.parent / "record.json").write_text(json.dumps(body | {"digest": files.digest(body)}))


SEEN = {"cut short": cut, "missing": Path.unlink, "edited": edit, "of an older version": older_record}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("damage", SEEN)
@pytest.mark.default_cases(3)
def test_a_record_does_not_vouch_for_a_damaged_file(results: Run, damage: str, stage: str) -> None:
    """The stage counts as not finished, is done again by the same call, and ends in the same bytes."""
    before, cell = payloads(results), grid.expand(results.config)[1]
    slot = results.slot(stage, cell)
    assert results.unfinished(cell) is None
    SEEN[damage](slot.folder / PAYLOAD[stage])
    assert slot.record() is None
    assert results.unfinished(cell) == stage
    status, reason, _ = results.outcome(cell)
    assert (status, f"the {stage} record does not hold" in reason) == ("failed", True)
    run_all(results)
    assert payloads(results) == before
    assert results.outcome(cell)[0] == "ok"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_its_files_before_it_counts_them_as_finished(results: Run, stage: str) -> None:
    before, cell = payloads(results), grid.expand(results.config)[0]
    rot(results.slot(stage, cell).folder / PAYLOAD[stage])
    assert results.unfinished(cell) is None, "sizes and times cannot tell"
    run_all(results)
    assert payloads(results) == before


@pytest.mark.parametrize(
    ("stage", "verb"),
    [("train", "sample"), ("train", "evaluate"), ("sample", "evaluate"), ("train", "collect"), ("evaluate", "collect")],
)
@pytest.mark.default_cases(2)
def test_who_reads_a_changed_file_withdraws_its_record(
    results: Run, stage: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a circle: the reader stops, and the next run makes the file anew."""
    before, cells = payloads(results), grid.expand(results.config)
    for cell in cells:
        rot(results.slot(stage, cell).folder / PAYLOAD[stage])
    arguments = [verb, "--config", str(results.folder / "config.json")]
    arguments += [] if verb == "collect" else ["--shard", "toy-000"]
    assert cli.run(arguments) == 1
    said = capsys.readouterr().err
    assert f"{PAYLOAD[stage]} was changed since it was finished (and 1 more); its record is withdrawn" in said
    assert [results.unfinished(cell) for cell in cells] == [stage, stage]
    run_all(results)
    assert payloads(results) == before
    assert cli.run(arguments) == 0


def test_nothing_is_gathered_from_an_empty_store(results: Run, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["collect", "--config", str(results.folder / "config.json")]
    assert cli.run(arguments) == 0
    kept = (results.folder / "cells.csv").read_bytes()
    assert cli.run(["clean", *arguments[1:]]) == 0
    assert cli.run(arguments) == 1
    assert "has a train record: there is nothing to write" in capsys.readouterr().err
    assert (results.folder / "cells.csv").read_bytes() == kept


def test_the_cascade_of_an_empty_store_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = {"name": "d", "process": "masked", "dataset": "digits8", "paths": ["cosine"], "weightings": ["elbo"]}
    experiment |= {"seeds": [0], "sampling": {"solver": "ancestral"}}
    raw = {"name": "d", "experiments": [experiment], "cascade": {}}
    (tmp_path / "config.json").write_text(config.dump(config.check(raw)))
    assert cli.run(["cascade", "--config", str(tmp_path / "config.json")]) == 1
    assert "no cell of" in capsys.readouterr().err
    assert not (tmp_path / "cascade.csv").exists()


def test_shown_samples_are_listed_and_the_same_bytes_every_time(results: Run) -> None:
    collect(results)
    shown = sorted(results.folder.glob("samples/*.npz"))
    before = [path.read_bytes() for path in shown]
    assert set(json.loads(results.shown_samples.read_text())) == {path.name for path in shown}
    assert len(shown) == 2
    assert results.samples_fault() == ""
    damages: dict[str, Callable[[Path], object]] = {"is missing": Path.unlink, "bytes, not": cut, "was changed": edit}
    for words, damage in damages.items():
        damage(shown[0])
        assert words in results.samples_fault()
        time.sleep(0.01)
        collect(results)
        assert results.samples_fault() == ""
        assert [path.read_bytes() for path in shown] == before


def loss_times(factor: float) -> Callable[..., torch.Tensor]:
    honest = stacked.batch_loss
    return lambda *arguments: honest(*arguments) * factor


def test_what_is_cleaned_is_trained_anew_to_the_same_bytes(results: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of reproducibility, and its control: training that differs, unseen by any fingerprint, is noticed."""
    before = payloads(results)
    with monkeypatch.context() as changed:
        changed.setattr(stacked, "batch_loss", loss_times(1.001))
        run_all(results)
        assert payloads(results) == before, "merely run again, nothing is trained and nothing would be noticed"
        assert len(cleaning.clean(results)) == 6
        run_all(results)
        assert all(payloads(results)[name] != before[name] for name in before)
    cleaning.clean(results)
    assert payloads(results) == {}
    run_all(results)
    assert payloads(results) == before


def test_a_stage_or_a_cell_can_be_cleaned_alone(results: Run) -> None:
    first, second = grid.expand(results.config)
    cleaning.clean(results, "sample", [first.key])
    assert (results.unfinished(first), results.unfinished(second)) == ("sample", None)
    assert results.slot("evaluate", first).record() is None
    cleaning.clean(results, "evaluate")
    assert (results.unfinished(first), results.unfinished(second)) == ("sample", "evaluate")
    with pytest.raises(UsageError, match="no stage 'sampel'; did you mean 'sample'"):
        cleaning.clean(results, "sampel")
    with pytest.raises(UsageError, match=f"no cell {first.key[:-1]!r}; did you mean"):
        cleaning.clean(results, keys=[first.key[:-1]])


def test_nothing_is_cleaned_under_a_process_that_works_there(results: Run) -> None:
    before = payloads(results)
    with results.slot("sample", grid.expand(results.config)[1]).locked():
        for remove in (cleaning.clean, cleaning.remove):
            with pytest.raises(InterruptedRun, match="is locked by pid"):
                remove(results)
    assert payloads(results) == before
    with store.locked(results.slot("sample", grid.expand(results.config)[1]).folder):
        pass


def test_all_of_a_results_folder_is_removed_and_nothing_else(results: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("not ours")
    arguments = ["clean", "--config", str(results.folder / "config.json"), "--all"]
    assert cli.run([*arguments, "--results", str(other)]) == 2
    assert cli.run([*arguments, "--stage", "sample"]) == 2
    assert (other / "thesis.tex").exists()
    assert results.folder.exists()
    assert cli.run(arguments) == 0
    assert not results.folder.exists()


def test_a_withdrawn_record_stays_where_the_disk_refuses(results: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = grid.expand(results.config)[0]
    rot(results.slot("train", cell).folder / shard.FINAL)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ReproflowError, match=r"record\.json: Permission denied"):
        results.read([cell], "train")
