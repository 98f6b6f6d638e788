"""Verbs that rules call, one a stage of the workflow; each works by hand too."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reproflow.cli import common, trying
from reproflow.cli.common import ConfigOption, ResultsOption
from reproflow.foundation.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from reproflow.foundation.run import Run

ShardOption = Annotated[str, typer.Option("--shard", help="The shard's id, such as toy-000.")]


def resolve(config: ConfigOption, results: ResultsOption = None) -> None:
    """Check a configuration, try its user's own functions, and write it whole to results/<name>/config.json.

    Example: reproflow resolve --config configs/demo.yaml
    """
    from reproflow.foundation import config as configuration
    from reproflow.foundation import files, grid

    opened = common.open_run(config, results)
    grid.check(opened.config)
    if opened.config.user_functions:
        trying.try_user_functions(opened, config, results)
    files.write_text(opened.folder / "config.json", configuration.dump(opened.config))


def prepare(
    dataset: Annotated[str, typer.Argument(help="A data set's name.")],
    config: ConfigOption,
    results: ResultsOption = None,
) -> None:
    """Write a data set as one checked file.

    Example: reproflow prepare digits8 --config configs/demo.yaml
    """
    from reproflow.learning import data

    opened = common.open_run(config, results)
    # Of several experiments on one data set the first is recorded, in the file's header, as the one it is written for.
    known = {experiment.dataset_spec.name: experiment for experiment in reversed(opened.config.experiments)}
    if dataset not in known:
        names = ", ".join(known)
        raise UsageError(f"unknown data set {dataset!r} of this run;{did_you_mean(dataset, known)} known: {names}")
    experiment = known[dataset]
    print(data.prepare(experiment.dataset_spec, opened.data_file(dataset), experiment.process))


def features(
    dataset: Annotated[str, typer.Argument(help="An image data set's name.")],
    config: ConfigOption,
    results: ResultsOption = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train one, in place of the shipped network.")] = False,
) -> None:
    """Put the feature network that FID uses into the results folder: the shipped one, the same on every machine.

    Example: reproflow features digits8 --config configs/demo.yaml
    """
    from reproflow.evaluation.features.digits_network import train_features
    from reproflow.evaluation.features.extractors import install_features
    from reproflow.learning import data

    opened = common.open_run(config, results)
    loaded = data.load(opened.data_file(dataset))
    if not isinstance(loaded, data.ImageData):
        raise UsageError(f"{dataset} has no images; FID needs an image data set.")
    write = train_features if retrain else install_features
    print(json.dumps(write(loaded, opened.features_file(dataset))))


def train(config: ConfigOption, shard: ShardOption, results: ResultsOption = None) -> None:
    """Train the cells of a shard that are missing from the store; exit 75 when interrupted, to be run again.

    Functions of the user's own are tried first, unless they were already as they are now.
    Example: reproflow train --config configs/demo.yaml --shard toy-000
    """
    # Before the slow imports, so that a signal that comes early is answered too.
    with common.stop_requests() as should_stop:
        from reproflow.learning import data
        from reproflow.learning.training import shard as training

        opened = common.open_run(config, results)
        experiment, cells = opened.shard(shard)
        if opened.config.user_functions and not trying.are_tried(opened):
            trying.try_user_functions(opened, config, results)
        work = [(cell, opened.slot("train", cell)) for cell in cells]
        loaded = data.load(opened.data_file(experiment.dataset_spec.name))
        training.train(experiment, work, loaded, common.device(opened.config.device), should_stop, shard)


def sample(config: ConfigOption, shard: ShardOption, results: ResultsOption = None) -> None:
    """Draw samples from the trained cells of a shard.

    Example: reproflow sample --config configs/demo.yaml --shard toy-000
    """
    from reproflow.learning import data
    from reproflow.learning.sampling import samples

    opened = common.open_run(config, results)
    experiment, cells = opened.shard(shard)
    work = [
        (cell, opened.slot("train", cell), opened.slot("sample", cell)) for cell in _finished(opened, cells, "train")
    ]
    loaded = data.load(opened.data_file(experiment.dataset_spec.name))
    samples.sample(experiment, work, loaded, common.device(opened.config.device), shard)


def evaluate(config: ConfigOption, shard: ShardOption, results: ResultsOption = None) -> None:
    """Measure the cells of a shard: FID, KID, likelihood, and the loss they cannot beat.

    Example: reproflow evaluate --config configs/demo.yaml --shard toy-000
    """
    from reproflow.evaluation import cells as evaluation
    from reproflow.learning import data

    opened = common.open_run(config, results)
    experiment, cells = opened.shard(shard)
    work = [
        (cell, *(opened.slot(stage, cell) for stage in ("train", "sample", "evaluate")))
        for cell in _finished(opened, cells, "sample")
    ]
    loaded = data.load(opened.data_file(experiment.dataset_spec.name))
    weights = opened.features_file(experiment.dataset_spec.name) if isinstance(loaded, data.ImageData) else None
    evaluation.evaluate(experiment, work, loaded, common.device(opened.config.device), weights, shard)


def pairs(
    cell: Annotated[str, typer.Argument(help="The key of a trained Gaussian cell, as in cells.csv.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write, FILE.safetensors.")],
    results: Annotated[Path, typer.Option("--results", help="The results folder.")] = Path("results/demo"),
    n: Annotated[int, typer.Option("--n", min=1, help="How many pairs.")] = 20000,
    solver: Annotated[
        str | None, typer.Option("--solver", help="euler, heun or rk4; the cell's own by default.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Its steps; the cell's own by default.")] = None,
) -> None:
    """Write pairs of noise and what a cell's flow makes of it, for `coupling: FILE.safetensors` (Reflow).

    Example: reproflow pairs eight_gaussians.gaussian.linear.uniform.uniform.velocity.s0 --out pairs.safetensors
    """
    from reproflow.foundation import coupled_pairs_file
    from reproflow.learning.sampling import reflow

    if not coupled_pairs_file.is_file(str(out)):
        raise UsageError(
            f"--out {out}: a file of pairs is named FILE{coupled_pairs_file.SUFFIX}, as in coupling: FILE."
        )
    opened = common.open_run(results / "config.json", results)
    found, experiment, data, denoiser = common.trained_flow(opened, cell)
    own = experiment.sampling
    settings = own.model_copy(update={"n": n, "solver": solver or own.solver, "steps": steps or own.steps})
    print(reflow.write_pairs(denoiser, data, found, settings, experiment.training.t_range, out))


def claims(config: ConfigOption, results: ResultsOption = None) -> None:
    """Run the configuration's claims and write claims.csv; always exits 0, the gate judges.

    Example: reproflow claims --config configs/demo.yaml
    """
    from reproflow.claims import ledger

    opened = common.open_run(config, results)
    wanted = opened.config.claims
    rows = ledger.run(wanted.ids, wanted.tier, common.claim_context(opened))
    ledger.write_csv(rows, opened.folder / "claims.csv")
    common.print_claims(rows)


def cascade(config: ConfigOption, results: ResultsOption = None) -> None:
    """Write cascade.csv: the cascade of bounds on trained image networks, each number with its error.

    Example: reproflow cascade --config configs/demo.yaml
    """
    from reproflow.evaluation.bound_cascade import table

    opened = common.open_run(config, results)
    if opened.config.cascade is None:
        raise UsageError(f"configuration {opened.config.name!r} asks for no cascade; add `cascade: {{}}` to it.")
    table.write(opened, common.device(opened.config.device))


def collect(config: ConfigOption, results: ResultsOption = None) -> None:
    """Gather the store into cells.csv, curves.csv, timings.csv and samples/.

    Example: reproflow collect --config configs/demo.yaml
    """
    from reproflow.evaluation import collect as collecting

    collecting.collect(common.open_run(config, results))


def tables(config: ConfigOption, results: ResultsOption = None) -> None:
    """Write tables/: cells, paired comparisons, equal objectives, claims, as CSV, Markdown and LaTeX.

    Example: reproflow tables --config configs/demo.yaml
    """
    from reproflow.reporting.tables import write_tables

    write_tables(common.open_run(config, results).folder)


def figures(
    names: Annotated[list[str] | None, typer.Argument(help="Figures to make; all by default.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="A configuration, whose results are drawn; else results/demo."),
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Write figures/: each as SVG, PDF, PNG and the CSV of its numbers.

    Example: reproflow figures gallery --results results/demo
    """
    from reproflow.reporting.figures import write_figures

    folder = common.open_run(config, results).folder if config else results or Path("results/demo")
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} is no results folder: it has no config.json; name one with --results or --config.")
    write_figures(folder, names)


