"""Every setting that changes a number changes the fingerprint, one at a time; versions and all of a shard do too."""

from __future__ import annotations

import copy
import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reproflow.foundation import config, files, fingerprint, grid, seeds
from reproflow.foundation.fingerprint import Fingerprint


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nothing that was read before, and nothing of this left."""
    fingerprint.forget()
    yield
    fingerprint.forget()


def first(raw: dict, stage: str = "train", **changes: Any) -> Fingerprint:
    """The fingerprint of the first cell, its experiment changed."""
    experiment = copy.deepcopy(raw["experiments"][0])
    for key, value in changes.items():
        experiment[key] = {**experiment[key], **value} if isinstance(experiment.get(key), dict) else value
    checked = config.check({**raw, "experiments": [experiment]})
    return fingerprint.stage(checked, grid.expand(checked)[0], stage)


CHANGES = {
    "seeds": [1],
    "model": {"width": 32},
    "drawing": "iid",
    "divergence": "huber",
    "coupling": "ot",
    "targets": ["eps"],
    "paths": ["vp"],
    "times": ["logit_normal"],
    "dataset": "two_moons",
}


@pytest.mark.parametrize("key", CHANGES)
def test_each_setting_of_training_counts(tiny_config: dict, key: str) -> None:
    # Not every divergence goes with the other weightings.
    tiny_config["experiments"][0]["weightings"] = ["uniform"]
    before, after = first(tiny_config), first(tiny_config, **{key: CHANGES[key]})
    assert after.value != before.value
    assert first(tiny_config) == before


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"model": {"depth": 3}}, {"train", "sample", "evaluate"}),
        ({"sampling": {"steps": 5}}, {"sample", "evaluate"}),
        ({"likelihood": {"points": 33}}, {"evaluate"}),
        ({"training": {"save_every": 20}}, set()),
        ({"training": {"log_every": 7}}, set()),
    ],
)
def test_a_stage_depends_on_those_before_and_not_on_those_after(
    tiny_config: dict, changes: dict, stages: set[str]
) -> None:
    changed = {each for each in fingerprint.STAGES if first(tiny_config, each) != first(tiny_config, each, **changes)}
    assert changed == stages


USERS = "def weight(t, lam, g=1.0):\n    return 1 + g * lam**2\n"


def of_users(tiny_config: dict, spec: str, on: str = "x1") -> str:
    return first(tiny_config, weightings=[{"name": "mine", "spec": spec, "on": on}]).value


def test_all_that_a_user_says_of_a_weighting_counts(
    tiny_config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(USERS)
    variants = [("my.py:weight", "x1"), ("my.py:weight:g=2", "x1"), ("my.py:weight", "eps")]
    variants += [("expr:exp(-lam)", "x1"), ("expr:exp(-2*lam)", "x1"), ("expr:exp(-lam)", "eps")]
    assert len({of_users(tiny_config, *each) for each in variants}) == len(variants)
    assert of_users(tiny_config, "expr: exp( -lam )") == of_users(tiny_config, "expr:exp(-lam)")


@pytest.mark.parametrize("stage", fingerprint.STAGES)
def test_versions_count(tiny_config: dict, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(change: Callable[[pytest.MonkeyPatch], None]) -> str:
        with monkeypatch.context() as patch:
            change(patch)
            fingerprint.forget()
            return first(tiny_config, stage).value

    before = other(lambda patch: None)
    known = importlib.metadata.version
    torch = lambda patch: patch.setattr(importlib.metadata, "version", lambda of: known(of) + (of == "torch") * "1")  # noqa: E731
    assert other(torch) != before
    assert other(lambda patch: patch.setattr(platform, "python_version_tuple", lambda: ("3", "99", "0"))) != before
    assert other(lambda patch: None) == before


def test_a_shard_is_all_of_its_cells(tiny_config: dict) -> None:
    checked = config.check(tiny_config)
    cells = grid.expand(checked)
    whole = {fingerprint.of_cells(checked, cells[:n], "train") for n in (1, 2, 3)}
    assert len(whole) == 3


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert files.digest({"a": 1, "b": {"c": 2, "d": 3}}) == files.digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert files.digest({"a": 1}) != files.digest({"a": 2})


def test_json_holds_no_nan_and_a_refused_one_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{files.TEMPORARY}abc.json").write_text("{")
    (tmp_path / "kept.json").write_text("{}")
    files.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


def test_a_file_cut_short_is_seen_by_its_size_alone(tmp_path: Path) -> None:
    """Older than the list, so its bytes are not read."""
    path = tmp_path / "a"
    path.write_text("whole")
    listed, written = files.entry(path), path.stat().st_mtime_ns + 10**18
    assert files.differs(path, listed, written) == ""
    path.write_text("who")
    assert files.differs(path, listed, written) == "a has 3 bytes, not 5"
    path.write_text("whole!")
    assert files.differs(path, listed, written) == "a has 6 bytes, not 5"


def test_numbers_belong_to_their_purpose_and_to_every_part() -> None:
    drawn = [("time", 1, 11), ("noise", 1, 11), ("time", 11, 1), ("time", 111), ("time", 1, 1), ("time1", 11)]
    assert len({seeds.derive(*each) for each in drawn}) == len(drawn)
    assert len({seeds.generator(*each).initial_seed() for each in drawn}) == len(drawn)
    assert all(0 <= seeds.derive(*each) < 2**63 for each in drawn)
