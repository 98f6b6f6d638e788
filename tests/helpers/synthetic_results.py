"""A made-up results folder in the contract's format, to test tables, figures and report. Nothing in it was measured.

The numbers are drawn so that each kind of outcome occurs: `sigmoid` is better than `elbo` in FID at every seed, `fm` is
tied with it, `simple` diverges at one seed and one cell failed; one claim comes out other than expected. On eight
Gaussians, `fm` (one objective, whatever path and time law) is worse on the cosine path and exactly alike under the
logit-normal law.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reproflow.claims.policy import COLUMNS as CLAIM_COLUMNS
from reproflow.evaluation.bound_cascade.columns import COLUMNS as CASCADE_COLUMNS
from reproflow.evaluation.collect import CELL_COLUMNS, CURVE_COLUMNS, TIMING_COLUMNS
from reproflow.foundation import config as configuration

SEEDS = (0, 1, 2)
IMAGES = {"gaussian": ("elbo", "fm", "sigmoid", "iddpm", "uniform"), "masked": ("elbo", "fm", "sigmoid", "simple")}
TOYS = ("eight_gaussians", "two_moons")
TOY_WEIGHTINGS = ("elbo", "fm", "sigmoid")
# more cells on eight Gaussians: what they add to the NLL of their weighting with linear path and uniform time
FURTHER = {
    ("cosine", "uniform", "elbo"): 0.0,
    ("cosine", "uniform", "fm"): 0.3,
    ("linear", "logit_normal", "fm"): None,
    ("linear", "logit_normal", "uniform"): 0.1,
}
FURTHER_MEASURES = ("precision", "recall")
# what a weighting adds to FID and to the bound; only relations between them matter to the tests
FID = {"elbo": 0.0, "fm": 0.02, "sigmoid": -0.5, "iddpm": -0.2, "uniform": 0.9, "simple": 0.3}


def write_results(folder: Path, seeds: Iterable[int] = SEEDS) -> Path:
    """Writes a whole synthetic results folder and returns it."""
    generator = np.random.default_rng(7)
    seeds = tuple(seeds)
    cells = [*_image_cells(seeds, generator), *_toy_cells(seeds, generator)]
    write_csv(folder / "cells.csv", [*CELL_COLUMNS, *FURTHER_MEASURES], [cell | _further(cell) for cell in cells])
    write_csv(folder / "claims.csv", CLAIM_COLUMNS, claims())
    write_csv(folder / "curves.csv", CURVE_COLUMNS, [row for cell in cells for row in _curve(cell, generator)])
    write_csv(folder / "timings.csv", TIMING_COLUMNS, [{"stage": "train", "cell": cells[0]["cell"], "seconds": 61.5}])
    write_csv(folder / "cascade.csv", CASCADE_COLUMNS, cascade(cells))
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    (folder / "config.json").write_text(configuration.dump(configuration.check(config(seeds))))
    (folder / "samples").mkdir()
    for cell in cells:
        if cell["status"] == "ok":
            np.savez(folder / "samples" / f"{cell['cell']}.npz", **_samples(cell, generator))
    return folder


def _further(cell: Mapping[str, Any]) -> dict[str, float]:
    """Precision and recall of an image cell; a low FID goes with both. No error of theirs is made up."""
    fid = cell.get("fid_train")
    return {} if fid in (None, "") else {"precision": 1 / (1 + 0.1 * float(fid)), "recall": 1 / (1 + 0.3 * float(fid))}


def cascade(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one masked network: a gap that falls, two weights that are sums of bounds and one that is not."""
    cell = next(cell for cell in cells if cell["process"] == "masked")
    about = {key: cell[key] for key in ("cell", "process", "dataset", "path", "weighting", "target", "seed")}
    gaps = [("path_kl", "m=0", 8.0), ("path_kl", "m=0.5", 3.0), ("path_kl", "m=0.75", 1.0), ("path_kl_steps", "8", 9.0)]
    sums = [("elbo", "supported"), ("simple", "supported"), ("iddpm", "not_representable")]
    rows = [{"quantity": name, "at": at, "value": value, "reference": 8.0} for name, at, value in gaps]
    rows += [
        {"quantity": "weighted_sum", "at": at, "value": 4.0, "reference": 4.1, "verdict": verdict}
        for at, verdict in sums
    ]
    where = {"m=0 alone": (1.0, 0.2), "m=0 to 0.5": (2.5, 0.3), "m=0.5 to 1": (0.5, 0.5)}
    rows += [
        {"quantity": "weighted_term", "at": f"{name}, {at}", "value": value, "reference": mass, "reference_se": 0.0}
        for name, sign in (("simple", 1), ("iddpm", -1))
        for at, (value, mass) in (where | {"m=0.5 to 1": (sign * 0.5, sign * 0.5)}).items()
    ]
    return [about | {"se": 0.1, "reference_se": 0.1} | row for row in rows]


