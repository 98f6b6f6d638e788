"""The tutorials' figures: every number against another way to it, and captions that hold.

That they are the same bytes each time is asked of all figures, in `test_figures`.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.stats import norm

from reproflow.reporting.figures import Source, figures

Drawn = dict[str, tuple[pd.DataFrame, str]]

TUTORIALS = [name for name in figures() if name.startswith("tut_")]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Numbers and caption of every tutorial figure, from an empty results folder."""
    from reproflow.reporting.figures import style

    folder = tmp_path_factory.mktemp("nothing")
    with style.styled():
        return {name: figures()[name](Source(folder))[1:] for name in TUTORIALS}


def test_there_are_six_and_all_are_drawn_without_results(drawn: Drawn) -> None:
    assert len(drawn) == 6
    for frame, caption in drawn.values():
        assert len(frame) > 100
        assert len(caption) > 200
        assert "nan" not in caption


def test_the_posterior_is_the_softmax_of_squared_distances(drawn: Drawn) -> None:
    from reproflow.learning.data import get_dataset

    frame, caption = drawn["tut_posterior"]
    digits = get_dataset("digits8").train.numpy() / 8.0 - 1
    images = frame.dropna(subset="pixel")
    for t, own in images.groupby("t"):
        parts = {name: part["value"].to_numpy() for name, part in own.groupby("quantity") if name != "likeliest"}
        x, index = parts["x_t"], int(own["index"].iloc[0])
        log = -((x - t * digits) ** 2).sum(1) / (2 * (1 - t) ** 2)
        weights = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
        mean = weights @ digits
        np.testing.assert_allclose(parts["posterior mean"], mean, atol=1e-10)
        np.testing.assert_allclose(parts["marginal velocity"], (mean - x) / (1 - t), atol=1e-9)
        # x_t = t z + (1 - t) eps and u = z - eps
        np.testing.assert_allclose(parts["conditional velocity"], (digits[index] - x) / (1 - t), atol=1e-10)
        shown = frame[(frame["quantity"] == "weight") & (frame["t"] == t)].sort_values("rank")
        np.testing.assert_allclose(shown["value"], np.sort(weights)[::-1][:4], rtol=1e-8, atol=1e-300)
        np.testing.assert_allclose(weights[shown["index"].astype(int)], shown["value"], rtol=1e-8, atol=1e-300)
    assert "1347 training digits" in caption


def test_the_posterior_sharpens(drawn: Drawn) -> None:
    frame, caption = drawn["tut_posterior"]
    low, middle, high = (
        frame[frame["quantity"] == f"effective number, quantile {level}"]["value"].to_numpy()
        for level in (0.1, 0.5, 0.9)
    )
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (np.diff(middle) < 1e-9).all()
    assert 1300 < middle[0] < 1347
    assert middle[-1] == pytest.approx(1)
    t = frame[frame["quantity"] == "effective number, quantile 0.5"]["t"].to_numpy()
    said = float(re.findall(r"below 2 from t = ([\d.]+) on", caption)[0])
    assert (middle[t > said + 0.02] < 2).all()
    assert (middle[t < said - 0.02] >= 2).all()


def test_the_pair_has_one_velocity_and_the_marginal_field_another(drawn: Drawn) -> None:
    frame, _ = drawn["tut_field"]
    one = frame[frame["quantity"] == "pair, conditional"]
    np.testing.assert_allclose(one[["u0", "u1"]], np.tile(one[["u0", "u1"]].iloc[0], (len(one), 1)), atol=1e-8)
    # By importance sampling of eight Gaussians: u(x) = sum_i w_i (z_i - x)/(1 - t).
    generator = np.random.default_rng(0)
    angle = generator.integers(0, 8, 400_000) * np.pi / 4
    z = np.sqrt(2 * 0.96) * np.stack([np.cos(angle), np.sin(angle)], -1) + 0.2 * generator.standard_normal((400_000, 2))
    for row in frame[frame["quantity"] == "pair, marginal"].to_dict("records"):
        x, t = np.array([row["x0"], row["x1"]]), row["t"]
        weight = np.exp(-((x - t * z) ** 2).sum(-1) / (2 * (1 - t) ** 2))
        average = (weight[:, None] * (z - x)).sum(0) / weight.sum() / (1 - t)
        np.testing.assert_allclose([row["u0"], row["u1"]], average, atol=0.02)


