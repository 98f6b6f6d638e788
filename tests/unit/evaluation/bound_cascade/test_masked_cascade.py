"""The cascade of bounds on a masked network, against enumeration of a small set of words."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor
from word_cascade import DATA, LABELS, MASKED, WORDS, Off, monotone, random

from reproflow.evaluation.bound_cascade.masked import Masked
from reproflow.theory import bounds


def log_mu(z: Tensor) -> Tensor:
    return Off(MASKED).logits(z[None], None)[0].log_softmax(-1)  # type: ignore[arg-type]


def enumerated_gaps() -> dict[int, float]:
    """K_n: the mean over words and over sets of n hidden tokens of the KL from posterior to network, by loops."""
    found = {}
    for n in (1, 2, 3):
        total, count = 0.0, 0
        for word, label in zip(WORDS, LABELS, strict=True):
            for hidden in itertools.combinations(range(3), n):
                z = word.long().clone()
                z[list(hidden)] = 3
                fits = [
                    w
                    for w, v in zip(WORDS, LABELS, strict=True)
                    if v == label and all(z[i] in (3, w[i]) for i in range(3))
                ]
                for i in hidden:
                    law = np.bincount([int(w[i]) for w in fits], minlength=3) / len(fits)
                    total += float(special.rel_entr(law, log_mu(z)[i].exp().numpy()).sum())
                count += 1
        found[n] = total / count
    return found


def integrated(gaps: dict[int, float], low: float, weight: Any = lambda m: 1.0) -> float:
    """The integral of w(m) e(m) from `low` to 1, e the excess by the law of the number of hidden tokens."""

    def excess(m: float) -> float:
        return sum(stats.binom.pmf(n, 3, m) * gap for n, gap in gaps.items()) / m

    return float(integrate.quad(lambda m: weight(m) * excess(m), low, 1, limit=200)[0])


class TestMasked:
    def test_the_gap_of_the_bound_is_the_enumerated_one(self) -> None:
        gaps, levels = enumerated_gaps(), torch.linspace(0, 1, 41, dtype=torch.float64)
        profile = Masked(Off(MASKED), DATA).profile(levels, 4000, random("profile"))
        for index in (0, 10, 20, 36):
            found = profile.path_kl(index)
            assert abs(found.value - integrated(gaps, float(levels[index]))) < 4 * found.se
            assert found.se < 0.02

    def test_paths_of_chains_have_the_enumerated_mean(self) -> None:
        """PKL_0 in T steps is the mean of -log p(x) along a path, less H(q): here by every way to hide three tokens."""
        steps, total, count = 2, 0.0, 0
        for word in WORDS:
            for first in itertools.product(range(1, steps + 1), repeat=3):
                for j in range(steps, 0, -1):
                    z = torch.where(torch.tensor(first) <= j, 3, word.long())
                    total -= sum(float(log_mu(z)[i, int(word[i])]) for i in range(3) if first[i] == j)
                count += 1
        found = Masked(Off(MASKED), DATA).paths(steps, 20_000, torch.tensor([0]), random("paths"))[0]
        entropy = 0.5 * (special.entr([2 / 3, 1 / 3]).sum() + math.log(3))
        assert abs(float(found.mean()) - (total / count - entropy)) < 4 * float(found.std()) / math.sqrt(20_000)

    def test_a_model_that_is_known_is_counted(self) -> None:
        """All tokens hidden, then one step: p is the product of the network's laws at the empty word."""
        laws = log_mu(torch.full((3,), 3)).exp().numpy()
        model = np.array([np.prod([laws[i, int(w[i])] for i in range(3)]) for w in WORDS])
        y = LABELS.repeat(20_000)
        found = Masked(Off(MASKED), DATA).occupation(1, y, torch.tensor([0]), random("model"))[0]
        for label in (0, 1):
            rows = found[y == label][:, label == LABELS].double().mean(0).numpy()
            same = np.array([(WORDS[label == LABELS] == w).all(1).sum() for w in WORDS[label == LABELS]])
            np.testing.assert_allclose(rows, model[label == LABELS.numpy()] / same, atol=4 * math.sqrt(0.1 / 60_000))

    def test_theorem_2_holds_and_its_control_does_not(self, masked_cascade_rows: list[dict[str, Any]]) -> None:
        sums = {row["at"]: row for row in masked_cascade_rows if row["quantity"] == "weighted_sum"}
        for name in ("elbo", "sigmoid", "simple"):
            assert (sums[name]["verdict"], sums[name]["control_verdict"]) == ("supported", "refuted"), sums[name]
        for name in ("iddpm", "edm", "p2", "min_snr"):
            assert sums[name]["verdict"] == bounds.NOT_REPRESENTABLE
            assert "rises" in sums[name]["reason"]
        # sigmoid(0) is w = m on the linear schedule
        exact = integrated(enumerated_gaps(), 0.0, lambda m: m)
        for side, error in (("value", "se"), ("reference", "reference_se")):
            assert abs(sums["sigmoid"][side] - exact) < 4 * sums["sigmoid"][error] + 1e-3

    def test_the_terms_of_the_sum_are_those_of_fig_1(self, masked_cascade_rows: list[dict[str, Any]]) -> None:
        """w = m: no atom, a quarter of nu in each quarter of the way; ELBO: the atom alone."""
        gaps = enumerated_gaps()
        found = {row["at"]: row for row in masked_cascade_rows if row["quantity"] == "weighted_term"}
        for low in (0.0, 0.25, 0.5, 0.75):
            row = found[f"sigmoid, m={low:g} to {low + 0.25:g}"]
            exact = integrate.quad(lambda m: integrated(gaps, m), max(low, 1e-9), low + 0.25)[0]
            assert abs(row["value"] - exact) < 4 * row["se"] + 1e-4
            assert row["reference"] == pytest.approx(0.25, abs=2e-3)
        assert found["sigmoid, m=0 alone"]["reference"] == pytest.approx(0, abs=2e-3)
        gap = next(row for row in masked_cascade_rows if row["quantity"] == "path_kl" and row["at"] == "m=0")
        assert found["elbo, m=0 alone"]["value"] == pytest.approx(gap["value"], rel=1e-12)
        sums = {row["at"]: row["value"] for row in masked_cascade_rows if row["quantity"] == "weighted_sum"}
        for name, total in sums.items():
            parts = [row["value"] for at, row in found.items() if at.partition(",")[0] == name]
            assert len(parts) == 5
            assert sum(parts) == pytest.approx(total, rel=1e-10)
        assert min(row["reference"] for at, row in found.items() if at.startswith("iddpm")) < 0

    def test_the_chain_of_bounds_falls_and_bounds_the_model(self, masked_cascade_rows: list[dict[str, Any]]) -> None:
        assert monotone(masked_cascade_rows)
        counted = [row for row in masked_cascade_rows if row["quantity"] == "data_model_kl"]
        assert {row["verdict"] for row in counted} == {"supported"}
        entropy = 0.5 * (special.entr([2 / 3, 1 / 3]).sum() + math.log(3))
        assert masked_cascade_rows[0]["value"] == pytest.approx(entropy, abs=1e-12)


def test_draws_do_not_depend_on_the_network() -> None:
    """Two networks of one process see the same images and masks, so that their differences are paired."""
    one, two = (
        Masked(Off(MASKED), DATA).excess(torch.full((8,), 0.5, dtype=torch.float64), random("pair")) for _ in range(2)
    )
    assert torch.equal(one, two)
