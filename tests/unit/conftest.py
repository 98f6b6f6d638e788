"""One synthetic results folder with all its figures and its page, for the tests that read it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from synthetic_results import write_results


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic results with all figures and the page; to be read, not changed."""
    from reproflow.reporting.figures import write_figures
    from reproflow.reporting.html import write_report

    folder = write_results(tmp_path_factory.mktemp("reported") / "synthetic", tuple(range(8)))
    write_figures(folder)
    write_report(folder)
    return folder


@pytest.fixture
def copy(reported: Path, tmp_path: Path) -> Path:
    """The same, to break."""
    return Path(shutil.copytree(reported, tmp_path / "copy"))