def test_marginal_paths_end_in_the_data_and_bend(drawn: Drawn) -> None:
    frame, _ = drawn["tut_field"]
    lines = {kind: frame[frame["quantity"] == f"{kind} path"] for kind in ("conditional", "marginal")}
    for kind, own in lines.items():
        paths = np.stack([path[["x0", "x1"]].to_numpy() for _, path in own.groupby("line")])
        speeds = np.diff(paths, axis=1) * (paths.shape[1] - 1)
        bend = ((speeds - (paths[:, -1:] - paths[:, :1])) ** 2).sum(-1).mean()
        assert bend == pytest.approx(own["straightness"].iloc[0], rel=0.02, abs=1e-12), kind
        radius = np.hypot(*paths[:, -1].T)
        assert (np.abs(radius - np.sqrt(2 * 0.96)) < 0.8).all()
    starts = [own[own["t"] == 0][["x0", "x1"]].to_numpy() for own in lines.values()]
    np.testing.assert_array_equal(*starts)


MEANS = np.array([-1.5, 0.25, 1.75])
STDS = np.array([0.375, 0.25, 0.5])
WEIGHTS = np.array([0.3, 0.45, 0.25])


def velocity(t: float, x: np.ndarray) -> np.ndarray:
    """The marginal velocity of three Gaussians on the linear path, by regression within each component."""
    variance = t**2 * STDS**2 + (1 - t) ** 2
    density = WEIGHTS * norm.pdf(x[:, None], t * MEANS, np.sqrt(variance))
    slope = (t * STDS**2 - (1 - t)) / variance
    each = MEANS + slope * (x[:, None] - t * MEANS)
    return (density * each).sum(1) / density.sum(1)


