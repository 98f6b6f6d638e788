"""Right losses of unusual shape: no false alarm, and path and target by their names. All of them with `-m slow`."""

from __future__ import annotations

import pytest
from losses.run import UNUSUAL, of

from reproflow.auditing.findings import Level

DAILY = (
    "in_place_throughout",
    "bfloat16_states",
    "bfloat16_loss_a_sample",
    "antithetic_noise",
    "flipped_at_random",
    "in_patches",
)


@pytest.mark.parametrize("key", [pytest.param(key, marks=() if key in DAILY else pytest.mark.slow) for key in UNUSUAL])
@pytest.mark.default_cases(3)
def test_a_right_loss_is_not_accused(key: str) -> None:
    case = UNUSUAL[key]
    found = of(case)
    asked = {each.id for each in found.findings if each.level is not Level.NOTE}
    assert asked == set()
    assert found.exit_code == 0
    named = found.identification
    assert named.path is not None
    assert named.target is not None
    assert (named.path["name"], named.target["name"]) == (case.path, case.target)
    assert named.canonical is not None


def test_there_are_enough_of_them() -> None:
    assert len(UNUSUAL) >= 20
