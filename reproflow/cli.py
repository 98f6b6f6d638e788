"""The command line: verbs, each lazily imported, with errors of one to three lines and the exit codes of the contract."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from reproflow.foundation.errors import InterruptedRun, ReproflowError, UsageError, did_you_mean

if TYPE_CHECKING:
    import torch

    from reproflow.foundation.results import Results

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Executed evidence for statements about flow-matching and diffusion losses.",
)  # fmt: skip

KINDS = {
    "paths": "path", "times": "time", "weightings": "weighting", "targets": "target",
    "divergences": "divergence", "claims": "claim", "datasets": "dataset",
}  # fmt: skip

ConfigOption = Annotated[Path, typer.Option("--config", help="A configuration file (YAML or JSON).")]
ResultsOption = Annotated[Path | None, typer.Option("--results", help="The results folder; results/<config name> by default.")]
ShardOption = Annotated[str, typer.Option("--shard", help="The shard's id, such as toy-000.")]
JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; - is standard output.")]


# -- asking ------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help=", ".join(KINDS))] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Rewrite the committed list from the registry.")] = False,
) -> None:
    """List what is registered.

    Example: reproflow list weightings
    """
    from dataclasses import asdict

    from reproflow.foundation import files, names

    if kind is not None and kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r};{did_you_mean(kind, KINDS)} known: {', '.join(KINDS)}")
    if refresh:
        _load_registry()
        files.write_json(names.FILE, names.snapshot())
        names.known.cache_clear()
    rows = [asdict(name) for name in names.known() if kind is None or name.kind == KINDS[kind]]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        _print_names(rows)


@app.command()
def verify(
    claims: Annotated[list[str] | None, typer.Argument(help="Ids such as LOSS-1; all by default.")] = None,
    tier: Annotated[str, typer.Option(help="exact, mc or all.")] = "exact",
    explain: Annotated[bool, typer.Option("--explain", help="Print statement, proof idea and controls; run nothing.")] = False,
    results: Annotated[Path | None, typer.Option("--results", help="A results folder with trained networks, for tier mc.")] = None,
    json_file: JsonOption = None,
) -> None:
    """Run claims and their controls; exit 3 where a verdict is not as expected, 5 where one cannot be decided.

    Example: reproflow verify LOSS-1 LOSS-5
    """
    from reproflow.claims import ledger, policy

    if explain:
        print("\n\n".join(ledger.explain(each) for each in claims or []) or _raise(UsageError("--explain needs the ids of claims.")))
        return
    rows = ledger.run(claims, tier, _claim_context(_open(results / "config.json", results)) if results else None)
    if json_file is None or json_file != "-":
        _print_claims(rows)
    if json_file is not None:
        _write_json(json_file, rows)
    raise typer.Exit(policy.gate(rows))


@app.command()
def why(
    cell: Annotated[str, typer.Argument(help="A cell's key, as in cells.csv.")],
    results: Annotated[Path, typer.Option("--results", help="The results folder.")] = Path("results/demo"),
    config: Annotated[Path | None, typer.Option("--config", help="The configuration; the folder's own by default.")] = None,
) -> None:
    """Say which part changed since a cell was last trained, sampled and evaluated.

    Example: reproflow why eight_gaussians.gaussian.linear.uniform.elbo.velocity.s0
    """
    from reproflow.foundation import explain as explanation

    print("\n".join(explanation.why(_open(config or results / "config.json", results), cell)))


@app.command()
def doctor() -> None:
    """Check this installation: versions, devices, disk, and the list of names.

    Example: reproflow doctor
    """
    from reproflow import checkup

    rows = checkup.run()
    for name, state, detail in rows:
        print(f"{state:>7}  {name:<22} {detail}")
    if any(state == "FAILED" for _, state, _ in rows):
        raise ReproflowError("the installation has faults, see FAILED above.")


# -- running: the verbs that rules call ----------------------------------------------------------------------------------


@app.command()
def resolve(config: ConfigOption, results: ResultsOption = None) -> None:
    """Check a configuration and write it with every default to results/<name>/config.json.

    Example: reproflow resolve --config configs/demo.yaml
    """
    from reproflow.foundation import config as configuration
    from reproflow.foundation import files, grid

    opened = _open(config, results)
    grid.shards(opened.config)
    files.write_text(opened.folder / "config.json", configuration.dump(opened.config))


@app.command()
def prepare(dataset: Annotated[str, typer.Argument(help="A data set's name.")], config: ConfigOption, results: ResultsOption = None) -> None:
    """Write a data set as one checked file.

    Example: reproflow prepare digits8 --config configs/demo.yaml
    """
    from reproflow.learning import data

    opened = _open(config, results)
    process = next(e.process for e in opened.config.experiments if e.dataset == dataset)
    print(data.prepare(dataset, opened.data_file(dataset), process))


@app.command()
def features(dataset: Annotated[str, typer.Argument(help="An image data set's name.")], config: ConfigOption, results: ResultsOption = None) -> None:
    """Train the feature network that FID uses.

    Example: reproflow features digits8 --config configs/demo.yaml
    """
    from reproflow.evaluation.features import train_features
    from reproflow.learning import data

    opened = _open(config, results)
    loaded = data.load(opened.data_file(dataset))
    if not isinstance(loaded, data.ImageData):
        raise UsageError(f"{dataset} has no images; FID needs an image data set.")
    print(json.dumps(train_features(loaded, opened.features_file(dataset))))


@app.command()
def train(config: ConfigOption, shard: ShardOption, results: ResultsOption = None) -> None:
    """Train the cells of a shard that are missing from the store; exit 75 when interrupted, to be run again.

    Example: reproflow train --config configs/demo.yaml --shard toy-000
    """
    from reproflow.learning import data
    from reproflow.learning.training import shard as training

    opened = _open(config, results)
    experiment, cells = opened.shard(shard)
    work = [(cell, opened.slot("train", cell)) for cell in cells]
    with _stop_requests() as should_stop:
        loaded = data.load(opened.data_file(experiment.dataset))
        training.train(experiment, work, loaded, _device(opened.config.device), should_stop, shard)


@app.command()
def sample(config: ConfigOption, shard: ShardOption, results: ResultsOption = None) -> None:
    """Draw samples from the trained cells of a shard.

    Example: reproflow sample --config configs/demo.yaml --shard toy-000
    """
    from reproflow.learning import data, sampling

    opened = _open(config, results)
    experiment, cells = opened.shard(shard)
    work = [(cell, opened.slot("train", cell), opened.slot("sample", cell)) for cell in _finished(opened, cells, "train")]
    sampling.sample(experiment, work, data.load(opened.data_file(experiment.dataset)), _device(opened.config.device), shard)


@app.command()
def evaluate(config: ConfigOption, shard: ShardOption, results: ResultsOption = None) -> None:
    """Measure the cells of a shard: FID, KID, likelihood, and the loss they cannot beat.

    Example: reproflow evaluate --config configs/demo.yaml --shard toy-000
    """
    from reproflow.evaluation import cell as evaluation
    from reproflow.learning import data

    opened = _open(config, results)
    experiment, cells = opened.shard(shard)
    work = [(cell, *(opened.slot(stage, cell) for stage in ("train", "sample", "evaluate"))) for cell in _finished(opened, cells, "sample")]
    loaded = data.load(opened.data_file(experiment.dataset))
    weights = opened.features_file(experiment.dataset) if isinstance(loaded, data.ImageData) else None
    evaluation.evaluate(experiment, work, loaded, _device(opened.config.device), weights, shard)


@app.command()
def claims(config: ConfigOption, results: ResultsOption = None) -> None:
    """Run the configuration's claims and write claims.csv; always exits 0, the gate judges.

    Example: reproflow claims --config configs/demo.yaml
    """
    from reproflow.claims import ledger

    opened = _open(config, results)
    wanted = opened.config.claims
    rows = ledger.run(wanted.ids, wanted.tier, _claim_context(opened))
    ledger.write_csv(rows, opened.folder / "claims.csv")
    _print_claims(rows)


@app.command()
def collect(config: ConfigOption, results: ResultsOption = None) -> None:
    """Gather the store into cells.csv, curves.csv, timings.csv and samples/.

    Example: reproflow collect --config configs/demo.yaml
    """
    from reproflow.evaluation import collect as collecting

    collecting.collect(_open(config, results))


@app.command()
def tables(config: ConfigOption, results: ResultsOption = None) -> None:
    """Write tables/: cells, weighting comparison, claims, as CSV, Markdown and LaTeX.

    Example: reproflow tables --config configs/demo.yaml
    """
    from reproflow.reporting.tables import write_tables

    write_tables(_open(config, results).folder)


@app.command()
def figures(
    config: ConfigOption,
    results: ResultsOption = None,
    names: Annotated[list[str] | None, typer.Argument(help="Figures to make; all by default.")] = None,
) -> None:
    """Write figures/: each as SVG, PNG and the CSV of its numbers.

    Example: reproflow figures --config configs/demo.yaml weightings
    """
    from reproflow.reporting.figures import write_figures

    write_figures(_open(config, results).folder, names)


@app.command()
def report(config: ConfigOption, results: ResultsOption = None) -> None:
    """Write report.html, one self-contained page, and provenance.json.

    Example: reproflow report --config configs/demo.yaml
    """
    from reproflow.foundation import files, fingerprint, grid, provenance
    from reproflow.reporting.html import write_report

    opened = _open(config, results)
    whole = fingerprint.of_cells(opened.config, grid.expand(opened.config), "evaluate")
    files.write_json(opened.folder / "provenance.json", provenance.describe(opened.config.name, whole))
    write_report(opened.folder)


@app.command()
def gate(config: ConfigOption, results: ResultsOption = None) -> None:
    """Fail where a claim's verdict is not as expected, a control was not refuted, or a cell diverged or failed.

    Example: reproflow gate --config configs/demo.yaml
    """
    from reproflow.reporting import gate as gating

    gating.judge(_open(config, results).folder)
    print("gate passed: every claim as expected, every control refuted, every cell finished")


# -- helpers -------------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with the contract's code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """The exit code of these arguments; errors are said on standard error."""
    try:
        return app(arguments, standalone_mode=False, prog_name="reproflow") or 0
    except ReproflowError as error:
        print(f"reproflow: {error}", file=sys.stderr)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return 2
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "reproflow"
        print(f"reproflow: {error.format_message()}\nSee '{path} --help' for an example.", file=sys.stderr)
        return 2
    except click.Abort:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _open(config: Path, results: Path | None) -> Results:
    from reproflow.foundation import config as configuration
    from reproflow.foundation.results import Results

    loaded = configuration.load(config)
    return Results(loaded, results or Path("results") / loaded.name)


def _finished(opened: Results, cells: list[Any], stage: str) -> list[Any]:
    """The cells that a stage has left fit for the next one; the others are said, and stay rows of cells.csv."""
    fit = [cell for cell in cells if (opened.slot(stage, cell).record() or {}).get("status") == "ok"]
    for cell in cells:
        if cell not in fit:
            logging.warning("%s is left out: no good %s record", cell.key, stage)
    return fit


def _device(wanted: str) -> torch.device:
    """The device asked for; never another one in silence. One thread on the CPU: results depend on the count."""
    import torch

    torch.set_num_threads(1)
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: cuda is asked for and no CUDA device is available here;\nset device: auto or cpu, or run on a GPU node.")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def _stop_requests() -> Iterator[Any]:
    """SIGTERM, SIGUSR1 and SIGINT only set a flag; the training loop saves and raises `InterruptedRun`."""
    asked: list[int] = []
    wanted = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    before = {number: signal.signal(number, lambda received, _: asked.append(received)) for number in wanted}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise InterruptedRun("asked to stop; everything is saved.")


def _claim_context(opened: Results) -> Any:
    """The trained digits network that Monte-Carlo claims use: the configuration's own choice, or the first that fits."""
    import torch

    from reproflow.claims.policy import Context, Digits
    from reproflow.foundation import grid
    from reproflow.learning import data, sampling

    torch.set_num_threads(1)
    wanted = opened.config.claims.network
    for cell in grid.expand(opened.config):
        fits = cell.key == wanted if wanted else (cell.process, cell.target) == ("gaussian", "x1")
        if fits and (opened.slot("train", cell).record() or {}).get("status") == "ok":
            loaded = data.load(opened.data_file(cell.dataset))
            if isinstance(loaded, data.ImageData):
                experiment = grid.experiment_of(opened.config, cell.experiment)
                denoiser = sampling.load_denoiser(cell, experiment, opened.slot("train", cell), loaded, torch.device("cpu"))
                denoiser.network.requires_grad_(True)
                return Context(digits=Digits(denoiser, loaded.points(), loaded.labels()))
    return Context()


