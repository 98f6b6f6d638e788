"""Figures after the papers: weightings against closed forms of the schedule, gaps of gradients against the ledger."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import optimize, stats
from synthetic_results import write_csv

from reproflow.claims import ledger
from reproflow.claims.policy import COLUMNS
from reproflow.reporting.figures import Source, figures, style, write_figures

ST = ("st_gaussian_weightings", "st_masked_weightings", "st_cross_entropy_weight")
BIL = "bil_gradient_equality"
AXES = {
    "st_gaussian_weightings": {
        "weighting w(λ), relative to the ELBO",
        "log-SNR λ = log(α²/σ²), nats; noise on the left",
    },
    "st_masked_weightings": {"t, from data (0) to noise (1)", "w(t), relative to the ELBO"},
    "st_cross_entropy_weight": {"t, from data (0) to noise (1)", "total weight on the cross-entropy"},
}


def edm(lam: np.ndarray) -> np.ndarray:
    return stats.norm(2.4, 2.4).pdf(lam) * (np.exp(-lam) + 0.25)


PEAK = float(optimize.minimize_scalar(lambda lam: -edm(lam), bounds=(-10, 2), method="bounded").x)
GAUSSIAN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elbo": np.ones_like,
    "sigmoid": lambda lam: 1 / (1 + np.exp(lam)),
    "fm": lambda lam: np.exp(-lam / 2),
    "v_cosine": lambda lam: np.exp(-lam / 2),
    "indi": lambda lam: np.exp(-lam) / np.cosh(lam / 4) ** 2,
    "edm": edm,
    "edm_monotone": lambda lam: edm(np.maximum(lam, PEAK)),
    "iddpm": lambda lam: 1 / np.cosh(lam / 2),
    "p2": lambda lam: 1 / np.cosh(lam / 2) / (1 + np.exp(lam)),
    # |x1 error| with uniform time on the cosine path, where d lam/dt = 2 pi cosh(lam/2)
    "min_snr": lambda lam: np.minimum(1, 5 * np.exp(-lam)) / np.cosh(lam / 2) / math.pi,
}
RISES = {"iddpm": 0.0, "edm": PEAK, "p2": -math.log(3), "min_snr": 0.0}


def alpha(t: np.ndarray) -> np.ndarray:
    """The schedule of 001, Figs. 2 and 3, in its own time."""
    return 1 - np.cos(math.pi / 2 * (1 - t))


def elbo_weight(t: np.ndarray) -> np.ndarray:
    """|alpha'|/(1 - alpha), the derivative by central differences."""
    h = 1e-6
    return (alpha(t - h) - alpha(t + h)) / (2 * h) / (1 - alpha(t))


MASKED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elbo": np.ones_like,
    "sigmoid": lambda t: 1 - alpha(t),
    "fm": lambda t: np.sqrt((1 - alpha(t)) / alpha(t)),
    "simple": lambda t: 1 / elbo_weight(t),
    "iddpm": lambda t: 2 * np.sqrt(alpha(t) * (1 - alpha(t))),
    "edm": lambda t: edm(np.log(alpha(t) / (1 - alpha(t)))),
}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """The ledger of two claims, as it comes out."""
    return [{key: row[key] for key in COLUMNS} for row in ledger.run(["BIL-4", "BIL-9"])]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> Path:
    """A results folder with these claims and the figures."""
    folder = tmp_path_factory.mktemp("papers") / "made"
    ledger.write_csv(rows, folder / "claims.csv")
    write_figures(folder, [*ST, BIL])
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "figures" / f"{name}.csv", keep_default_na=False)


def picture(folder: Path, name: str) -> Figure:
    with style.styled():
        return figures()[name](Source(folder))[0]


def texts(figure: Figure) -> set[str]:
    return {each.get_text() for each in figure.findobj(Text)}


