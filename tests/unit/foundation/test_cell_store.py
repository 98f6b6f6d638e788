"""The store: a record is read where it was written for this very fingerprint, and vouches for files as they were."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from reproflow.foundation import files, store
from reproflow.foundation.errors import InterruptedRun
from reproflow.foundation.fingerprint import Fingerprint
from reproflow.foundation.store import Slot


def finished(folder: Path, value: str, **values: object) -> Slot:
    """A finished slot with one file."""
    made = store.slot(folder, "train", "a.cell", Fingerprint(value, {"seed": "0"}))
    files.write_text(made.folder / "numbers", "1 2 3")
    made.finish({"status": "ok", **values}, "numbers")
    return made


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = finished(tmp_path, "one", step=7).record(read=True)
    assert record is not None
    assert (record["status"], record["step"], record["fingerprint"], record["parts"]) == ("ok", 7, "one", {"seed": "0"})
    assert record["files"] == {"numbers": files.entry(tmp_path / "store/train/a.cell/one/numbers")}


def test_a_whole_record_of_another_fingerprint_is_none_of_this_slot(tmp_path: Path) -> None:
    one, two = finished(tmp_path, "one"), store.slot(tmp_path, "train", "a.cell", Fingerprint("two", {}))
    shutil.copytree(one.folder, two.folder)
    assert store.read_record(two.record_path) == one.record()
    assert two.record() is None
    assert two.withdraw() == ""
    assert two.record_path.exists(), "it is not this slot's to withdraw"


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record | {"status": "diverged"},
        lambda record: record | {"more": 1},
        lambda record: {key: value for key, value in record.items() if key != "digest"},
        lambda record: list(record),
    ],
)
def test_an_edited_record_is_none(tmp_path: Path, edit) -> None:
    slot = finished(tmp_path, "one")
    slot.record_path.write_text(json.dumps(edit(json.loads(slot.record_path.read_text()))))
    assert slot.record() is None
    assert store.newest_record(tmp_path, "train", "a.cell") is None


def test_bytes_that_changed_in_silence_are_seen_by_who_reads_them(tmp_path: Path) -> None:
    """The same size, and older than the record."""
    slot = finished(tmp_path, "one")
    written = slot.record_path.stat().st_mtime_ns
    (slot.folder / "numbers").write_text("1 2 4")
    os.utime(slot.folder / "numbers", ns=(written - 1, written - 1))
    assert slot.record() is not None
    assert slot.record(read=True) is None
    assert slot.withdraw() == "numbers was changed"
    assert not slot.record_path.exists()


def test_the_newest_record_is_the_one_that_was_finished_last(tmp_path: Path) -> None:
    for age, value in enumerate(("b", "c", "a")):
        os.utime(finished(tmp_path, value).record_path, ns=(10**18 + age, 10**18 + age))
    newest = store.newest_record(tmp_path, "train", "a.cell")
    assert newest is not None
    assert newest["fingerprint"] == "a"
    (tmp_path / "store/train/a.cell/a/record.json").write_text("{")
    newest = store.newest_record(tmp_path, "train", "a.cell")
    assert newest is not None
    assert newest["fingerprint"] == "c"
    assert store.newest_record(tmp_path, "sample", "a.cell") is None


def test_a_slot_has_one_holder_at_a_time(tmp_path: Path) -> None:
    slot = finished(tmp_path, "one")
    with slot.locked():
        with pytest.raises(InterruptedRun, match=f"is locked by pid {os.getpid()} on host"), slot.locked():
            pass
        with finished(tmp_path, "two").locked():
            pass
    with slot.locked():
        pass
