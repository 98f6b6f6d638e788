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