def test_gaussian_weightings_are_their_closed_forms(drawn: Path) -> None:
    """Kingma & Gao (2023), table 1; ST-8."""
    shown = table(drawn, ST[0])
    assert set(shown["weighting"]) == set(GAUSSIAN)
    for name, curve in shown.groupby("weighting"):
        np.testing.assert_allclose(curve["lam"], np.linspace(-8, 8, 161), atol=1e-14)
        np.testing.assert_allclose(curve["w"], GAUSSIAN[name](curve["lam"].to_numpy()), rtol=1e-8)


def test_gaussian_weightings_are_monotone_or_say_where_they_rise(drawn: Path) -> None:
    for name, curve in table(drawn, ST[0]).groupby("weighting"):
        told = curve.iloc[0]
        assert (
            curve[["monotone", "rises", "verdict", "formula"]] == told[["monotone", "rises", "verdict", "formula"]]
        ).all(axis=None)
        assert told["monotone"] == (name not in RISES)
        assert told["verdict"] == ("not_representable" if name in RISES else "certified")
        assert told["formula"]
        if name in RISES:
            low, high = map(float, told["rises"].split(":"))
            np.testing.assert_allclose([low, high], [-8, RISES[name]], atol=1e-5)


def test_masked_weightings_at_the_papers_times(drawn: Path) -> None:
    shown = table(drawn, ST[1]).set_index(["weighting", "noise_time"])["w"]
    printed = {
        "simple": (0.10083, 0.63662, 4.01946),
        "fm": (0.43063, 1.55377, 8.95678),
        "sigmoid": (0.15643, 0.70711, 0.98769),
    }
    for name, values in printed.items():
        np.testing.assert_allclose([shown[name, t] for t in (0.1, 0.5, 0.9)], values, atol=5e-6)


def test_masked_weightings_are_closed_forms_of_alpha(drawn: Path) -> None:
    shown = table(drawn, ST[1])
    assert set(shown["weighting"]) == set(MASKED)
    for name, curve in shown.groupby("weighting"):
        t = curve["noise_time"].to_numpy()
        np.testing.assert_allclose(t, np.arange(1, 1000) / 1000, rtol=1e-15)
        np.testing.assert_allclose(curve["alpha"], alpha(t), rtol=1e-9)
        # Towards t = 1 alpha, written as 1 - cos, has lost ten of its digits.
        np.testing.assert_allclose(curve["w"], MASKED[name](t), rtol=1e-6, atol=1e-15)
        np.testing.assert_allclose(curve["normalised"], curve["w"] / curve["w"].max(), rtol=1e-15)
        assert curve["normalised"].max() == 1
        rising = (np.diff(curve["w"]) < -1e-6 * curve["w"].to_numpy()[:-1]).any()  # falls with noise-time
        assert (~curve["monotone"] == rising).all()


def test_total_weight_on_the_cross_entropy(drawn: Path) -> None:
    shown = table(drawn, ST[2])
    assert set(shown["weighting"]) == set(MASKED)
    for name, curve in shown.groupby("weighting"):
        t = curve["noise_time"].to_numpy()
        np.testing.assert_allclose(curve["weight"], MASKED[name](t) * elbo_weight(t), rtol=1e-6, atol=1e-15)
    simple = shown[shown["weighting"] == "simple"]["weight"]
    np.testing.assert_allclose(simple, 1, rtol=1e-12)


@pytest.mark.parametrize("name", ST)
@pytest.mark.default_cases(1)
def test_every_curve_is_in_the_csv_and_has_its_name(drawn: Path, name: str) -> None:
    shown = table(drawn, name)
    column = {"st_masked_weightings": ["w", "normalised"], "st_cross_entropy_weight": ["weight"]}.get(name, ["w"])
    figure = picture(drawn, name)
    lines = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) > 100]
    known = [each[key].to_numpy() for _, each in shown.groupby("weighting") for key in column]
    assert len(lines) == len(known)
    for line in lines:
        assert any(np.allclose(line.get_ydata(), values, rtol=1e-12, atol=0) for values in known)
    said = texts(figure)
    assert AXES[name] <= said
    for weighting in set(shown["weighting"]):
        label = "sigmoid (k = 0)" if weighting == "sigmoid" else weighting
        assert any(label in each.split(" = ") or label == each for each in said), weighting


