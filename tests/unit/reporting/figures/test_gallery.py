"""The gallery of weightings: closed forms and slopes, one objective a panel, and weightings that are not registered."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
from figure_tables import gallery

from reproflow.foundation import processes, registry
from reproflow.reporting.figures import Source, figures


def test_gallery_has_every_registered_weighting_of_both_processes(reported: Path) -> None:
    shown = gallery(reported)
    for process in processes.trained():
        names = {entry.name for entry in registry.entries("weighting", process)}
        assert names <= set(shown.loc[shown["process"] == process, "weighting"])
    assert not shown["w"].isna().any()
    lam = np.linspace(-8, 8, 161)
    for _, curve in shown.groupby("key"):
        np.testing.assert_allclose(curve["lam"], lam, atol=1e-14)


def test_gallery_holds_the_closed_forms_and_their_slopes(reported: Path) -> None:
    """Up to a factor: Kingma & Gao (2023), table 1; ST-8 and ST-9."""
    closed = {
        "gaussian elbo linear uniform": np.ones_like,
        "masked fm linear uniform": lambda lam: np.exp(-lam / 2),
        "gaussian iddpm linear uniform": lambda lam: 1 / np.cosh(lam / 2),
        "gaussian sigmoid linear uniform": lambda lam: 1 / (1 + np.exp(lam)),
        "gaussian uniform linear uniform": lambda lam: np.exp(-lam / 2),
        "gaussian snr cosine uniform": lambda lam: 1 / np.cosh(lam / 2),
        "masked simple linear uniform": lambda lam: 1 / (1 + np.exp(lam)),
    }
    curves = dict(list(gallery(reported).groupby("key")))
    for name, form in closed.items():
        curve = curves[name]
        ratio = curve["w"] / form(curve["lam"])
        np.testing.assert_allclose(ratio, ratio.iloc[0], rtol=1e-9)
    fine = 1e-3
    for name in ("gaussian iddpm linear uniform", "gaussian sigmoid linear uniform"):
        lam = curves[name]["lam"]
        slope = (closed[name](lam + fine) - closed[name](lam - fine)) / (2 * fine)
        np.testing.assert_allclose(curves[name]["dw_dlam"], slope, atol=1e-6)


def test_gallery_puts_one_objective_in_one_panel_and_no_other_in_it(reported: Path) -> None:
    shown = gallery(reported)
    wide = shown.pivot(index="lam", columns="key", values="w")
    panel = shown.drop_duplicates("key").set_index("key")["panel"]
    logs = np.log(wide.to_numpy()) - np.log(wide.to_numpy()[80])
    for i, a in enumerate(wide.columns):
        gap = np.abs(logs - logs[:, [i]]).max(axis=0)
        for j, b in enumerate(wide.columns):
            assert (panel[a] == panel[b]) == (gap[j] < 1e-6), (a, b, gap[j])
    # ST-8, ST-9: uniform weight on the linear path's velocity is "fm", plain masked cross-entropy the sigmoid
    assert panel["gaussian uniform linear uniform"] == panel["masked fm linear uniform"]
    assert panel["masked simple linear uniform"] == panel["gaussian sigmoid linear uniform"]
    assert panel["gaussian fm linear uniform"] != panel["gaussian uniform linear logit_normal"]


def test_gallery_says_monotone_where_no_step_rises(reported: Path) -> None:
    verdicts = set()
    for key, curve in gallery(reported).groupby("key"):
        lam, w = curve["lam"].to_numpy(), curve["w"].to_numpy()
        rising = np.diff(w) > 1e-6 * w[:-1]
        assert curve["monotone"].nunique() == 1
        assert curve["monotone"].iloc[0] != rising.any(), key
        verdicts.add(bool(curve["monotone"].iloc[0]))
        if rising.any():
            ends = [tuple(map(float, rise.split(":"))) for rise in curve["rises"].iloc[0].split(";")]
            steps = list(itertools.pairwise(lam))
            inside = np.array([any(low - 1e-9 <= a and b <= high + 1e-9 for low, high in ends) for a, b in steps])
            outside = np.array([all(b <= low or high <= a for low, high in ends) for a, b in steps])
            assert rising[inside].all(), key
            assert not rising[outside].any(), key
    assert verdicts == {True, False}


def test_gallery_says_in_words_what_it_shades(reported: Path) -> None:
    from reproflow.analysis.results import load_results
    from reproflow.reporting.figures.curves import panels
    from reproflow.reporting.figures.gallery import members, verdict

    words = {" ".join(members(panel)): verdict(panel) for panel in panels(load_results(reported), [])}
    assert words["elbo; masked too"] == "monotone"
    iddpm = next(said for names, said in words.items() if names.startswith("iddpm"))
    assert iddpm == "not monotone, rises −8 to 0"
    assert any("logit_normal)" in names for names in words)


def renamed(results: Path, old: str, new: str) -> None:
    """Writes cells.csv with a weighting under another name."""
    text = (results / "cells.csv").read_text()
    (results / "cells.csv").write_text(text.replace(f",{old},", f",{new},").replace(f".{old}.", f".{new}."))


def test_a_weighting_unknown_here_is_named_in_the_caption(reported_copy: Path) -> None:
    renamed(reported_copy, "iddpm", "home_made")
    _, frame, caption = figures()["gallery"](Source(reported_copy))
    assert "Not drawn: home_made (unknown gaussian weighting" in caption
    assert "home_made" not in set(frame["weighting"])


def test_a_users_own_weighting_is_in_the_gallery(reported_copy: Path) -> None:
    config = json.loads((reported_copy / "config.json").read_text())
    own = {"name": "home_made", "spec": "expr:exp(-lam)*t", "on": "x1"}
    experiment = next(each for each in config["experiments"] if each["name"] == "images")
    experiment["weightings"] = [own if each == "iddpm" else each for each in experiment["weightings"]]
    (reported_copy / "config.json").write_text(json.dumps(config))
    renamed(reported_copy, "iddpm", "home_made")
    _, frame, caption = figures()["gallery"](Source(reported_copy))
    curve = frame.query("weighting == 'home_made'")
    t = 1 / (1 + np.exp(-curve["lam"] / 2))
    # 2 c (sigma/alpha)² / dlam by hand: c = t e^-lam, (sigma/alpha)² = e^-lam, dlam = 2 / (t (1-t)) on the linear path.
    np.testing.assert_allclose(curve["w"], t**2 * (1 - t) * np.exp(-2 * curve["lam"]), rtol=1e-9)
    assert len(curve) == 161
    assert "Not drawn" not in caption


def test_a_weight_without_a_value_at_zero_is_drawn_over_its_largest() -> None:
    from reproflow.reporting.figures.curves import curve_of
    from reproflow.theory.objective import Objective
    from reproflow.theory.paths import get_path
    from reproflow.theory.times import get_time_law
    from reproflow.theory.weightings import get_weighting

    hole = get_weighting("expr:where(abs(lam) < 1, 0, exp(-lam))", on="canonical")
    shown = curve_of(Objective(get_path("linear"), get_time_law("uniform"), hole)).shown
    assert np.nanmax(shown) == 1
    assert shown[80] == 0
    np.testing.assert_allclose(shown[0] / shown[20], np.exp(2), rtol=1e-6)
