"""From a spec to a component: what a weighting of one's own multiplies, and that a file is checked before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from reproflow.foundation import specs
from reproflow.foundation.errors import UsageError
from reproflow.theory.components import resolve
from reproflow.theory.weightings import get_weighting

OWN = {"name": "mine", "spec": "expr:1/(1 - t)", "on": "eps"}


def test_what_a_weighting_of_ones_own_multiplies_is_kept() -> None:
    parsed = specs.parse(OWN, "weighting")
    assert resolve("weighting", parsed).entry.meta["on"] == "eps"
    assert get_weighting(parsed, "gaussian").on == "eps"


def test_a_file_is_checked_before_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that the function does not have is found in the file's text; its code has not run."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text('from pathlib import Path\nPath("ran").touch()\n\n\ndef f(t, lam):\n    return t\n')
    with pytest.raises(UsageError, match="power"):
        resolve("weighting", "own.py:f:power=2")
    assert not Path("ran").exists()
