"""`judge.divergence` on functions of a user's own file: sound, broken and faulty ones."""

from __future__ import annotations

import pytest
from judged_divergences import judged, verdicts

from reproflow import judge
from reproflow.foundation.errors import UsageError


@pytest.mark.usefixtures("user")
class TestFiles:
    @pytest.mark.parametrize(
        ("function", "expected", "target", "word"),
        [
            ("squared:k=3", ("supported", "supported"), "mean", "for positive numbers and for real numbers"),
            ("mahalanobis", ("supported", "supported"), "mean", "a Bregman divergence"),
            (
                "clamped",
                ("supported", "supported"),
                "mean",
                "for real numbers, where it is finite too: equal gradients",
            ),
            ("sums", ("supported", "refuted"), None, "flat at the truth"),
            ("first", ("supported", "refuted"), None, "flat at the truth"),
            ("detached", ("supported", "refuted"), None, "its graph is cut"),
            ("by_numpy", ("supported", "refuted"), None, "its graph is cut"),
            ("steps", ("supported", "refuted"), None, "made of steps"),
            ("norm_squared", ("supported", "supported"), "mean", "a Bregman divergence"),
            ("root_squared", ("supported", "supported"), "mean", "a Bregman divergence"),
            ("nearly", ("supported", "refuted"), "mean", "the truth is not exactly its only minimum"),
            ("shares_kl", ("refuted", "refuted"), "none of the known ones", "not defined for all real numbers"),
            ("constant", ("supported", "refuted"), None, "does not depend on the prediction"),
            ("norm", ("refuted", "refuted"), "none of the known ones", "closest is the"),
            ("insensitive", ("refuted", "refuted"), "none of the known ones", "neither the mean nor another"),
            ("single", ("refuted", "refuted"), "none of the known ones", "float32"),
            ("decorated", ("refuted", "refuted"), "median", "for real numbers and for positive numbers"),
        ],
    )
    @pytest.mark.default_cases(4)
    def test_verdicts(self, function: str, expected: tuple[str, str], target: str | None, word: str) -> None:
        found = judged(f"loss.py:{function}")
        assert verdicts(found) == expected
        assert found.identified["functional"] == target
        assert word in "; ".join([found.gradient["reason"], found.identified["reason"], found.reason])

    @pytest.mark.parametrize(
        ("spec", "word"),
        [
            ("loss.py:nan", r"is NaN at a = \("),
            ("loss.py:far", r"is NaN at a = \("),
            ("expr:log(a - b)", r"is NaN at a = \("),
            ("loss.py:shape", "of shape"),
            ("loss.py:mean", "depends on the others in its batch"),
            ("loss.py:shares", "depends on the others in its batch"),
            ("loss.py:random", "global random generator"),
            ("loss.py:raises", "raised ValueError in loss.py, line"),
            ("loss.py:three", r"cannot be called as three\(a, b, t, x\)"),
            ("loss.py:missing", "has no function 'missing'"),
            ("squard", "did you mean 'squared'"),
            ("huber:delta=-1", "outside its range"),
            ("expr:(a - c)**2", "unknown 'c'"),
        ],
    )
    def test_what_cannot_be_judged(self, spec: str, word: str) -> None:
        with pytest.raises(UsageError, match=word) as caught:
            judge.divergence(spec)
        assert len(str(caught.value).splitlines()) <= 3
