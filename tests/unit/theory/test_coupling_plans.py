"""Couplings of a batch: what the solver of optimal transport may answer."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from reproflow.foundation.errors import ReproflowError
from reproflow.theory.couplings import get_coupling


def test_a_plan_that_is_no_permutation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of data that both get the first noise; a plan that exchanges them, the control, is taken."""
    x0, x1 = torch.tensor([[0.0], [1.0]]), torch.tensor([[5.0], [6.0]])
    rule, generator = get_coupling("ot"), torch.Generator()
    monkeypatch.setattr(ot, "emd", lambda *given, **options: np.array([[0.0, 0.5], [0.5, 0.0]]))
    assert rule(x0, x1, generator).tolist() == [[1.0], [0.0]]
    monkeypatch.setattr(ot, "emd", lambda *given, **options: np.array([[0.5, 0.0], [0.5, 0.0]]))
    with pytest.raises(ReproflowError, match="2 points gave no permutation"):
        rule(x0, x1, generator)