def _load_registry() -> None:
    import importlib

    for wing in ("reproflow.theory", "reproflow.learning.data"):
        importlib.import_module(wing)
    from reproflow.claims import ledger

    ledger.load()


def _print_names(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("kind", "process", "name", "on", "parameters", "what", "source"):
        table.add_column(column, overflow="fold")
    for row in rows:
        params = ", ".join(f"{key}={value}" for key, value in row["params"].items())
        table.add_row(row["kind"], row["process"], row["name"], row["on"] or "", params, row["summary"], row["cite"])
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _print_claims(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("claim", "case", "tier", "verdict", "statistic", "tolerance", "controls", "reason"):
        table.add_column(column, overflow="fold")
    for row in rows:
        numbers = [f"{row[key]:.2e}" if isinstance(row[key], float) else str(row[key] or "") for key in ("statistic", "tolerance")]
        verdict = row["verdict"] if row["verdict"] == row["expected"] else f"{row['verdict']} (expected {row['expected']})"
        table.add_row(row["id"], row["case"], row["tier"], verdict, *numbers, row["control_verdict"] or "", row["reason"])
    Console(width=None if sys.stdout.isatty() else 180).print(table)


def _write_json(target: str, value: Any) -> None:
    text = json.dumps(value, indent=1) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        from reproflow.foundation import files

        files.write_text(target, text)


def _raise(error: Exception) -> Any:
    raise error


if __name__ == "__main__":
    main()
