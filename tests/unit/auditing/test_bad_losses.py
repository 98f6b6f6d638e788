"""What cannot be read is told in one line with the reason and the way out, and exit 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from losses import unreadable
from losses.stated import SHAPE

from reproflow import cli
from reproflow.auditing.audit import audit
from reproflow.foundation import code_limits
from reproflow.foundation.errors import UsageError

FILE = Path(unreadable.__file__)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", unreadable.SAYS)
def test_what_cannot_be_read_says_why_and_what_to_do(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        audit(getattr(unreadable, name), SHAPE, batch=8)
    for words in unreadable.SAYS[name]:
        assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("never_ends", "did not come back within 2 s and was stopped; look for a loop"),
        pytest.param("sleeps_for_ever", "it sleeps", marks=pytest.mark.slow),
        pytest.param("exits", "ended the process (exit code 0) instead of returning a value", marks=pytest.mark.slow),
        pytest.param("generator_unseen", "default_rng", marks=pytest.mark.slow),
        pytest.param("on_the_gpu", "needs a GPU", marks=pytest.mark.slow),
        pytest.param("another_network", "never calls the network", marks=pytest.mark.slow),
        pytest.param("nan_returned", "not finite", marks=pytest.mark.slow),
    ],
)
def test_the_command_exits_with_2(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(code_limits.TIME, "2")
    assert cli.run(["audit", f"{FILE}:{name}", "--shape", "3,4,4", "--batch", "8"]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.strip().splitlines()) == 1
