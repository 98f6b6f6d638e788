"""Sizes that files of pairs must keep to, read from their header when a configuration is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reproflow.foundation import limits
from reproflow.learning.data import tensor_files

POINTS = {"dim": 2}
IMAGES = {"dim": 2, "classes": 3}


def pairs(folder: Path, **tensors: torch.Tensor) -> str:
    file = folder / "pairs.safetensors"
    tensor_files.write_tensors(file, tensors, {"kind": "pairs"})
    return str(file)


@pytest.mark.parametrize(("x0", "x1"), [((4, 2), (3, 2)), ((4, 3), (4, 2)), ((4, 3), (4, 3)), ((0, 2), (0, 2))])
def test_noise_and_data_have_one_shape_which_is_that_of_the_data(
    x0: tuple[int, int], x1: tuple[int, int], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"x0 and x1 must both have shape \(N, 2\)"):
        limits.check_pairs(pairs(tmp_path, x0=torch.zeros(x0), x1=torch.zeros(x1)), "some", POINTS)
    limits.check_pairs(pairs(tmp_path, x0=torch.zeros(4, 2), x1=torch.zeros(4, 2)), "some", POINTS)


@pytest.mark.parametrize("labels", [None, 3, 4])
def test_data_with_classes_need_a_label_each(labels: int | None, tmp_path: Path) -> None:
    y = {} if labels is None else {"y": torch.zeros(labels, dtype=torch.int64)}
    file = pairs(tmp_path, x0=torch.zeros(4, 2), x1=torch.zeros(4, 2), **y)
    if labels == 4:
        limits.check_pairs(file, "some", IMAGES)
    else:
        with pytest.raises(ValueError, match="has 3 classes, so y must have N = 4"):
            limits.check_pairs(file, "some", IMAGES)