PROVENANCE = {
    "command": "snakemake --cores all --configfile configs/synthetic.yaml",
    "config_name": "synthetic",
    "git_commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "versions": {"python": "3.11.9", "torch": "2.6.0", "torch-fidelity": "0.4.0"},
    "platform": "Linux-x86_64",
    "cpu": "synthetic",
    "created": "2000-01-01T00:00:00+00:00",
    "fingerprint": "feedface" * 8,
}


def config(seeds: tuple[int, ...]) -> dict[str, Any]:
    """The configuration whose grid these cells are."""
    own: dict[str, Any] = {"seeds": list(seeds), "training": {"steps": 1000, "batch": 128}}
    flow = {"process": "gaussian", "sampling": {"solver": "euler"}} | own
    toy = flow | {"paths": ["linear"], "weightings": list(TOY_WEIGHTINGS)}
    tokens = own | {"process": "masked", "sampling": {"solver": "ancestral"}}
    images = {"dataset": "digits8", "paths": ["linear"], "measures": list(FURTHER_MEASURES)}
    eight = flow | {"dataset": "eight_gaussians"}
    experiments = [
        flow | images | {"name": "images", "weightings": list(IMAGES["gaussian"])},
        tokens | images | {"name": "tokens", "weightings": list(IMAGES["masked"])},
        *(toy | {"name": dataset, "dataset": dataset} for dataset in TOYS),
        eight | {"name": "paths", "paths": ["cosine"], "weightings": ["elbo", "fm"]},
        eight | {"name": "times", "paths": ["linear"], "times": ["logit_normal"], "weightings": ["fm", "uniform"]},
    ]
    return {"name": "synthetic", "experiments": experiments}


def claims() -> list[dict[str, Any]]:
    """Ledger rows of every kind: supported, an erratum with its correction, undecided, textual, and one surprise."""
    rows = [
        ("LOSS-1", "FM and CFM have the same gradient", "exact", "exact", "", "supported", "supported", 9.4e-15, 1e-10),
        ("LOSS-1", "FM and CFM have the same gradient", "identity", "mc", "", "inconclusive", "supported", 2e-3, 1e-3),
        ("LOSS-10", "Sorts after LOSS-2", "exact", "exact", "", "supported", "supported", 0.0, 1e-12),
        ("LOSS-2", "Any weight w(t, x) keeps the minimiser", "exact", "exact", "", "refuted", "supported", 0.3, 1e-10),
        ("E04", "Marginal velocity as printed", "exact", "exact", "printed", "refuted", "refuted", 0.5, 1e-12),
        ("E04", "Marginal velocity as printed", "exact", "exact", "corrected", "supported", "supported", 1e-16, 1e-12),
        ("E25", "Typos <of> 002 & others", "textual", "exact", "", "not_applicable", "not_applicable", "", ""),
    ]
    return [_claim(*row) for row in rows]


def _claim(
    id: str, title: str, kind: str, tier: str, case: str, verdict: str, expected: str, statistic: Any, tolerance: Any
) -> dict[str, Any]:
    control_verdict = {"supported": "refuted", "refuted": "supported"}.get(expected, "")
    control = {"exact": "L1 loss;weight depends on z", "identity": "L1 loss;Huber loss"}.get(kind, "")
    return {
        "id": id, "title": title, "source": "002, 004 eq. 6", "kind": kind, "tier": tier, "case": case,
        "verdict": verdict, "expected": expected, "reason": f"a synthetic reason for {id} <b>not markup</b>",
        "statistic": statistic, "tolerance": tolerance, "n": 8192 if tier == "mc" else 0, "control": control,
        "control_verdict": control_verdict if verdict != "inconclusive" else "",
        "control_statistic": ";".join(["0.25"] * len(control.split(";"))) if control else "",
    }  # fmt: skip


