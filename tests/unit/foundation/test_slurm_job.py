"""A stopped job goes back into Slurm's queue where that is right, and nowhere else. Real Slurm: tests/slurm."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
import yaml
from repository import ROOT

from reproflow.cli import common
from reproflow.foundation import slurm
from reproflow.foundation.errors import InterruptedRun

ID = "896c957e-e952-4981-a152-216d9cabfca4"
OURS = f"{slurm.PREFIX}_{ID}"
SHOW = (
    "JobId=7 JobName={name} JobState={state} Reason=None Requeue={requeue} Restarts={restarts} Comment=a=b "
    f"JobName={OURS} JobState=RUNNING Requeue=1"
)


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A `scontrol` that knows job 7 and writes down what it is told; sets the job's state. The job's comment, a user's
    own text, says that all is well."""

    def install(
        state: str = "RUNNING", requeue: int = 1, restarts: int = 0, code: int = 0, name: str = OURS, step: str = "0"
    ) -> Path:
        told = tmp_path / "told"
        script = tmp_path / "scontrol"
        said = SHOW.format(state=state, requeue=requeue, restarts=restarts, name=name)
        script.write_text(f'#!/bin/sh\necho "$@" >> {told}\n[ "$1" = show ] && echo "{said}"\nexit {code}\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        monkeypatch.setenv("SLURM_STEP_ID", step)
        return told

    return install


def test_a_running_job_is_put_back(scontrol) -> None:
    told = scontrol()
    assert slurm.put_back()
    assert told.read_text().splitlines() == ["show job --oneliner 7", "requeue 7"]


@pytest.mark.parametrize(
    "about",
    [
        {"state": "CANCELLED"},
        {"state": "TIMEOUT"},
        {"requeue": 0},
        {"restarts": slurm.MOST_RESTARTS},
        {"code": 1},
        {"name": "mine"},
        {"name": "reproflow"},
        {"name": f"reproflow_{ID}.sh"},
        {"name": ID},
        {"step": "1"},
        {"step": "4294967291"},
    ],
    ids=str,
)
def test_others_are_left_alone(scontrol, about: dict[str, object]) -> None:
    told = scontrol(**about)
    assert not slurm.put_back()
    assert not told.exists() or "requeue 7" not in told.read_text()


def test_the_profile_marks_its_jobs_so() -> None:
    profile = ROOT / "workflow" / "profiles" / "slurm" / "config.yaml"
    assert yaml.safe_load(profile.read_text())["slurm-jobname-prefix"] == slurm.PREFIX


def test_in_a_batch_script_itself_nothing_is_asked(scontrol, monkeypatch: pytest.MonkeyPatch) -> None:
    told = scontrol()
    monkeypatch.delenv("SLURM_STEP_ID")
    assert not slurm.put_back()
    assert not told.exists()


def test_outside_a_job_nothing_is_asked(scontrol, monkeypatch: pytest.MonkeyPatch) -> None:
    told = scontrol()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert not slurm.put_back()
    assert not told.exists()


def test_without_scontrol_it_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("PATH", "")
    assert not slurm.put_back()
    assert "could not be put back" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_a_verb_and_puts_its_job_back(scontrol, number: signal.Signals) -> None:
    told = scontrol()
    before = signal.getsignal(number)

    @common.stoppable
    def verb(name: str) -> None:
        os.kill(os.getpid(), number)
        raise AssertionError("went on")

    with pytest.raises(InterruptedRun, match=f"stopped by {number.name}") as stopped:
        verb("x")
    assert stopped.value.exit_code == 75
    assert "requeue 7" in told.read_text()
    assert signal.getsignal(number) is before


def test_training_is_put_back_after_it_has_saved(scontrol) -> None:
    told = scontrol()

    def train() -> None:
        with common.stop_requests() as should_stop:
            assert not should_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert should_stop()
            assert not told.exists(), "not before"
            raise InterruptedRun("saved")

    with pytest.raises(InterruptedRun, match="saved"):
        train()
    assert "requeue 7" in told.read_text()


def test_a_locked_cell_is_not_put_back(scontrol) -> None:
    told = scontrol()
    with pytest.raises(InterruptedRun, match="locked"), common.stop_requests():
        raise InterruptedRun("locked by another process")
    assert not told.exists()
