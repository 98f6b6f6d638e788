"""The cascade of bounds on networks, against problems that can be enumerated or integrated."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor

from reproflow.evaluation.cascade import table
from reproflow.evaluation.cascade.chains import data_model_kl
from reproflow.evaluation.cascade.columns import COLUMNS
from reproflow.evaluation.cascade.gaussian import Gaussian
from reproflow.evaluation.cascade.masked import Masked
from reproflow.evaluation.cascade.profile import Profile, increments
from reproflow.evaluation.cascade.rows import identity
from reproflow.evaluation.collect import write_csv
from reproflow.evaluation.statistics import Measured
from reproflow.exact import posterior
from reproflow.foundation import seeds
from reproflow.foundation.schema import Cascade
from reproflow.learning.data import ImageData
from reproflow.reporting.cascade import contradicted, read_cascade
from reproflow.reporting.figures import st_cascade, st_terms
from reproflow.theory import bounds
from reproflow.theory.paths import get_path
from reproflow.theory.weightings import get_weighting

# Six words of three tokens, two of them twice, in two classes.
WORDS = torch.tensor([[0, 0, 1], [0, 1, 1], [0, 0, 1], [2, 1, 0], [2, 2, 0], [1, 2, 2]], dtype=torch.uint8)
LABELS = torch.tensor([0, 0, 0, 1, 1, 1])
DATA = ImageData("words", (1, 1, 3), 3, 2, WORDS, LABELS, WORDS, LABELS)
MASKED = get_path("linear", "masked")
SETTINGS = Cascade(images=200, steps=(8, 16), samples=2000)


@dataclass
class Off:
    """A masked network that is off: logits by position and number of hidden tokens; it sees neither words nor class."""

    path: Any
    device: Any = "cpu"

    def logits(self, z: Tensor, y: Tensor) -> Tensor:
        hidden = (z == 3).sum(1).double()
        base = torch.tensor([[0.9, 0.1, -0.3], [-0.2, 0.4, 0.3], [0.2, 0.5, 0.1]], dtype=torch.float64)
        return base + 0.2 * hidden[:, None, None] * torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)


@dataclass
class Shrunk:
    """A Gaussian network that answers with the best linear guess of unit-variance data, times 0.8."""

    path: Any
    device: Any = "cpu"

    def x1(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        alpha, sigma = self.path(t.double())
        return (0.8 * (alpha / (alpha**2 + sigma**2))[:, None] * x.double()).float()


def monotone(rows: list[dict[str, Any]]) -> bool:
    """Whether PKL falls from level to level towards the noise (Theorem 1), by the paths of the chain, which could rise.

    The integral of the excess cannot: its strata are divergences, hence never negative.
    """
    values = [row["reference"] for row in rows if row["quantity"] == "path_kl"]
    return all(a >= b for a, b in itertools.pairwise(values))


def random(name: str) -> torch.Generator:
    return seeds.generator("test", name)


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


@pytest.fixture(scope="module")
def masked_rows() -> list[dict[str, Any]]:
    return table.measure(Masked(Off(MASKED), DATA), MASKED, SETTINGS)


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

    def test_theorem_2_holds_and_its_control_does_not(self, masked_rows: list[dict[str, Any]]) -> None:
        sums = {row["at"]: row for row in masked_rows if row["quantity"] == "weighted_sum"}
        for name in ("elbo", "sigmoid", "simple"):
            assert (sums[name]["verdict"], sums[name]["control_verdict"]) == ("supported", "refuted"), sums[name]
        for name in ("iddpm", "edm", "p2", "min_snr"):
            assert sums[name]["verdict"] == bounds.NOT_REPRESENTABLE
            assert "rises" in sums[name]["reason"]
        # sigmoid(0) is w = m on the linear schedule
        exact = integrated(enumerated_gaps(), 0.0, lambda m: m)
        for side, error in (("value", "se"), ("reference", "reference_se")):
            assert abs(sums["sigmoid"][side] - exact) < 4 * sums["sigmoid"][error] + 1e-3

    def test_the_terms_of_the_sum_are_those_of_fig_1(self, masked_rows: list[dict[str, Any]]) -> None:
        """w = m: no atom, a quarter of nu in each quarter of the way; ELBO: the atom alone."""
        gaps = enumerated_gaps()
        found = {row["at"]: row for row in masked_rows if row["quantity"] == "weighted_term"}
        for low in (0.0, 0.25, 0.5, 0.75):
            row = found[f"sigmoid, m={low:g} to {low + 0.25:g}"]
            exact = integrate.quad(lambda m: integrated(gaps, m), max(low, 1e-9), low + 0.25)[0]
            assert abs(row["value"] - exact) < 4 * row["se"] + 1e-4
            assert row["reference"] == pytest.approx(0.25, abs=2e-3)
        assert found["sigmoid, m=0 alone"]["reference"] == pytest.approx(0, abs=2e-3)
        gap = next(row for row in masked_rows if row["quantity"] == "path_kl" and row["at"] == "m=0")
        assert found["elbo, m=0 alone"]["value"] == pytest.approx(gap["value"], rel=1e-12)
        sums = {row["at"]: row["value"] for row in masked_rows if row["quantity"] == "weighted_sum"}
        for name, total in sums.items():
            parts = [row["value"] for at, row in found.items() if at.partition(",")[0] == name]
            assert len(parts) == 5
            assert sum(parts) == pytest.approx(total, rel=1e-10)
        assert min(row["reference"] for at, row in found.items() if at.startswith("iddpm")) < 0

    def test_the_chain_of_bounds_falls_and_bounds_the_model(self, masked_rows: list[dict[str, Any]]) -> None:
        assert monotone(masked_rows)
        counted = [row for row in masked_rows if row["quantity"] == "data_model_kl"]
        assert {row["verdict"] for row in counted} == {"supported"}
        entropy = 0.5 * (special.entr([2 / 3, 1 / 3]).sum() + math.log(3))
        assert masked_rows[0]["value"] == pytest.approx(entropy, abs=1e-12)


class TestGaussian:
    def test_the_gap_of_the_bound_is_the_integral_on_two_points(self) -> None:
        """One pixel, two points ±1: E[x|x_t] = tanh(alpha x/sigma²); by quadrature over x_t and lam."""
        pixels = torch.tensor([[0], [1]], dtype=torch.uint8)
        data = ImageData("pixel", (1, 1, 1), 2, 1, pixels, torch.zeros(2).long(), pixels, torch.zeros(2).long())
        levels = torch.linspace(-3, 6, 37, dtype=torch.float64)
        profile = Gaussian(Shrunk(get_path("cosine")), data).profile(levels, 4000, random("pixel"))

        def excess(lam: float) -> float:
            alpha, sigma = math.sqrt(special.expit(lam)), math.sqrt(special.expit(-lam))
            x, w = np.polynomial.hermite_e.hermegauss(80)
            seen = alpha + sigma * x
            far = (0.8 * alpha * seen - np.tanh(alpha * seen / sigma**2)) ** 2
            return 0.5 * math.exp(lam) * float(w @ far) / math.sqrt(2 * math.pi)

        for index in (0, 12, 24):
            exact = integrate.quad(excess, -6, -float(levels[index]))[0]
            found = profile.path_kl(index)
            assert abs(found.value - exact - profile.prior.value) < 4 * found.se
        # At lam = -6 a mixture of ±alpha and the base differ by about alpha^4/4 less what variance hides: very little.
        assert 0 <= profile.prior.value < 1e-5

    def test_chains_tend_to_the_limit_and_theorem_2_holds(self) -> None:
        values = torch.tensor([[0, 2, 1], [2, 2, 0], [1, 0, 2], [0, 1, 1]], dtype=torch.uint8)
        data = ImageData("few", (1, 1, 3), 3, 1, values, torch.zeros(4).long(), values, torch.zeros(4).long())
        cosine = get_path("cosine")
        rows = table.measure(Gaussian(Shrunk(cosine), data), cosine, Cascade(images=100, steps=(16, 128)))
        last = [row for row in rows if row["quantity"] == "path_kl_steps"][-1]
        error = math.hypot(last["se"], last["reference_se"])
        assert abs(last["value"] - last["reference"]) < 4 * error + 0.02 * last["reference"]
        sums = {row["at"]: row for row in rows if row["quantity"] == "weighted_sum"}
        for name in ("elbo", "sigmoid", "fm", "edm_monotone"):
            assert (sums[name]["verdict"], sums[name]["control_verdict"]) == ("supported", "refuted"), sums[name]
        assert monotone(rows)
        # Near the noise both are next to nothing, and may not be told apart.
        counted = [row["verdict"] for row in rows if row["quantity"] == "data_model_kl"]
        assert counted[0] == "supported"
        assert "refuted" not in counted


def test_kernels_are_densities_and_classes_are_kept_apart() -> None:
    x, points = torch.randn(5, 3, generator=random("x")).double(), torch.randn(4, 3, generator=random("p")).double()
    alpha, sigma = torch.full((5,), 0.6, dtype=torch.float64), torch.full((5,), 0.8, dtype=torch.float64)
    laws = [stats.multivariate_normal(0.6 * p, 0.64 * np.eye(3)) for p in points.numpy()]
    wanted = [[law.logpdf(row) for law in laws] for row in x.numpy()]
    kernel = posterior.log_kernel(x, points, alpha, sigma)
    np.testing.assert_allclose(kernel.numpy(), wanted, rtol=1e-12)
    own = posterior.of_class(kernel, torch.tensor([0, 0, 1, 1, 0]), torch.tensor([0, 1, 0, 1]))
    np.testing.assert_allclose(
        float(posterior.log_marginal(own)[2]), np.log(np.mean(np.exp(np.array(wanted)[2, [1, 3]]))), rtol=1e-12
    )


def test_increments_integrate_by_parts() -> None:
    s = torch.linspace(0, 1, 2001, dtype=torch.float64)
    none = Measured(0.0, 0.0)
    profile = Profile(s, (1 - s**2)[:, None], torch.tensor([2.0]).double(), torch.tensor([0.1]).double(), none)
    # w = s: the integral of 2 (1 - s²) ds = 4/3
    found = profile.weighted(s)
    assert found.value == pytest.approx(4 / 3, abs=1e-6)
    assert found.se == pytest.approx(0.1 * 2 / 3, abs=1e-6)
    assert float(increments(torch.ones_like(s)).sum()) == 1.0


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (Measured(1.0, 0.01), Measured(1.02, 0.01), "supported"),
        (Measured(1.5, 0.01), Measured(1.0, 0.01), "refuted"),
        (Measured(1.08, 0.05), Measured(1.0, 0.01), "inconclusive"),
        (Measured(math.nan, 0.05), Measured(1.0, 0.01), "inconclusive"),
        # Eight replicates: 2.36 standard errors on either side, not 1.96.
        (Measured(1.06, 0.019), Measured(1.0, 0.0), "inconclusive"),
        (Measured(1.06, 0.0165), Measured(1.0, 0.0), "supported"),
    ],
)
def test_an_identity_is_decided_by_its_interval(a: Measured, b: Measured, verdict: str) -> None:
    assert identity(a, b) == verdict


@pytest.mark.parametrize(("late", "verdict"), [(1.5, "supported"), (1.05, "inconclusive"), (1.12, "inconclusive")])
def test_an_identity_needs_a_refuted_control(late: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Read:
        levels, prior = torch.linspace(0, 1, 5, dtype=torch.float64), Measured(0.0, 0.0)

        def weighted(self, w: torch.Tensor) -> Measured:
            return Measured(1.0, 0.01)

        def read_late(self, w: torch.Tensor) -> Measured:
            return Measured(late, 0.02)

    monkeypatch.setattr(table, "bound_verdict", lambda *_: ("certified", ""))
    sums = [1.0 + 0.01 * k for k in (-2, -1, 0, 0, 0, 0, 1, 2)]
    row = table._weighted_sum(get_path("linear", "masked"), get_weighting("elbo", "masked"), Read(), sums)
    assert row["verdict"] == verdict
    assert row["control_verdict"] == {1.5: "refuted", 1.05: "supported", 1.12: "inconclusive"}[late]


def test_points_that_no_sample_reaches_leave_it_open() -> None:
    occupied = torch.zeros(100, 2)
    occupied[:, 0] = 1
    row = data_model_kl("m=0", occupied, torch.zeros(100).long(), torch.zeros(2).long(), Measured(1.0, 0.1))
    assert row["verdict"] == "inconclusive"
    assert "1 of 2 points" in row["reason"]
    occupied[7] = torch.tensor([0.0, 1.0])
    row = data_model_kl("m=0", occupied, torch.zeros(100).long(), torch.zeros(2).long(), Measured(1.0, 0.1))
    assert math.isnan(row["value"])
    assert "1 of 2 points" in row["reason"], "one block alone has no jackknife error"
    occupied[8] = torch.tensor([0.0, 1.0])
    row = data_model_kl("m=0", occupied, torch.zeros(100).long(), torch.zeros(2).long(), Measured(1.0, 0.1))

    def plug_in(rare: int, n: int) -> float:
        return -0.5 * (math.log(2 * (1 - rare / n)) + math.log(2 * rare / n))

    # One of 20 blocks of five samples left out: for two of them a rare sample goes with it.
    left_out = (2 * plug_in(1, 95) + 18 * plug_in(2, 95)) / 20
    assert row["value"] == pytest.approx(20 * plug_in(2, 100) - 19 * left_out)
    assert row["se"] > 0


def test_true_bounds_do_not_alarm_the_gate_and_a_false_one_does() -> None:
    """Fifty networks whose KL equals its bound: rows are refuted by chance, the gate is alarmed one time in twenty."""
    rng = np.random.default_rng(3)
    alarms, refuted = 0, 0
    for _ in range(400):
        found = rng.standard_t(7, (50, 2))
        verdicts = np.where((found[:, 0] - found[:, 1]) / math.sqrt(2) > 1.96, "refuted", "inconclusive")
        frame = pd.DataFrame({
            "cell": [f"c{i}" for i in range(50)], "quantity": "data_model_kl", "at": "lam=-7", "value": found[:, 0],
            "se": 1.0, "reference": found[:, 1], "reference_se": 1.0, "verdict": verdicts,
        })  # fmt: skip
        refuted += int((verdicts == "refuted").sum())
        alarms += bool(contradicted(frame))
    assert refuted > 200
    assert alarms / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    frame.loc[3, ["value", "reference", "verdict"]] = [12.0, 0.0, "refuted"]
    assert contradicted(frame) == ["c3 data_model_kl lam=-7"]
    frame.loc[3, ["quantity", "value", "reference"]] = ["weighted_sum", 100.0, 112.0]
    assert contradicted(frame) == [], "within its tolerance, give or take the errors"


@pytest.mark.parametrize(("name", "verdict"), [("elbo", "certified"), ("min_snr", "not_representable")])
def test_verdicts_are_those_of_the_bound_property(name: str, verdict: str) -> None:
    assert table.bound_verdict(get_path("linear"), get_weighting(name, "gaussian"))[0] == verdict


def test_the_figure_says_what_is_missing_and_draws_what_is_there(
    tmp_path: Path, masked_rows: list[dict[str, Any]]
) -> None:
    for missing in (st_cascade, st_terms):
        assert missing.draw(tmp_path)[1].empty
    about = {"cell": "c", "process": "masked", "dataset": "words", "path": "linear", "weighting": "elbo", "seed": 0}
    rows = [about | row for row in masked_rows]
    write_csv(tmp_path / "cascade.csv", COLUMNS, rows)
    read, why = read_cascade(tmp_path)
    assert (len(read), why) == (len(rows), "")
    figure, frame, caption = st_cascade.draw(tmp_path)
    assert "ancestral" in caption
    assert {axes.get_xlabel() for axes in figure.axes} >= {"steps T of the chain", "share m of hidden tokens"}
    assert set(frame["quantity"]) == {
        "entropy", "path_kl", "elbo", "path_kl_steps", "weighted_sum", "data_model_kl"
    }  # fmt: skip
    figure, frame, caption = st_terms.draw(tmp_path)
    sums = {row["at"]: row["value"] for row in rows if row["quantity"] == "weighted_sum"}
    of_the_sum = [value / sums[name] for name, value in zip(frame["weighting_summed"], frame["value"], strict=True)]
    np.testing.assert_allclose(frame["share"], of_the_sum, rtol=1e-9)
    assert set(frame["weighting_summed"]) == {row["at"] for row in rows if row["quantity"] == "weighted_sum"}
    assert len(figure.axes[0].patches) == len(frame)
    slanted = {label.get_text() for label in figure.axes[0].get_yticklabels() if label.get_fontstyle() == "italic"}
    assert slanted == {row["at"] for row in rows if row.get("verdict") == bounds.NOT_REPRESENTABLE}
    (tmp_path / "cascade.csv").write_text("nonsense\n")
    assert "cannot be read" in read_cascade(tmp_path)[1]


def test_draws_do_not_depend_on_the_network() -> None:
    """Two networks of one process see the same images and masks, so that their differences are paired."""
    one, two = (
        Masked(Off(MASKED), DATA).excess(torch.full((8,), 0.5, dtype=torch.float64), random("pair")) for _ in range(2)
    )
    assert torch.equal(one, two)


def test_only_first_seeds_of_images_are_told() -> None:
    from reproflow.foundation import config

    text = Path(__file__).parents[2] / "configs" / "ci.yaml"
    run = SimpleNamespace(config=config.load(text))
    assert {cell.dataset for cell in table.cells(run)} == {"digits8"}  # type: ignore[arg-type]
    assert {cell.seed for cell in table.cells(run)} == {0}  # type: ignore[arg-type]
    assert json.dumps(run.config.cascade.model_dump())
