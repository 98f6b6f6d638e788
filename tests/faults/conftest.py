"""The weights of the tiny configuration, trained without a disturbance."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_runs import open_run, train, weights


@pytest.fixture
def undisturbed(tiny_config: dict, tmp_path: Path) -> dict:
    results = open_run(tiny_config, tmp_path / "undisturbed")
    train(results)
    return weights(results)