def test_errors_of_the_solvers_are_to_where_scipy_takes_the_flow(drawn: Drawn) -> None:
    """Euler's error from the textbook loop, and where the exact paths end; scipy's eighth-order method is the truth."""
    frame, caption = drawn["tut_solvers"]
    x0 = np.linspace(-3, 3, 61)
    truth = solve_ivp(velocity, (0, 1), x0, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    euler = frame[(frame["solver"] == "euler") & (frame["quantity"] == "error")].set_index("steps")["value"]
    for steps in (8, 32):
        x = x0.copy()
        for k in range(steps):
            x = x + velocity(k / steps, x) / steps
        assert euler[steps] == pytest.approx(np.sqrt(np.mean((x - truth) ** 2)), rel=1e-6)
    paths = frame[(frame["quantity"] == "path") & (frame["solver"] == "exact")]
    starts, ends = (paths[paths["t"] == t]["x0"].to_numpy() for t in (0.0, 1.0))
    taken = solve_ivp(velocity, (0, 1), starts, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(ends, taken, atol=1e-9)
    for solver, order in (("euler", 1), ("heun", 2), ("rk4", 4)):
        own = frame[(frame["solver"] == solver) & (frame["quantity"] == "error")].set_index("steps")
        assert -own["slope"].iloc[0] == pytest.approx(order, abs=0.1)
        assert np.log2(own.loc[64, "value"] / own.loc[128, "value"]) == pytest.approx(order, abs=0.1)
        assert (own["evaluations"] == order * own.index).all()
    assert "Euler 0.99 (stated 1)" in caption


def reflow(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    return frame[frame["quantity"] == quantity].set_index("pairs")[["measured", "exact"]]


def test_reflow_straightens_and_its_control_does_not(drawn: Drawn) -> None:
    frame, _ = drawn["tut_reflow"]
    s, cost = reflow(frame, "straightness"), reflow(frame, "transport cost")
    first, second, control = "independent pairs", "pairs of that flow", "its pairs, shuffled"
    assert s.loc[second, "measured"] < 1e-3 * s.loc[first, "measured"]
    assert s.loc[control, "measured"] == pytest.approx(s.loc[first, "exact"], rel=0.1)
    assert s.loc[first, "measured"] == pytest.approx(s.loc[first, "exact"], rel=0.1)
    assert s.loc[second, "exact"] < 1e-12
    # E x1² + 1 of independent pairs; by quantiles on the line of coupled ones.
    second_moment = WEIGHTS @ (MEANS**2 + STDS**2)
    np.testing.assert_allclose(cost.loc[[first, control], "exact"], second_moment + 1)
    coupled = quad(
        lambda y: (
            (y - norm.ppf(WEIGHTS @ norm.cdf(y, MEANS, STDS))) ** 2 * (WEIGHTS @ norm.pdf(y, MEANS, STDS))
        ),
        -3.5, 4.2, limit=200,
    )[0]  # fmt: skip
    assert cost.loc[second, "exact"] == pytest.approx(coupled, rel=1e-3)
    np.testing.assert_allclose(cost["measured"], cost["exact"], rtol=0.06)


def test_the_exact_straightness_is_that_of_scipys_paths(drawn: Drawn) -> None:
    frame, _ = drawn["tut_reflow"]
    starts = norm.ppf((np.arange(64) + 0.5) / 64)
    times = np.linspace(0, 1, 401)
    paths = solve_ivp(velocity, (0, 1), starts, method="DOP853", rtol=1e-11, atol=1e-11, t_eval=times).y
    speeds = np.array([velocity(t, x) for t, x in zip(times, paths.T, strict=True)])
    bend = np.trapezoid((speeds - (paths[:, -1] - starts)) ** 2, times, axis=0).mean()
    assert reflow(frame, "straightness").loc["independent pairs", "exact"] == pytest.approx(bend, rel=0.01)


def test_shuffling_keeps_the_data_and_takes_the_coupling_away() -> None:
    from reproflow.reporting.figures.tut_reflow import CONTROL, SECOND, couplings

    made = couplings()
    (x0, carried), (same, shuffled) = made[SECOND], made[CONTROL]
    np.testing.assert_array_equal(x0, same)
    np.testing.assert_array_equal(carried.sort(0).values, shuffled.sort(0).values)
    correlation = [np.corrcoef(x0[:, 0], x1[:, 0])[0, 1] for x1 in (carried, shuffled)]
    assert correlation[0] > 0.9
    assert abs(correlation[1]) < 0.06


def test_variance_ratios_are_the_formulas_and_what_batches_show(drawn: Drawn) -> None:
    """Uniform strata by scipy's quadrature of each bin (TUT-1: 216.8), pairs by their covariance, all by draws."""
    from reproflow.reporting.figures.tut_times import BATCH, batches

    frame, caption = drawn["tut_times"]
    ratio = frame[frame["quantity"] == "variance over independent"].set_index(["law", "scheme"])["value"]

    def loss(t: float) -> float:
        return np.exp(-3 * t) + t

    def moments(low: float, high: float) -> tuple[float, float]:
        first, second = (quad(f, low, high)[0] / (high - low) for f in (loss, lambda t: loss(t) ** 2))
        return first, second - first**2

    edges = np.linspace(0, 1, BATCH + 1)
    strata = np.mean([moments(low, high)[1] for low, high in itertools.pairwise(edges)])
    mean, whole = moments(0, 1)
    covariance = quad(lambda t: (loss(t) - mean) * (loss(1 - t) - mean), 0, 1)[0]
    assert ratio["uniform", "stratified"] == pytest.approx(strata / whole, rel=1e-6)
    assert 1 / ratio["uniform", "stratified"] == pytest.approx(216.8, abs=0.05)
    assert ratio["uniform", "antithetic"] == pytest.approx(1 + covariance / whole, rel=1e-9)
    assert ratio["uniform", "antithetic"] > 1
    assert "antithetic on uniform" in caption
    for law, scheme in ratio.index:
        means = {each: loss(batches(law, each).numpy()).mean(0) for each in ("iid", scheme)}
        assert means[scheme].var() / means["iid"].var() == pytest.approx(ratio[law, scheme], rel=0.15), (law, scheme)


def test_gaps_are_those_of_the_batches_and_a_grid_has_the_least(drawn: Drawn) -> None:
    frame, _ = drawn["tut_times"]
    gap = frame[(frame["quantity"] == "largest gap") & (frame["law"] == "uniform")].set_index("scheme")
    assert gap["value"].idxmin() == "low_discrepancy"
    np.testing.assert_allclose(gap.loc["low_discrepancy", ["value", "low", "high"]].astype(float), 1 / 32, atol=1e-12)
    # The largest of 33 spacings of 32 independent uniforms has the mean H_33 / 33.
    assert gap.loc["iid", "value"] == pytest.approx(sum(1 / k for k in range(1, 34)) / 33, rel=0.03)
    assert gap.loc["stratified", "high"] < 2 / 32 + 1e-9


def test_weights_have_their_closed_forms_in_the_documents_time(drawn: Drawn) -> None:
    frame, caption = drawn["tut_weights"]
    factors = {
        "1": lambda s: np.ones_like(s),
        "t²": lambda s: s**2,
        "(1−t)²": lambda s: (1 - s) ** 2,
        "SNR": lambda s: ((1 - s) / s) ** 2,
        "1/SNR": lambda s: (s / (1 - s)) ** 2,
        "min(SNR, 5)": lambda s: np.minimum(((1 - s) / s) ** 2, 5),
    }
    assert set(frame["weight"]) == set(factors)
    for name, own in frame.groupby("weight"):
        s, w = own["s"].to_numpy(), own["w"].to_numpy()
        np.testing.assert_allclose(own["factor"], factors[name](s), rtol=1e-9)
        np.testing.assert_allclose(w, factors[name](s) * s / (1 - s), rtol=1e-9)
        assert (own["verdict"].iloc[0] == "certified") == bool((np.diff(w) >= -1e-9 * w[1:]).all())
    yes, no = re.findall(r"the factors ([^.]*)\. Not: ([^.]*)\.", caption)[0]
    assert yes.split("; ") == ["1", "t²", "1/SNR"]
    assert no.split("; ") == ["(1−t)²", "SNR", "min(SNR, 5)"]