def test_names_do_not_overlap(drawn: Path) -> None:
    for name in ST:
        figure = picture(drawn, name)
        figure.draw_without_rendering()
        for axes in figure.axes:
            boxes = [each.get_window_extent() for each in axes.texts]
            assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])], name


def test_gaps_are_those_of_the_ledger(drawn: Path, rows: list[dict]) -> None:
    shown = table(drawn, BIL)
    wanted = [row for row in rows if row["id"] == "BIL-9" or row["case"].endswith("equal gradients")]
    found = shown.set_index(["claim", "case", "variant"])["statistic"].to_dict()
    expected = {(row["id"], row["case"], "statement"): row["statistic"] for row in wanted}
    for row in wanted:
        for control, value in zip(row["control"].split(";"), row["control_statistic"].split(";"), strict=True):
            expected[row["id"], row["case"], control] = float(value)
    assert found == expected
    assert set(shown["claim"]) == {"BIL-4", "BIL-9"}
    assert set(shown["process"]) == {"flow", "jump"}
    assert set(shown.loc[shown["case"].str.startswith(("l1", "huber", "squared")), "process"]) == {"flow"}


def test_what_must_differ_is_beyond_the_tolerance_and_what_is_equal_far_below(drawn: Path) -> None:
    shown = table(drawn, BIL)
    assert (shown["verdict"] == shown["expected"]).all()
    apart = shown["expected"] == "refuted"
    assert (shown.loc[apart, "statistic"] > 1e3 * shown.loc[apart, "tolerance"]).all()
    assert (shown.loc[~apart, "statistic"] < 1e-2 * shown.loc[~apart, "tolerance"]).all()
    controls = shown[(shown["role"] == "control") & (shown["claim"] == "BIL-9")]
    assert set(controls["expected"]) == {"refuted"}
    l1 = shown[(shown["case"] == "l1: equal gradients") & (shown["role"] == "statement")]
    assert l1["expected"].tolist() == ["refuted"]


def test_every_gap_is_a_dot(drawn: Path) -> None:
    figure = picture(drawn, BIL)
    dots = np.concatenate([each.get_offsets()[:, 0] for each in figure.axes[0].collections])
    np.testing.assert_allclose(np.sort(dots), np.sort(table(drawn, BIL)["statistic"].clip(1e-17, 1e2)), rtol=1e-12)
    said = texts(figure)
    assert {"BIL-4", "BIL-9", "flow", "jump", "relative gap, marginal against conditional loss"} <= said


def test_a_control_without_effect_and_a_number_that_is_missing(tmp_path: Path, rows: list[dict]) -> None:
    """A control inside the tolerance is said to be supported where it must be refuted; not-a-number is left out."""
    first = next(row for row in rows if row["id"] == "BIL-9" and ";" in row["control"])
    spoiled = first | {"control_statistic": "1e-15;0.5", "statistic": "", "control_verdict": "supported"}
    write_csv(tmp_path / "claims.csv", COLUMNS, [spoiled])
    _, frame, _ = figures()[BIL](Source(tmp_path))
    assert frame["role"].tolist() == ["control"] * 2
    assert frame["expected"].tolist() == ["refuted"] * 2
    assert frame["verdict"].tolist() == ["supported", "refuted"]


def test_without_claims_the_figure_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with style.styled():
        figure, frame, _ = figures()[BIL](Source(tmp_path))
    assert frame.empty
    assert "not drawn: claims.csv: not there" in texts(figure)
    write_csv(tmp_path / "claims.csv", COLUMNS, [])
    assert any("has none of BIL-2" in each for each in texts(picture(tmp_path, BIL)))


def test_the_same_bytes_twice_with_claims(drawn: Path, tmp_path: Path) -> None:
    """The others' bytes do not depend on claims: `test_figures` compares them."""
    (tmp_path / "claims.csv").write_bytes((drawn / "claims.csv").read_bytes())
    for path in write_figures(tmp_path, [BIL]):
        assert path.read_bytes() == (drawn / "figures" / path.name).read_bytes(), path.name
