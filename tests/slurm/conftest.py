"""One cluster for all tests, and a clone for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clones import Clone, make_clone
from cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture
def clone(tmp_path: Path, cluster: Cluster) -> Clone:
    return make_clone(tmp_path / "clone", cluster)
