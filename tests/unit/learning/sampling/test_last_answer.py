"""The levels of an image are those nearest to the last answer, at the last time and for the image's own class."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from labelled_laws import images
from torch import Tensor

from reproflow.learning.processes import gaussian

Y = torch.tensor([2, 0, 1, 1])


class Asked:
    """A network whose answer is the level of the class; it notes the times and classes that it was asked for."""

    device = torch.device("cpu")

    def __init__(self, values: Tensor) -> None:
        self.values, self.seen = values, []

    def x1(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        self.seen.append((t.tolist(), y.tolist()))
        return self.values[y][:, None].expand_as(x) + 0.01


@pytest.mark.parametrize("solver", ["sde", "heun"])
def test_the_last_answer_is_for_an_images_own_class(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, moved = images(2, 3, 3), torch.full((4, 2), 5.0)
    monkeypatch.setattr(gaussian, "sample_sde", lambda *_: (moved, 7))
    monkeypatch.setattr(gaussian, "sample_gaussian", lambda *_: (moved, 7))
    rows = SimpleNamespace(n=4, normal=lambda step: torch.zeros(4, 2))
    settings = SimpleNamespace(solver=solver, steps=7, eta=1.0)
    network = Asked(shown.values)
    found, calls = gaussian.sample(network, shown, rows, Y, settings, (0.125, 0.75))
    assert found.tolist() == [[level] * 2 for level in Y.tolist()]
    assert found.dtype == torch.uint8
    assert network.seen == [([0.75] * 4, Y.tolist())]
    assert calls == 8
