"""One thread, as in every job: numbers depend on the thread count."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
import torch
from compiled_modules import keep_apart
from repository import ROOT

keep_apart(ROOT / "build" / "bytecode")
# While modules are imported, too: some compute at their top level.
torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays until the end: the garbage collector need not look through it again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test with `default_cases(n)`, n cases spread evenly are in the default suite; the others are marked slow."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("default_cases") and not item.get_closest_marker("slow"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for all_of_one in cases.values():
        marker = all_of_one[0].get_closest_marker("default_cases")
        assert marker is not None
        (count,) = marker.args
        kept = {i * len(all_of_one) // count for i in range(count)}
        for i, item in enumerate(all_of_one):
            if i not in kept:
                item.add_marker("slow")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """One thread again, whatever the test before has set."""
    torch.set_num_threads(1)


@pytest.fixture
def tiny_config() -> dict:
    """A configuration whose training takes a second: three cells of toy data."""
    return {
        "name": "tiny",
        "experiments": [
            {
                "name": "toy",
                "process": "gaussian",
                "dataset": "eight_gaussians",
                "paths": ["linear"],
                "weightings": ["uniform", "elbo", "min_snr:gamma=3"],
                "seeds": [0],
                "model": {"width": 16, "depth": 2},
                "training": {"steps": 40, "batch": 32, "warmup": 5, "save_every": 10},
                "sampling": {"solver": "euler", "steps": 4, "n": 64},
                "likelihood": {"points": 32, "steps": 25},
            }
        ],
    }