def _image_cells(seeds: tuple[int, ...], generator: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for process, weightings in IMAGES.items():
        for weighting in weightings:
            for seed in seeds:
                target = "ce" if process == "masked" else "velocity"
                row = _cell(process, "digits8", weighting, target, seed)
                noise = 0.15 * np.sin(seed)  # shared by the weightings of a seed: what pairing removes
                fid = 3.0 + FID[weighting] + noise + 0.02 * generator.standard_normal()
                bits = 2.02 + 0.01 * FID[weighting] ** 2 + 0.001 * generator.standard_normal()
                row |= {
                    "fid_train": fid, "fid_train_se": 0.06, "fid_test": fid + 0.4, "fid_test_se": 0.07, "fid_n": 5000,
                    "fid_features": "digits_cnn", "bound_bits_per_dim": bits, "bound_bits_per_dim_se": 0.002,
                }  # fmt: skip
                rows.append(row)
    broken = next(row for row in rows if row["weighting"] == "simple" and row["seed"] == seeds[-1])
    broken.update(status="diverged", reason="loss is NaN at step 412", steps=412, **_no_numbers())
    return rows


def _toy_cells(seeds: tuple[int, ...], generator: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for dataset in TOYS:
        for weighting in TOY_WEIGHTINGS:
            for seed in seeds:
                nll = 1.75 + 0.05 * FID[weighting] + 0.01 * generator.standard_normal()
                row = _cell("gaussian", dataset, weighting, "velocity", seed)
                rows.append(row | {"nll_nats": nll, "nll_nats_se": 0.004})
    rows[-1].update(status="failed", reason="exit 1: no space left on device", steps="", **_no_numbers())
    known = {(row["dataset"], row["weighting"], row["seed"]): row for row in rows}
    for (path, time, weighting), more in FURTHER.items():
        for seed in seeds:
            usual = known.get(("eight_gaussians", weighting, seed), {"nll_nats": 1.8})["nll_nats"]
            nll = usual if more is None else usual + more + 0.01 * generator.standard_normal()
            row = _cell("gaussian", "eight_gaussians", weighting, "velocity", seed, path, time)
            rows.append(row | {"nll_nats": nll, "nll_nats_se": 0.004})
    return rows


def _cell(
    process: str, dataset: str, weighting: str, target: str, seed: int, path: str = "linear", time: str = "uniform"
) -> dict[str, Any]:
    key = f"{dataset}.{process}.{path}.{time}.{weighting}.{target}.s{seed}"
    return {
        "process": process, "dataset": dataset, "path": path, "time": time, "weighting": weighting,
        "target": target, "seed": seed, "steps": 1000, "cell": key, "status": "ok", "solver": "euler", "nfe": 32,
        "ema": 0.99, "batch": 128, "split": "train", "device": "cpu", "fingerprint": "feedface",
    }  # fmt: skip


def _no_numbers() -> dict[str, str]:
    numbers = ("fid_train", "fid_test", "bound_bits_per_dim", "nll_nats")
    return {name: "" for each in numbers for name in (each, f"{each}_se")}


def _curve(cell: Mapping[str, Any], generator: np.random.Generator) -> list[dict[str, Any]]:
    steps = np.arange(0, 1000, 10)
    floor = {"floor": 0.4, "floor_se": 0.01} if cell["process"] == "gaussian" else {}
    loss = (
        0.42 + 0.05 * FID[cell["weighting"]] + 0.9 * np.exp(-steps / 150) + 0.02 * generator.standard_normal(len(steps))
    )
    rows = zip(steps.tolist(), loss.tolist(), strict=True)
    return [
        {"cell": cell["cell"], "step": step, "loss": value, "grad_norm": 1.0, "lr": 1e-3} | floor
        for step, value in rows
        if cell["status"] == "ok" or step < 400
    ]


def _samples(cell: Mapping[str, Any], generator: np.random.Generator) -> dict[str, np.ndarray]:
    if cell["dataset"] == "digits8":
        labels = np.repeat(np.arange(10), 9).astype(np.int64)
        images = generator.integers(0, 17, size=(90, 8, 8)).astype(np.uint8)
        images[np.arange(90), labels % 8] = 16  # a white line at the height of the class, to see that rows are classes
        return {"samples": images, "labels": labels}
    angle = generator.integers(0, 8, 2000) * np.pi / 4
    points = 1.4 * np.stack([np.cos(angle), np.sin(angle)], -1) + 0.2 * generator.standard_normal((2000, 2))
    return {"samples": points.astype(np.float32)}


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes these columns of rows as CSV with `%.17g` floats and missing values empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(columns), restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.17g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
