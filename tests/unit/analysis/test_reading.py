"""Tables as they are read: whole rows alone, tables of these very cells alone; and what late training and twins are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from synthetic_results import write_results

from reproflow.analysis.reading import Missing, read_table
from reproflow.analysis.results import load_results
from reproflow.analysis.trained_equivalence import _identical
from reproflow.analysis.weight_or_law import late_squares
from reproflow.foundation.errors import UsageError
from reproflow.reporting.tables import write_tables


@pytest.mark.parametrize("row", ["x", "x,1,2,3", ""])
def test_rows_of_another_length_are_left_out_and_said(tmp_path: Path, row: str) -> None:
    (tmp_path / "cells.csv").write_text(f"cell,seed,status\na,0,ok\n{row}\nb,1,ok\n")
    missing: list[Missing] = []
    frame = read_table(tmp_path / "cells.csv", ["cell", "seed"], missing)
    assert (frame["cell"].to_list(), frame["seed"].to_list()) == (["a", "b"], [0.0, 1.0])
    assert [str(each) for each in missing] == ["cells.csv: broken rows left out (lines 3)"]


def test_tables_of_other_cells_are_refused(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1))
    write_tables(folder)
    assert len(load_results(folder).comparison())
    text = (folder / "cells.csv").read_text()
    (folder / "cells.csv").write_text(text.replace(",ok,", ",failed,", 1))
    for name in ("comparison", "equivalence"):
        with pytest.raises(UsageError, match=f"tables/{name}.csv was computed from another cells.csv"):
            load_results(folder).table(name)


def member(key: str, **metrics: list[float]) -> SimpleNamespace:
    frame = pd.DataFrame(metrics).assign(status="ok", weighting=key)
    return SimpleNamespace(key=key, cells=frame.assign(seed=range(len(frame)), cell=[key] * len(frame)))


def test_networks_are_the_same_where_every_number_is() -> None:
    one = member("a", nll_nats=[1.0, 2.0], fid_test=[3.0, 4.0])
    assert _identical(one, member("b", nll_nats=[1.0, 2.0], fid_test=[3.0, 4.0]), ["nll_nats", "fid_test"])
    other = member("b", nll_nats=[1.0, 2.0], fid_test=[3.0, 4.5])
    assert not _identical(one, other, ["nll_nats", "fid_test"])
    assert _identical(one, other, ["nll_nats"])
    assert not _identical(one, one, []), "without a number nothing is the same"


def test_late_norms_are_squares_of_the_last_quarter() -> None:
    """Large early, small late."""
    curves = pd.DataFrame({
        "cell": ["a"] * 4 + ["b"] * 4, "step": [25, 50, 75, 100] * 2,
        "grad_norm": [100.0, 50.0, 3.0, 4.0, 100.0, 50.0, 1.0, 2.0],
    })  # fmt: skip
    cells = pd.DataFrame({"cell": ["a", "b", "c"], "seed": [0, 1, 2], "status": ["ok", "ok", "failed"]})
    found = late_squares(SimpleNamespace(curves=curves), SimpleNamespace(cells=cells))
    assert found == {0: 12.5, 1: 2.5}
