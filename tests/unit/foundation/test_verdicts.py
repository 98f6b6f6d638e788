"""A number as JSON can hold it."""

from __future__ import annotations

import json
import math

import pytest

from reproflow.foundation.verdicts import number


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.1, "0.1"), (-0.0, "-0.0"), (math.inf, '"inf"'), (-math.inf, '"-inf"'), (math.nan, "null"), (-math.nan, "null")],
)
def test_every_number_can_be_written(value: float, written: str) -> None:
    assert json.dumps(number(value), allow_nan=False) == written
