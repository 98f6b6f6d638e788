"""Figures and the page: every number is in a CSV, files are the same bytes each time, and what is missing is said."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from synthetic_results import CLAIM_COLUMNS, claims, write_csv, write_results

from reproflow.foundation.errors import UsageError
from reproflow.reporting import html
from reproflow.reporting.figures import figures, style, write_figures
from reproflow.reporting.html import write_report
from reproflow.reporting.results import load_results
from reproflow.reporting.summary import gate_state
from reproflow.reporting.tables import claims_table

INPUTS = ("cells.csv", "claims.csv", "curves.csv", "timings.csv", "provenance.json", "config.json")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic results with all figures and the page."""
    folder = write_results(tmp_path_factory.mktemp("report") / "synthetic")
    write_figures(folder)
    write_report(folder)
    return folder


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    """The same, to break."""
    return Path(shutil.copytree(results, tmp_path / "copy"))


class Page(HTMLParser):
    """The parts of a page that tests look at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def table(results: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(results / "figures" / f"{name}.csv", keep_default_na=False, na_values=[""])


# --- figures -----------------------------------------------------------------------------------------------------


def test_every_figure_is_an_svg_a_png_and_a_csv_with_a_caption(results: Path) -> None:
    written = {path.name for path in (results / "figures").iterdir()}
    assert written == {f"{name}.{suffix}" for name in figures() for suffix in ("svg", "png", "csv")}
    for name in figures():
        root = ElementTree.parse(results / "figures" / f"{name}.svg").getroot()
        captions = [element.text or "" for element in root.iter() if element.tag.endswith("}description")]
        assert len(captions[0]) > 60
        assert not [element for element in root.iter() if element.tag.endswith("}date")]
        assert (results / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(table(results, name)) > 5


def test_figures_and_page_are_the_same_bytes_from_another_place(results: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere"
    shutil.copytree(results, again, ignore=shutil.ignore_patterns("figures", "report.html"))
    for path in write_figures(again):
        assert path.read_bytes() == (results / "figures" / path.name).read_bytes(), path.name
    assert write_report(again).read_bytes() == (results / "report.html").read_bytes()


def test_loss_curves_are_means_over_seeds(results: Path) -> None:
    shown = table(results, "losses")
    cells, curves = pd.read_csv(results / "cells.csv"), pd.read_csv(results / "curves.csv")
    own = cells[(cells["process"] == "masked") & (cells["weighting"] == "fm")]["cell"]
    by_step = curves[curves["cell"].isin(own)].groupby("step")["loss"]
    line = shown[(shown["process"] == "masked") & (shown["weighting"] == "fm")]
    assert (line["seeds"] == len(own)).all()
    bins = np.floor(by_step.mean().index / (991 / 80)).astype(int)
    np.testing.assert_allclose(line["loss"], by_step.mean().groupby(bins).mean(), rtol=1e-12)
    assert ((line["low"] <= line["loss"]) & (line["loss"] <= line["high"])).all()
    assert line["floor"].isna().all()
    np.testing.assert_allclose(shown.loc[shown["process"] == "gaussian", "floor"], 0.4)


def test_points_are_means_and_deviations_over_seeds(results: Path) -> None:
    shown = table(results, "fid_likelihood")
    cells = pd.read_csv(results / "cells.csv")
    for row in shown.to_dict("records"):
        own = cells[(cells["weighting"] == row["weighting"]) & (cells["process"] == row["process"])]
        own = own[(own["dataset"] == row["dataset"]) & (own["status"] == "ok")]
        assert row["seeds"] == len(own)
        for metric in ("fid_train", "bound_bits_per_dim"):
            numbers = own[metric].to_numpy()
            assert math.isclose(row[metric], numbers.mean(), rel_tol=1e-12)
            assert math.isclose(row[f"{metric}_sd"], numbers.std(ddof=1), rel_tol=1e-9)
    assert len(shown) == 9


def test_canonical_weights_are_the_closed_forms_and_equal_ones_share_a_line(results: Path) -> None:
    shown = table(results, "weightings")
    closed = {
        "elbo": np.ones_like,
        "fm": lambda lam: np.exp(-lam / 2),
        "iddpm": lambda lam: 1 / np.cosh(lam / 2),
        "sigmoid": lambda lam: 2 / (1 + np.exp(lam)),
    }
    for (_, name), curve in shown.groupby(["process", "weighting"]):
        if name in closed:
            np.testing.assert_allclose(curve["w"], closed[name](curve["lam"]), rtol=1e-6)
    same = {tuple(row) for row in shown[["process", "weighting", "same_as"]].drop_duplicates().to_numpy()}
    # CLAIMS ST-8, ST-9: uniform weight on the linear path's velocity is "fm", plain masked cross-entropy the sigmoid
    assert {("gaussian", "uniform", "fm"), ("masked", "simple", "sigmoid")} <= same
    assert sum(name != other for _, name, other in same) == 2


def test_a_weighting_unknown_here_is_named_in_the_caption(copy: Path) -> None:
    text = (copy / "cells.csv").read_text()
    (copy / "cells.csv").write_text(text.replace(",iddpm,", ",home_made,"))
    write_figures(copy, ["weightings"])
    assert "Not drawn: home_made" in (copy / "figures" / "weightings.svg").read_text()
    assert "home_made" not in set(table(copy, "weightings")["weighting"])


def test_image_sheets_show_the_first_samples_of_each_class(results: Path) -> None:
    shown = table(results, "samples_masked")
    cell = "digits8.masked.linear.uniform.sigmoid.ce.s0"
    saved = np.load(results / "samples" / f"{cell}.npz")
    own = shown[shown["cell"] == cell]
    assert len(own) == 10 * 8
    for row in own.to_dict("records"):
        image = np.frombuffer(bytes.fromhex(row["pixels"]), dtype=np.uint8).reshape(8, 8)
        np.testing.assert_array_equal(image, saved["samples"][row["index"]])
        assert saved["labels"][row["index"]] == row["label"]
        assert row["index"] == np.flatnonzero(saved["labels"] == row["label"])[row["column"]]
    data = shown[shown["weighting"] == "training data"]
    assert sorted(data["label"].unique()) == list(range(10))


def test_histograms_count_all_samples_in_the_square_and_the_density_is_one(results: Path) -> None:
    shown = table(results, "samples_plane")
    for cell, counts in shown.dropna(subset="cell").groupby("cell"):
        samples = np.load(results / "samples" / f"{cell}.npz")["samples"]
        assert counts["value"].sum() == (np.abs(samples) <= 3).all(axis=1).sum()
    width = 6 / 48
    truth = shown[shown["weighting"] == "true density"].groupby("dataset")["value"].sum() * width**2
    np.testing.assert_allclose(truth, 1, atol=2e-3)


def test_a_missing_sample_file_is_said_in_the_caption(copy: Path) -> None:
    for path in (copy / "samples").glob("digits8.masked.linear.uniform.fm.*"):
        path.write_bytes(b"not an archive")
    write_figures(copy, ["samples_masked"])
    assert "Not shown, for want of samples: digits8 fm." in (copy / "figures" / "samples_masked.svg").read_text()


def test_marginal_field_is_the_posterior_average_of_conditional_fields(results: Path) -> None:
    """By self-normalised importance sampling of eight Gaussians: u(x) = sum_i w_i (z_i - x)/(1 - t), linear path."""
    shown = table(results, "paths_fields")
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


def test_an_unknown_figure_is_a_users_fault(results: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'losses'"):
        write_figures(results, ["loses"])


def test_figures_without_input_say_so(tmp_path: Path) -> None:
    paths = write_figures(tmp_path)
    assert len(paths) == 3 * len(figures())
    for name in set(figures()) - {"paths_fields"}:
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
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(html.__file__).parents[2]).returncode == 0


# --- the page ----------------------------------------------------------------------------------------------------


def test_page_asks_for_nothing_from_elsewhere(results: Path) -> None:
    page = Page(results / "report.html")
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    source = (results / "report.html").read_text()
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", source)
    assert "link" not in {tag for tag, attributes in page.tags if attributes.get("rel") == "stylesheet"}


def test_page_is_well_formed_and_its_ids_are_unique(results: Path) -> None:
    page = Page(results / "report.html")
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, n in ids.items() if n > 1] == []
    targets = {a["href"][1:] for tag, a in page.tags if tag in ("a", "use") and (a.get("href") or "").startswith("#")}
    targets |= {(a.get("xlink:href") or "#")[1:] for tag, a in page.tags if tag == "use"} - {""}
    assert targets <= set(ids)


def test_page_shows_every_claim_cell_figure_and_the_provenance(results: Path) -> None:
    page = Page(results / "report.html")
    source = (results / "report.html").read_text()
    for row in claims():
        assert row["title"] in page.text
    for cell in pd.read_csv(results / "cells.csv")["cell"]:
        assert cell in page.text
    assert sum(tag == "figure" for tag, _ in page.tags) == len(figures())
    assert "made by reproflow figures --config configs/synthetic.yaml losses , fingerprint feedfacefeed" in page.text
    for fact in ("snakemake --cores all --configfile configs/synthetic.yaml", "torch 2.6.0"):
        assert fact in page.text
    assert "<b>not markup</b>" not in source
    assert "&lt;b&gt;not markup&lt;/b&gt;" in source
    assert "<of>" not in source


def test_figure_list_of_the_page_is_the_registry() -> None:
    assert set(html.FIGURES) == set(figures())


def test_head_counts_are_those_of_the_files(results: Path) -> None:
    text = Page(results / "report.html").text
    cells, ledger = pd.read_csv(results / "cells.csv"), pd.DataFrame(claims())
    decided = ledger[ledger["verdict"].isin(["supported", "refuted"])]
    surprises = decided[decided["verdict"] != decided["expected"]]
    right = decided[decided["verdict"] == decided["expected"]]["verdict"].value_counts()
    said = (
        f"The ledger has {len(ledger)} rows: {right['supported']} supported and {right['refuted']} refuted as expected"
    )
    assert said in text
    assert f"{len(surprises)} claim other than expected: LOSS-2" in text
    assert f"Of {len(cells)} training cells, {(cells['status'] == 'ok').sum()} ended well" in text


@pytest.mark.parametrize(
    ("keep", "cells_ok", "state"),
    [
        (("supported", "refuted", "not_applicable"), True, "passes"),
        (("supported", "refuted", "not_applicable"), False, "fails"),
        (("supported", "inconclusive"), True, "undecided"),
        ((), True, "undecided"),
    ],
)
def test_gate_state(copy: Path, keep: tuple[str, ...], cells_ok: bool, state: str) -> None:
    rows = [row for row in claims() if row["verdict"] in keep and row["id"] != "LOSS-2"]
    write_csv(copy / "claims.csv", CLAIM_COLUMNS, rows)
    read = load_results(copy)
    if cells_ok:
        read.cells["status"] = "ok"
    found, reasons = gate_state(read, claims_table(read.claims))
    assert found == state
    assert bool(reasons) == (state != "passes")


def test_a_control_without_effect_fails_the_gate(copy: Path) -> None:
    rows = [row for row in claims() if row["id"] == "LOSS-10"]
    write_csv(copy / "claims.csv", CLAIM_COLUMNS, [rows[0] | {"control_verdict": "supported"}])
    read = load_results(copy)
    read.cells["status"] = "ok"
    assert gate_state(read, claims_table(read.claims))[0] == "fails"


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("damage", ["gone", "empty", "cut"])
def test_page_renders_and_names_what_is_broken(copy: Path, name: str, damage: str) -> None:
    path = copy / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(b"" if damage == "empty" else content[: len(content) * 2 // 3 - 1])
    text = Page(write_report(copy)).text
    assert "Missing, or broken and left out" in text
    assert name in text
    assert "How to read a verdict" in text


def test_page_of_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    text = Page(write_report(tmp_path)).text
    for name in (*INPUTS, *(f"figures/{figure}" for figure in figures())):
        assert f"{name} : not there" in text
    assert "There is no ledger of claims." in text
    assert "passes" not in text


def test_a_clean_run_misses_nothing(results: Path) -> None:
    assert not [attributes for _, attributes in Page(results / "report.html").tags if attributes.get("id") == "missing"]


def test_large_figures_go_in_as_png(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "LARGEST_SVG", 60_000)
    large = [name for name in figures() if (copy / "figures" / f"{name}.svg").stat().st_size > 60_000]
    images = [a for tag, a in Page(write_report(copy)).tags if tag == "img"]
    assert 0 < len(images) == len(large)
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in images)
