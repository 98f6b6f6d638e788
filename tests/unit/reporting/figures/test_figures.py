"""Figures: every number is in the CSV beside them, checked against the inputs; same bytes each time; gaps are said."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from figure_tables import table
from repository import ROOT

from reproflow.foundation.errors import UsageError
from reproflow.reporting.figures import figures, style, write_figures
from reproflow.reporting.html import write_report


def test_every_figure_is_an_svg_a_png_and_a_csv_with_a_caption(reported: Path) -> None:
    written = {path.name for path in (reported / "figures").iterdir()}
    assert written == {f"{name}.{suffix}" for name in figures() for suffix in ("svg", "pdf", "png", "csv")}
    for name in figures():
        root = ElementTree.parse(reported / "figures" / f"{name}.svg").getroot()
        captions = [element.text or "" for element in root.iter() if element.tag.endswith("}description")]
        assert len(captions[0]) > 60
        assert not [element for element in root.iter() if element.tag.endswith("}date")]
        assert (reported / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        pdf = (reported / "figures" / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        assert b"/CreationDate" not in pdf
        assert len(table(reported, name)) > 5


def elsewhere(reported: Path, tmp_path: Path) -> Path:
    again = tmp_path / "elsewhere"
    shutil.copytree(reported, again, ignore=shutil.ignore_patterns("figures", "report.html"))
    return again


@pytest.mark.parametrize("names", [["losses", "tut_weights"], pytest.param(None, marks=pytest.mark.slow)])
def test_figures_are_the_same_bytes_from_another_place(reported: Path, tmp_path: Path, names: list[str] | None) -> None:
    for path in write_figures(elsewhere(reported, tmp_path), names):
        assert path.read_bytes() == (reported / "figures" / path.name).read_bytes(), path.name


def test_the_page_is_the_same_bytes_from_another_place(reported: Path, tmp_path: Path) -> None:
    again = elsewhere(reported, tmp_path)
    shutil.copytree(reported / "figures", again / "figures")
    assert write_report(again).read_bytes() == (reported / "report.html").read_bytes()


def test_loss_curves_are_means_over_seeds(reported: Path) -> None:
    shown = table(reported, "losses")
    cells, curves = pd.read_csv(reported / "cells.csv"), pd.read_csv(reported / "curves.csv")
    own = cells[(cells["process"] == "masked") & (cells["weighting"] == "fm")]["cell"]
    by_step = curves[curves["cell"].isin(own)].groupby("step")["loss"]
    line = shown[(shown["process"] == "masked") & (shown["weighting"] == "fm")]
    assert (line["seeds"] == len(own)).all()
    bins = np.floor(by_step.mean().index / (991 / 60)).astype(int)
    np.testing.assert_allclose(line["loss"], by_step.mean().groupby(bins).mean(), rtol=1e-12)
    assert ((line["low"] <= line["loss"]) & (line["loss"] <= line["high"])).all()
    assert line[["floor", "floor_se"]].isna().all(axis=None)
    np.testing.assert_allclose(shown.loc[shown["process"] == "gaussian", "floor"], 0.4)


def test_points_are_means_and_deviations_over_seeds(reported: Path) -> None:
    shown = table(reported, "fid_likelihood")
    cells = pd.read_csv(reported / "cells.csv")
    for row in shown.to_dict("records"):
        own = cells[(cells["weighting"] == row["weighting"]) & (cells["process"] == row["process"])]
        own = own[(own["dataset"] == row["dataset"]) & (own["status"] == "ok")]
        assert row["seeds"] == len(own)
        for metric in ("fid_train", "bound_bits_per_dim"):
            numbers = own[metric].to_numpy()
            assert math.isclose(row[metric], numbers.mean(), rel_tol=1e-12)
            assert math.isclose(row[f"{metric}_sd"], numbers.std(ddof=1), rel_tol=1e-9)
    assert len(shown) == 9


def test_image_sheets_show_the_first_samples_of_each_class(reported: Path) -> None:
    shown = table(reported, "samples_masked")
    cell = "digits8.masked.linear.uniform.sigmoid.ce.s0"
    saved = np.load(reported / "samples" / f"{cell}.npz")
    own = shown[shown["cell"] == cell]
    assert len(own) == 10 * 8
    for row in own.to_dict("records"):
        image = np.frombuffer(bytes.fromhex(row["pixels"]), dtype=np.uint8).reshape(8, 8)
        np.testing.assert_array_equal(image, saved["samples"][row["index"]])
        assert saved["labels"][row["index"]] == row["label"]
        assert row["index"] == np.flatnonzero(saved["labels"] == row["label"])[row["column"]]
    data = shown[shown["weighting"] == "training data"]
    assert sorted(data["label"].unique()) == list(range(10))


def test_histograms_count_all_samples_in_the_square_and_the_density_is_one(reported: Path) -> None:
    shown = table(reported, "samples_plane")
    for cell, counts in shown.dropna(subset="cell").groupby("cell"):
        samples = np.load(reported / "samples" / f"{cell}.npz")["samples"]
        assert counts["value"].sum() == (np.abs(samples) <= 3).all(axis=1).sum()
    width = 6 / 48
    truth = shown[shown["weighting"] == "true density"].groupby("dataset")["value"].sum() * width**2
    np.testing.assert_allclose(truth, 1, atol=2e-3)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_broken_sample_file_is_said_in_the_caption(reported_copy: Path, share: float) -> None:
    for path in (reported_copy / "samples").glob("digits8.masked.linear.uniform.fm.*"):
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
    write_figures(reported_copy, ["samples_masked"])
    assert (
        "Not shown, for want of samples: digits8 fm." in (reported_copy / "figures" / "samples_masked.svg").read_text()
    )


def test_marginal_field_is_the_posterior_average_of_conditional_fields(reported: Path) -> None:
    """By self-normalised importance sampling of eight Gaussians: u(x) = sum_i w_i (z_i - x)/(1 - t), linear path."""
    shown = table(reported, "paths_fields")
    own = shown[(shown["path"] == "linear") & (shown["quantity"] == "marginal")]
    own = own[np.hypot(own["x0"], own["x1"]) < 1.6]
    t = own["t"].iloc[0]
    generator = np.random.default_rng(0)
    angle = generator.integers(0, 8, 200_000) * np.pi / 4
    z = math.sqrt(2 * 0.96) * np.stack([np.cos(angle), np.sin(angle)], -1) + 0.2 * generator.standard_normal(
        (200_000, 2)
    )
    for row in own.to_dict("records"):
        x = np.array([row["x0"], row["x1"]])
        log_weight = -((x - t * z) ** 2).sum(-1) / (2 * (1 - t) ** 2)
        weight = np.exp(log_weight - log_weight.max())
        average = (weight[:, None] * (z - x)).sum(0) / weight.sum() / (1 - t)
        np.testing.assert_allclose([row["u0"], row["u1"]], average, atol=0.08)


def test_an_unknown_figure_is_a_users_fault(reported: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'losses'"):
        write_figures(reported, ["loses"])


def test_figures_without_input_say_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    drawn = {"paths_fields", "gallery", "st_gaussian_weightings", "st_masked_weightings", "st_cross_entropy_weight"}
    # Those draw the registry, and the tutorials what they compute themselves.
    names = {name for name in figures() if not name.startswith("tut_")} - drawn
    assert len(write_figures(tmp_path, names)) == 4 * len(names)
    for name in names:
        assert len(table(tmp_path, name)) == 0


def test_labels_are_moved_the_least() -> None:
    """Against scikit-learn's isotonic regression of the shifted positions."""
    from sklearn.isotonic import isotonic_regression

    generator = np.random.default_rng(1)
    for _ in range(50):
        positions, gap = np.sort(generator.uniform(0.3, 0.7, 6)), 0.05
        moved = style.spread(positions.tolist(), gap)
        shift = gap * np.arange(6)
        np.testing.assert_allclose(moved, isotonic_regression(positions - shift) + shift, atol=1e-12)
        assert (np.diff(moved) >= gap - 1e-12).all()
    crowded = style.spread([0.0] * 4, 0.1)
    np.testing.assert_allclose(crowded, [0.0, 0.1, 0.2, 0.3], atol=1e-12)


def test_weightings_can_be_told_apart() -> None:
    looks = style.looks([f"w{i}" for i in range(20)])
    assert len({(look["color"], str(look["linestyle"])) for look in looks.values()}) == 21


def test_importing_the_verbs_does_not_import_plotting() -> None:
    heavy = "{'matplotlib', 'seaborn', 'torch'}"
    code = f"import reproflow.reporting.figures, sys; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
