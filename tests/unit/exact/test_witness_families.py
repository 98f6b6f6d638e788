"""The curves of one witness are those of its row in the table of all."""

from __future__ import annotations

import numpy as np
import pytest

from reproflow.exact import witness


@pytest.mark.parametrize(("process", "row"), [("gaussian", 30), ("gaussian", 45), ("masked", 2), ("masked", 40)])
def test_one_example_has_the_curves_of_the_table(process: str, row: int) -> None:
    family = witness.FAMILIES[process]()
    _, parameters = family.examples()[row]
    for alone, table in zip(family.at(parameters, witness.LAM), family.curves(), strict=True):
        assert np.ptp(alone) > 0.1
        assert alone == pytest.approx(table[row], abs=1e-12)
