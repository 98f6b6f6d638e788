"""What verbs share: options, opening a run, the device, stop requests, and printing."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reproflow.foundation import slurm
from reproflow.foundation.errors import InterruptedRun, UsageError
from reproflow.foundation.verdicts import number

if TYPE_CHECKING:
    import torch

    from reproflow.foundation.run import Run

ConfigOption = Annotated[Path, typer.Option("--config", help="A configuration file (YAML or JSON).")]
ResultsOption = Annotated[
    Path | None,
    typer.Option("--results", help="The results folder; by default that of a config.json, or results/<name>."),
]


def open_run(config: Path, results: Path | None) -> Run:
    """The run of a configuration file; a `config.json` that `resolve` wrote lies in its own results folder."""
    from reproflow.foundation import config as configuration
    from reproflow.foundation.run import Run

    loaded = configuration.load(config)
    own = config.parent if config.name == "config.json" else Path("results") / loaded.name
    if any(experiment.dedupe and not experiment.merged for experiment in loaded.experiments):
        from reproflow.learning.deduplication import dedupe

        loaded = dedupe(loaded)
    return Run(loaded, results or own)


def one_thread() -> None:
    """One thread on the CPU, for the whole process: results depend on the count, and must not on the machine.

    Every verb that computes calls this, and nothing below the command line sets a number of threads, except the
    training of the digits features, whose weights are part of what is published.
    """
    import torch

    torch.set_num_threads(1)


def device(wanted: str) -> torch.device:
    """The device asked for, with one thread on the CPU; never another one in silence."""
    import torch

    one_thread()
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "device: cuda is asked for and no CUDA device is available;\nset device: auto or cpu, or use a GPU node."
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """SIGTERM, SIGUSR1 and SIGINT only set a flag; the training loop saves and raises `InterruptedRun` (exit 75).

    Under Slurm the job is then put back into its queue.
    """
    asked: list[int] = []
    with _answering(lambda number, _: asked.append(number)):
        try:
            yield lambda: bool(asked)
            if asked:
                raise InterruptedRun("asked to stop; everything is saved.")
        except InterruptedRun:
            if asked:
                slurm.put_back()
            raise


def stoppable(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb of the workflow that SIGTERM and SIGUSR1 end where they find it, with exit 75.

    What is finished is in the store, what is half-written has no name yet. Under Slurm the job goes back into its
    queue.
    """

    def stop(number: int, _: Any) -> None:
        slurm.put_back()
        raise InterruptedRun(f"stopped by {signal.Signals(number).name}; what is finished is kept, run again.")

    @functools.wraps(verb)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        with _answering(stop, signal.SIGTERM, signal.SIGUSR1):
            return verb(*arguments, **options)

    return wrapped


@contextlib.contextmanager
def _answering(handler: Callable[[int, Any], Any], *numbers: signal.Signals) -> Iterator[None]:
    """Lets the handler answer these signals, by default those that ask to stop, and restores what was there."""
    wanted = numbers or (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    before = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)


def claim_context(opened: Run) -> Any:
    """The trained digits network that Monte-Carlo claims use: the configuration's choice, or the first that fits."""
    import torch

    from reproflow.claims.policy import Context, Digits
    from reproflow.foundation import grid, processes
    from reproflow.learning import data, trained

    one_thread()
    wanted = opened.config.claims.network
    for cell in grid.expand(opened.config):
        fits = cell.key == wanted if wanted else processes.facts(cell.process).flow and cell.target == "x1"
        if fits and (opened.slot("train", cell).record() or {}).get("status") == "ok":
            opened.read([cell], "train")
            loaded = data.load(opened.data_file(cell.dataset))
            if isinstance(loaded, data.ImageData):
                experiment = grid.experiment_of(opened.config, cell.experiment)
                denoiser = trained.load_denoiser(
                    cell, experiment, opened.slot("train", cell), loaded, torch.device("cpu")
                )
                denoiser.network.requires_grad_(True)
                return Context(digits=Digits(denoiser, loaded.points(), loaded.labels()))
    return Context()


def trained_flow(opened: Run, key: str) -> tuple[Any, Any, Any, Any]:
    """A trained Gaussian cell of a run: the cell, its experiment, its data, and its denoiser.

    Raises `UsageError` for a key that the run does not have, another process, or a cell that is not trained.
    """
    from reproflow.foundation import grid, processes
    from reproflow.foundation.errors import did_you_mean
    from reproflow.learning import data, trained

    cells = {cell.key: cell for cell in grid.expand(opened.config)}
    if key not in cells:
        raise UsageError(f"no cell {key!r} in {opened.folder};{did_you_mean(key, cells)} keys stand in cells.csv.")
    cell, experiment = cells[key], grid.experiment_of(opened.config, cells[key].experiment)
    if not processes.facts(cell.process).flow:
        raise UsageError(f"{key} is a {cell.process} cell; only Gaussian cells have a flow.")
    slot = opened.slot("train", cell)
    if (slot.record() or {}).get("status") != "ok":
        raise UsageError(f"{key} has no good train record in {opened.folder}; train it first.")
    opened.read([cell], "train")
    loaded = data.load(opened.data_file(cell.dataset))
    chosen = device(opened.config.device)
    return cell, experiment, loaded, trained.load_denoiser(cell, experiment, slot, loaded, chosen)


def write_json(target: str, value: Any) -> None:
    text = json.dumps(_held(value), indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        from reproflow.foundation import files

        files.write_text(target, text)


def _held(value: Any) -> Any:
    """The value as JSON can hold it: no number is null, and infinity a word."""
    if isinstance(value, dict):
        return {key: _held(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_held(each) for each in value]
    return number(value) if isinstance(value, float) else value


def print_claims(rows: list[dict[str, Any]]) -> None:
    """A line a claim and expectation with its weakest case, and one for every case that is not as it must be.

    The count follows. Cases that are to be supported and cases that are to be refuted have lines of their own: one
    number cannot be read against the tolerance for both.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from reproflow.reporting import claim_evidence

    groups = claim_evidence.groups(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("claim", "tier", "verdict", "statistic", "tolerance", "controls", "statement"):
        table.add_column(column, overflow="fold")
    for group in groups:
        head = [group["id"], group["tier"], escape(group["title"])]
        surprise = "" if group["verdict"] == group["expected"] else f": {group['status']}"
        for part in claim_evidence.by_expectation(group["cases"]):
            numbers = [claim_evidence.short(part["weakest"][key]) for key in ("statistic", "tolerance")]
            table.add_row(*head[:2], part["verdict"] + surprise, *numbers, part["controls"], head[2])
            head, surprise = ["", "", ""], ""
        for row in group["cases"]:
            if not row["ok"]:
                said = escape(f"{row['case']}: {row['reason']}".lstrip(": "))
                numbers = [claim_evidence.short(row[key]) for key in ("statistic", "tolerance")]
                table.add_row("", "", f"{row['verdict']} (expected {row['expected']})", *numbers, "", said)
    Console(width=None if sys.stdout.isatty() else 180).print(table)
    print(f"\n{claim_evidence.counted(groups)}")


def explain_claims(rows: list[dict[str, Any]]) -> None:
    """Every claim in full, as `reporting.claim_evidence.explain` words it."""
    from reproflow.reporting import claim_evidence

    print("\n\n".join(claim_evidence.explain(group) for group in claim_evidence.groups(rows)))
