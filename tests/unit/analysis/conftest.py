"""Synthetic results of ten seeds, for the comparison and the tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_results import write_results


@pytest.fixture(scope="session")
def ten_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder; to be read, not changed."""
    return write_results(tmp_path_factory.mktemp("tables") / "synthetic", tuple(range(10)))