def report(config: ConfigOption, results: ResultsOption = None) -> None:
    """Write report.html, one self-contained page, and provenance.json.

    Example: reproflow report --config configs/demo.yaml
    """
    from reproflow.foundation import files, fingerprint, grid, provenance
    from reproflow.reporting.html import write_report

    opened = common.open_run(config, results)
    whole = fingerprint.of_cells(opened.config, grid.expand(opened.config), "evaluate")
    origin = provenance.describe(opened.config.name, str(opened.folder / "config.json"), whole)
    files.write_json(opened.folder / "provenance.json", origin)
    write_report(opened.folder)


def gate(config: ConfigOption, results: ResultsOption = None) -> None:
    """Fail where a verdict is not as expected, a control or a bound fails, a cell is broken or a number got worse.

    Example: reproflow gate --config configs/demo.yaml
    """
    from reproflow.analysis import gate as gating

    gating.judge(common.open_run(config, results).folder)
    print("gate passed: every claim as expected, every control refuted, no bound contradicted, every cell finished")


def _finished(opened: Run, cells: list[Any], stage: str) -> list[Any]:
    """The cells that a stage has left fit for the next one; the others are said, and stay rows of cells.csv."""
    from reproflow.foundation.fingerprint import STAGES

    opened.read(cells, *STAGES[: STAGES.index(stage) + 1])
    fit = [cell for cell in cells if (opened.slot(stage, cell).record() or {}).get("status") == "ok"]
    for cell in cells:
        if cell not in fit:
            logging.warning("%s is left out: no good %s record", cell.key, stage)
    return fit


VERBS = (
    resolve,
    prepare,
    features,
    train,
    sample,
    pairs,
    evaluate,
    claims,
    cascade,
    collect,
    tables,
    figures,
    report,
    gate,
)
