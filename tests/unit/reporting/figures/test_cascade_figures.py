"""The figures of the cascade of bounds: what they draw and what they lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reproflow.analysis.bound_cascade import read_cascade
from reproflow.evaluation.bound_cascade.columns import COLUMNS
from reproflow.evaluation.collect import write_csv
from reproflow.reporting.figures import Source, st_cascade, st_terms
from reproflow.theory import bounds


def test_the_figure_says_what_is_missing_and_draws_what_is_there(
    tmp_path: Path, masked_cascade_rows: list[dict[str, Any]]
) -> None:
    for missing in (st_cascade, st_terms):
        assert missing.draw(Source(tmp_path))[1].empty
    about = {"cell": "c", "process": "masked", "dataset": "words", "path": "linear", "weighting": "elbo", "seed": 0}
    rows = [about | row for row in masked_cascade_rows]
    write_csv(tmp_path / "cascade.csv", COLUMNS, rows)
    read, why = read_cascade(tmp_path)
    assert (len(read), why) == (len(rows), "")
    figure, frame, caption = st_cascade.draw(Source(tmp_path))
    assert "ancestral" in caption
    assert {axes.get_xlabel() for axes in figure.axes} >= {"steps T of the chain", "share m of hidden tokens"}
    assert set(frame["quantity"]) == {
        "entropy", "path_kl", "elbo", "path_kl_steps", "weighted_sum", "data_model_kl"
    }  # fmt: skip
    figure, frame, caption = st_terms.draw(Source(tmp_path))
    sums = {row["at"]: row["value"] for row in rows if row["quantity"] == "weighted_sum"}
    of_the_sum = [value / sums[name] for name, value in zip(frame["weighting_summed"], frame["value"], strict=True)]
    np.testing.assert_allclose(frame["share"], of_the_sum, rtol=1e-9)
    assert set(frame["weighting_summed"]) == {row["at"] for row in rows if row["quantity"] == "weighted_sum"}
    assert len(figure.axes[0].patches) == len(frame)
    slanted = {label.get_text() for label in figure.axes[0].get_yticklabels() if label.get_fontstyle() == "italic"}
    assert slanted == {row["at"] for row in rows if row.get("verdict") == bounds.NOT_REPRESENTABLE}
    (tmp_path / "cascade.csv").write_text("nonsense\n")
    assert "cannot be read" in read_cascade(tmp_path)[1]
