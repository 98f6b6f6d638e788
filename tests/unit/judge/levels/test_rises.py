"""What counts as a rise from level to level, where the digits of a table allow for some."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reproflow.foundation.tables import table
from reproflow.judge.levels import verdicts
from reproflow.judge.levels.judgement import levels_of
from reproflow.judge.levels.weights import level_weights


def test_steps_within_the_digits_add_up_to_a_rise() -> None:
    """1, 1.1, .., 2, each to a tenth: 0.9 x 1.3 is the first that is surely above 1.1 x 1."""
    w = 1 + 0.1 * np.arange(11)
    [found] = verdicts._climbs(w, np.full(11, 0.1))
    assert (found.first, found.last) == (2, 10)
    assert verdicts._climbs(w, np.full(11, 0.4)) == []


def test_a_step_has_the_rounding_of_both_its_levels() -> None:
    """lam = -2 log sigma is off by 1e-3 at index 1 alone: so are the steps to it and from it."""
    sigmas = np.array([0.1, 0.4, 1.0, 3.0, 9.0])
    levels = replace(
        levels_of("gaussian", "linear", None, table("sigmas", sigmas), "sigmas"), rounding=np.eye(5)[1] * 1e-3
    )
    steps = 2 * np.diff(np.log(sigmas))
    wanted = [0, 1e-3 / steps[0], 1e-3 / steps[1], 0, 0]
    assert verdicts._noise(level_weights(levels, np.ones(5), "x1", np.full(5, 0.2))) == pytest.approx(wanted, rel=1e-9)
