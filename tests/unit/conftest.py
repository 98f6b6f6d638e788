"""What tests of several layers read: synthetic results with their page, a cascade, and the published objectives."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from synthetic_results import write_results

if TYPE_CHECKING:
    from reproflow.reporting import published_objectives


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic results with all tables, figures and the page, made once for all processes of a run. Read only."""
    from reproflow.reporting.figures import write_figures
    from reproflow.reporting.html import write_report
    from reproflow.reporting.tables import write_tables

    ours = tmp_path_factory.getbasetemp()
    run = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
    folder, done = run / "reported" / "synthetic", run / "reported.done"
    with FileLock(run / "reported.lock"):
        if not done.exists():
            write_results(folder, tuple(range(8)))
            write_tables(folder)
            write_figures(folder)
            write_report(folder)
            done.touch()
    return folder


@pytest.fixture
def reported_copy(reported: Path, tmp_path: Path) -> Path:
    """The same, to break."""
    return Path(shutil.copytree(reported, tmp_path / "copy"))


@pytest.fixture(scope="session")
def masked_cascade_rows() -> list[dict[str, Any]]:
    """The cascade of bounds of `word_cascade`'s network; to be read, not changed."""
    import word_cascade

    return word_cascade.masked_rows()


@pytest.fixture(scope="session")
def published_table() -> published_objectives.Field:
    """The committed table of published objectives."""
    from reproflow.judge import published_objectives_table

    return published_objectives_table.read()
