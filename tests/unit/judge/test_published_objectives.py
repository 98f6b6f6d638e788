"""Published objectives, judged: restated right, by oracles of their sources, and committed fresh."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from reproflow.foundation import files
from reproflow.foundation.errors import ReproflowError, UsageError
from reproflow.judge import published_objectives as gallery
from reproflow.judge import published_objectives_table
from reproflow.reporting import published_objectives_page
from reproflow.reporting.published_objectives_page import page

LAM = np.array(published_objectives_table.LAM)
ENTRIES = {entry.key: entry for entry in gallery.entries()}
# One or two of every process, family and kind of verdict, without paths that need forward-mode differentiation.
SAMPLE = ("score-g2", "debiased-eps", "min-snr-on-velocity", "rf-plus-plus", "mdlm", "masked-edm")


def curve(row: dict[str, str]) -> np.ndarray:
    return np.array([float(each) for each in row["curve"].split()])


class TestEntries:
    def test_every_objective_is_told_once_and_has_a_source(self) -> None:
        assert len(ENTRIES) >= 32
        assert len(gallery.entries()) == len(ENTRIES) == len({entry.name for entry in ENTRIES.values()})
        for entry in ENTRIES.values():
            assert re.fullmatch(r"[a-z0-9-]+", entry.key)
            assert re.search(r"\d{4}|/|00\d", entry.source), entry.key
            assert entry.on or not entry.weighting.startswith("expr:"), f"{entry.key}: what does it multiply?"

    def test_families_stand_together(self) -> None:
        families = [entry.family for entry in ENTRIES.values()]
        assert sum(a != b for a, b in itertools.pairwise(families)) == len(set(families)) - 1

    def test_an_unknown_key_gets_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'min-snr-eps'"):
            gallery.entries(["min-snr-epss"])


class TestFreshness:
    def test_the_table_is_of_this_list(self, published_table: published_objectives_table.Field) -> None:
        assert files.sha256(gallery.FILE)[:16] in published_table.provenance, "run: reproflow check field --refresh"
        assert list(published_table.rows) == list(ENTRIES)
        for key, entry in ENTRIES.items():
            assert {name: getattr(entry, name) for name in gallery.TOLD} == {
                name: published_table.rows[key][name] for name in gallery.TOLD
            }

    @pytest.mark.parametrize("key", SAMPLE)
    @pytest.mark.default_cases(2)
    def test_a_sample_judged_again_comes_out_the_same(
        self, key: str, published_table: published_objectives_table.Field
    ) -> None:
        assert gallery.differences(list(gallery.judge_all([key])), published_table.rows) == []

    @pytest.mark.slow
    def test_all_of_it_judged_again_comes_out_the_same(self, published_table: published_objectives_table.Field) -> None:
        assert gallery.differences(list(gallery.judge_all()), published_table.rows) == []

    def test_the_page_is_of_this_table(self, published_table: published_objectives_table.Field) -> None:
        texts = page(published_table)
        assert {f"field/{path.name}" for path in (published_objectives_page.DOCS / "field").glob("*")} == set(texts) - {
            "field.md"
        }
        for name, text in texts.items():
            assert (published_objectives_page.DOCS / name).read_text() == text, (
                f"{name}: run: reproflow check field --refresh"
            )

    def test_a_difference_is_found(self, published_table: published_objectives_table.Field) -> None:
        rows = [dict(published_table.rows[key]) for key in ("edm", "fm", "ddpm")]
        rows[0]["bound"], rows[1]["mass"] = "certified", "1.001"
        rows[2]["curve"] = rows[2]["curve"].replace("0.0", "0.1", 1)
        found = gallery.differences(rows, published_table.rows)
        assert [line.split(" is ")[0] for line in found] == ["edm: bound", "fm: mass", "ddpm: curve"]
        assert gallery.differences([rows[1] | {"key": "new"}], published_table.rows) == [
            "new: not in the committed table"
        ]


def log_sech(x: np.ndarray) -> np.ndarray:
    return -np.log(np.cosh(x))


def log_normal_law(mean: float, std: float) -> np.ndarray:
    """log of the density of lam where logit t ~ N(mean, std²) on the linear path, on which lam = 2 logit t."""
    return stats.norm.logpdf(LAM / 2, mean, std)


def log_time_law(density: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """log of the density of lam where t has that density on the linear path: dt/dlam = t (1 - t)/2."""
    t = 1 / (1 + np.exp(-LAM / 2))
    return np.log(density(t)) + np.log(t * (1 - t))


# The error in x1, v (variance preserving) and the velocity (linear path) in units of that in eps, as logarithms.
X1 = -LAM
V = np.logaddexp(0, -LAM)
U = 2 * np.logaddexp(0, -LAM / 2)

# Log canonical weights by the noise-level form of Kingma & Gao: the density of lam times the factor on the eps error.
CLOSED = {
    "vdm": 0 * LAM,
    "iddpm": log_sech(LAM / 2),
    "shifted-cosine": log_sech((LAM + 2 * np.log(4)) / 2),
    "v-cosine": log_sech(LAM / 2) + V,
    "truncated-snr": log_sech(LAM / 2) + np.maximum(0, -LAM),
    "sigmoid": -np.logaddexp(0, LAM - 2),
    "min-snr-x1": log_sech(LAM / 2) + np.minimum(0, np.log(5) - LAM),
    "min-snr-on-velocity": log_time_law(np.ones_like) + U + np.minimum(LAM, np.log(5)),
    "min-snr-velocity": log_time_law(np.ones_like) + X1 + np.minimum(LAM, np.log(5)),
    "soft-min-snr": log_sech(LAM / 2) - np.logaddexp(np.log(4), LAM),
    "clipped-snr": log_sech(LAM / 2) + X1 + np.log(np.clip(np.exp(LAM), 0.05, 1.5)),
    "laplace": stats.laplace.logpdf(LAM, 0, 0.5),
    "cauchy": stats.cauchy.logpdf(LAM, 0, 1),
    "edm": stats.norm.logpdf(LAM, 2.4, 2.4) + np.log(np.exp(-LAM) + 0.25),
    "edm2": stats.norm.logpdf(LAM, 0.8, 2) + np.log(np.exp(-LAM) + 0.25),
    "alphafold3-printed": stats.norm.logpdf(LAM, 2.4, 3)
    + np.log((np.exp(-LAM) + 1) / (np.exp(-LAM / 2) + 1) ** 2) - LAM,
    "alphafold3-product": stats.norm.logpdf(LAM, 2.4, 3) + np.log(np.exp(-LAM) + 1),
    "fm": -LAM / 2,
    "sd3-logit-normal": log_normal_law(0, 1) + U,
    "sd3-shift": log_normal_law(-np.log(3), 1) + U,
    "sd3-cosmap": log_sech(LAM / 2) + U,
    "cosmap-weight": log_sech(LAM / 2) + U,
    "sigma-sqrt-velocity": log_time_law(lambda t: (1 - t) ** -2) + U,
    "sigma-sqrt-x1": log_time_law(lambda t: (1 - t) ** -2) + X1,
    "uniform-shift": stats.logistic.logpdf(LAM / 2, -np.log(3)) + U,
    "fm-skewed": log_normal_law(1.2, 1.2) + U,
    "rf-plus-plus": log_time_law(lambda t: np.exp(4 * t) + np.exp(4 * (1 - t))) + U,
    "proteina": log_time_law(lambda t: 0.02 + 0.98 * stats.beta.pdf(t, 1.9, 1)) + U,
    "jit": log_normal_law(-0.8, 0.8) + X1 - 2 * np.log(np.maximum(1 / (1 + np.exp(LAM / 2)), 0.05)),
    "flowfusion": log_time_law(lambda t: 1 / (1.05 - t) ** 2) + X1,
    "frameflow": log_time_law(lambda t: 1 / (1 - np.minimum(t, 0.9)) ** 2) + X1,
    "bounded-inverse": log_time_law(lambda t: np.maximum(1, 0.5 / (1 - t))) + X1,
    "indi": -LAM + 2 * log_sech(LAM / 4),
    "inv-snr": -1.5 * LAM,
    "masked-iddpm": log_sech(LAM / 2),
    "masked-edm": stats.norm.logpdf(LAM, 2.4, 2.4) + np.log(np.exp(-LAM) + 0.25),
    "masked-sigmoid": -np.logaddexp(0, LAM),
    "mdlm": 0 * LAM,
    "simple-linear": -np.logaddexp(0, LAM),
    # MaskGIT masks the share cos(pi r/2): with m = 1 - alpha, w = m/|m'| and |m'| ~ sqrt(1 - m²).
    "maskgit": -np.logaddexp(0, LAM) - 0.5 * np.log(1 - (1 + np.exp(LAM)) ** -2.0),
    "simple-cubic": -np.logaddexp(0, LAM) + 2 / 3 * np.logaddexp(0, -LAM),
}  # fmt: skip


@pytest.mark.parametrize("key", CLOSED)
def test_the_curve_is_that_of_its_noise_level_form(key: str, published_table: published_objectives_table.Field) -> None:
    found = curve(published_table.rows[key])
    wanted = (CLOSED[key] - CLOSED[key][40]) / np.log(10)
    reached = np.isfinite(found)
    assert reached.sum() >= 60
    np.testing.assert_allclose(found[reached], wanted[reached], atol=4e-3)


BETAS = {
    "linear": np.linspace(1e-4, 0.02, 1000),
    "scaled_linear": np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2,
}

# The schedule that their training scripts step through, and log of the factor on the eps error.
DISCRETE = {
    "ddpm": ("linear", 0 * LAM),
    "debiased-eps": ("linear", -LAM / 2),
    "p2": ("linear", -np.logaddexp(0, LAM)),
    "p2-half": ("linear", -0.5 * np.logaddexp(0, LAM)),
    "stable-diffusion": ("scaled_linear", 0 * LAM),
    "v-like-eps": ("scaled_linear", 0 * LAM),
    "min-snr-eps": ("scaled_linear", np.minimum(0, np.log(5) - LAM)),
    "min-snr-v": ("scaled_linear", np.minimum(0, np.log(5) - LAM)),
    "debiased-v": ("scaled_linear", V - np.log1p(np.minimum(np.exp(LAM), 1000))),
}


@pytest.mark.parametrize("key", DISCRETE)
def test_the_curve_is_that_of_the_thousand_steps(key: str, published_table: published_objectives_table.Field) -> None:
    """Each of the steps is as likely, so that the density of lam is 1 over the distance of its neighbours."""
    schedule, factor = DISCRETE[key]
    product = np.cumprod(1 - BETAS[schedule])
    lam = np.log(product / (1 - product))[::-1]
    density = np.interp(LAM, 0.5 * (lam[1:] + lam[:-1]), -np.log(np.diff(lam)))
    inside = (lam[50] < LAM) & (lam[-10] > LAM) & np.isfinite(curve(published_table.rows[key]))
    wanted = (density + factor - (density + factor)[40]) / np.log(10)
    assert inside.sum() >= 40
    np.testing.assert_allclose(curve(published_table.rows[key])[inside], wanted[inside], atol=0.015)


class TestSame:
    @pytest.mark.parametrize(
        "members",
        [
            {"vdm", "score-g2", "ncsn"},
            {"v-cosine", "fm", "sit-gvp", "sigma-sqrt-x1"},
            {"stable-diffusion", "v-like-eps"},
            {"min-snr-eps", "min-snr-v"},
            {"sd3-cosmap", "cosmap-weight"},
            {"indi", "one-minus-t-squared"},
            {"mdlm", "md4"},
            {"simple-linear", "masked-sigmoid"},
        ],
    )
    def test_classes(self, members: set[str], published_table: published_objectives_table.Field) -> None:
        for key in members:
            assert set(published_table.rows[key]["same"].split()) == members - {key}

    @pytest.mark.parametrize(("key", "others"), [("vdm", {"score-g2", "ncsn"}), ("mdlm", {"md4"})])
    def test_two_processes_are_never_the_same(self, key: str, others: set[str]) -> None:
        """Both of these are the ELBO of their process, with the weight 1."""
        assert set(gallery.same(ENTRIES[key])) == others

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("debiased-eps", "debiased-v"),
            ("min-snr-on-velocity", "min-snr-velocity"),
            ("sigma-sqrt-velocity", "sigma-sqrt-x1"),
            ("alphafold3-printed", "alphafold3-product"),
        ],
    )
    def test_what_is_often_taken_for_the_same(
        self, one: str, other: str, published_table: published_objectives_table.Field
    ) -> None:
        assert other not in published_table.rows[one]["same"].split()


# Certified or not, by ST-8 to ST-10 and by hand where these speak of it.
@pytest.mark.parametrize(
    ("certified", "keys"),
    [
        (True, "vdm score-g2 ncsn v-cosine fm indi inv-snr one-minus-t-squared edm-monotone sigmoid mdlm md4 maskgit"),
        (False, "iddpm edm min-snr-x1 min-snr-on-velocity t-squared sd3-logit-normal masked-iddpm masked-edm p2"),
    ],
)
def test_verdicts_of_the_catalogue(
    certified: bool, keys: str, published_table: published_objectives_table.Field
) -> None:
    for key in keys.split():
        row = published_table.rows[key]
        assert (row["bound"] == "certified") == certified, key
        assert bool(row["rises"]) != certified


class TestFiles:
    def test_what_is_written_is_read(self, published_table: published_objectives_table.Field, tmp_path: Path) -> None:
        published_objectives_table.write(published_table, tmp_path / "published_objectives.csv")
        assert published_objectives_table.read(tmp_path / "published_objectives.csv") == published_table
        assert (tmp_path / "published_objectives.csv").read_bytes() == published_objectives_table.FILE.read_bytes()

    @pytest.mark.parametrize("text", [None, "", "key,name\nedm,EDM\n", "# of another version\nkey,name\nedm,EDM\n"])
    def test_a_table_that_cannot_be_read_says_its_cure(self, text: str | None, tmp_path: Path) -> None:
        if text is not None:
            (tmp_path / "published_objectives.csv").write_text(text)
        with pytest.raises(ReproflowError, match="reproflow check field --refresh"):
            published_objectives_table.read(tmp_path / "published_objectives.csv")
