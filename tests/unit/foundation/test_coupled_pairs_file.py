"""Files of pairs are read by their header: one of anything else is named as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reproflow.foundation import coupled_pairs_file
from reproflow.foundation.errors import UsageError
from reproflow.learning.data import tensor_files


@pytest.mark.parametrize("kind", ["pairs", "samples"])
def test_only_pairs_are_pairs(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "some.safetensors"
    tensor_files.write_tensors(file, {"x0": torch.zeros(4, 2), "x1": torch.zeros(4, 2)}, {"kind": kind})
    if kind == "pairs":
        assert coupled_pairs_file.shapes(str(file)) == {"x0": [4, 2], "x1": [4, 2]}
    else:
        with pytest.raises(UsageError, match="holds samples data, not pairs"):
            coupled_pairs_file.shapes(str(file))
