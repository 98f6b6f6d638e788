"""Random input through the parsers and checks: every one is answered, and nothing is left behind."""

from __future__ import annotations

import fuzz_campaign as campaign
import fuzz_doors as doors
import pytest


@pytest.mark.parametrize(
    ("target", "count"),
    [("configurations", 150), ("specs and expressions", 150), ("command lines", 40), ("tables", 150)],
)
def test_every_input_is_answered(target: str, count: int) -> None:
    outcome = campaign.job(target, count, seed=1)
    assert outcome.broken == []
    assert outcome.counts.total() == count
    assert len(outcome.counts) > 1, "some are taken and some are refused, or nothing is tried"


@pytest.mark.slow
def test_every_judged_input_is_answered() -> None:
    outcome = campaign.job("judged", 60, seed=1)
    assert outcome.broken == []
    assert {"exit 0", "exit 2", "exit 3"} <= {*outcome.counts}
    tables = campaign.job("judged tables", 30, seed=1)
    assert tables.broken == []
    assert len(tables.counts) > 1


def test_what_is_not_answered_is_noticed() -> None:
    """The control: an exception of ours, a message that says nothing, a loop without an end, a file that is left."""

    def fails(_: object) -> str:
        raise KeyError("path")

    with pytest.raises(doors.Broken, match="KeyError"):
        doors.answered(fails, "x")

    def silent(_: object) -> str:
        raise doors.UsageError(" ")

    with pytest.raises(doors.Broken, match="a message of 1 characters"):
        doors.answered(silent, "x")


def test_a_loop_without_an_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "SECONDS", 0.05)

    def endless(_: object) -> str:
        while True:
            pass

    with pytest.raises(doors.Broken, match="does not end"):
        doors.answered(endless, "x")


def test_a_file_that_is_left_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves(_: object) -> str:
        doors.Path("left").touch()
        return "accepted"

    target = "specs and expressions"
    monkeypatch.setitem(campaign.TARGETS, target, (leaves, *campaign.TARGETS[target][1:]))
    assert "left" in campaign.job(target, 2, seed=0).broken[0][1]
