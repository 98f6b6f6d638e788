"""Verbs about baselines: keep a run's numbers, and compare a later run with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from reproflow.foundation import files
from reproflow.foundation.errors import UndecidedError, UsageError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Baselines: numbers to hold later runs to.")

NameArgument = Annotated[str, typer.Argument(help="The baseline's name, such as demo.")]
ResultsOption = Annotated[Path | None, typer.Option("--results", help="The results folder; results/<name> by default.")]
FolderOption = Annotated[Path, typer.Option("--folder", help="Where baselines are kept.")]
FOLDER = Path("results/baselines")


@app.command("update")
def update(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why these numbers are the ones to hold to.")],
    results: ResultsOption = None,
    folder: FolderOption = FOLDER,
    allow_failed: Annotated[bool, typer.Option("--allow-failed", help="Leave cells without numbers out.")] = False,
    allow_few: Annotated[bool, typer.Option("--allow-few", help="Keep rows with fewer than 20 seeds.")] = False,
) -> None:
    """Make a run's numbers the baseline; refused with uncommitted changes, failed cells, or fewer than 20 seeds a row.

    Example: reproflow baseline update demo --reason "first release"
    """
    from reproflow.analysis import baselines, snapshot

    run = snapshot.read_results(results or Path("results") / name)
    print(baselines.update(name, run, reason, folder, allow_failed, allow_few))


@app.command("compare")
def compare(
    name: NameArgument,
    results: ResultsOption = None,
    folder: FolderOption = FOLDER,
    alpha: Annotated[float | None, typer.Option(min=1e-4, max=0.5, help="The family-wise level.")] = None,
    markdown: Annotated[str | None, typer.Option(help="Write the summary to this file; - is standard output.")] = None,
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to this file; - is stdout.")] = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Exit 0 whatever comes out.")] = False,
    require: Annotated[
        str | None, typer.Option(help="not-worse: exit 5 unless no row can be worse by more than its margin.")
    ] = None,
    looks: Annotated[
        int | None,
        typer.Option(min=1, max=5, help="How many comparisons of this change are planned; each has its part."),
    ] = None,
) -> None:
    """Compare a run with a baseline: exit 4 for a regression, 5 where nothing can be decided.

    The level is that of the run's configuration (key `regression`), the margins are the baseline's own.
    Example: reproflow baseline compare demo --markdown -
    """
    from reproflow.analysis import baselines, regression_check, snapshot
    from reproflow.reporting import regression_summary as summary

    if markdown == json_file == "-":
        raise UsageError("--markdown - and --json - would both write to standard output; name a file for one of them.")
    if require not in (None, *regression_check.REQUIREMENTS):
        raise UsageError(f"--require {require}: known is {', '.join(regression_check.REQUIREMENTS)}.")
    run = snapshot.read_results(results or Path("results") / name)
    settings = (run.about.get("config") or {}).get("regression") or {}
    level = alpha or settings.get("alpha") or 0.05
    answer: dict[str, Any] = {"baseline": name, "file": str(folder / f"{name}.csv")}
    try:
        found = regression_check.compare(baselines.read(name, folder), run, level, looks or settings.get("looks") or 1)
        text, code = summary.markdown(found, requirement=require), found.required(require)
        answer |= found.as_dict() | {"exit_code": code}
    except UndecidedError as error:
        text, code = summary.undecided(run.name, name, str(error)), error.exit_code
        answer |= {"exit_code": code, "reason": str(error)}
    if json_file:
        _write(json_file, json.dumps(answer, indent=1, allow_nan=False) + "\n")
    if markdown:
        _write(markdown, text)
    if "-" not in (json_file, markdown):
        print(text.partition("<details>")[0].strip(), file=sys.stderr if answer.get("reason") else sys.stdout)
    raise typer.Exit(0 if evidence else code)


@app.command("config")
def config(
    file: Annotated[Path, typer.Argument(help="The configuration whose numbers are to be kept.")],
    out: Annotated[Path, typer.Option("--out", help="The configuration to write.")],
    seeds: Annotated[int, typer.Option(min=3, help="Seeds of every row, from 0.")] = 20,
) -> None:
    """Write the configuration that a baseline is made with: the same cells with more seeds, in a folder of their own.

    Example: reproflow baseline config configs/demo.yaml --out build/demo_baseline.json
    """
    from reproflow.analysis import baselines
    from reproflow.foundation import config as configuration

    enlarged = baselines.enlarged(configuration.load(file), seeds)
    files.write_text(out, configuration.dump(enlarged))
    print(
        f"snakemake results/{enlarged.name}/cells.csv --cores all --configfile {out}\n"
        f"reproflow baseline update {enlarged.regression.baseline} --results results/{enlarged.name} --reason '..'"
    )


@app.command("list")
def list_(
    folder: FolderOption = FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the baselines: what they hold, when and why they were made.

    Example: reproflow baseline list
    """
    from reproflow.analysis import baselines

    rows = [_about(each) for each in baselines.known_baselines(folder)]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print("  ".join(str(row[key]) for key in ("name", "date", "device", "groups", "seeds", "reason")))
    if not rows:
        print(f"no baselines in {folder}")


def _about(baseline: Any) -> dict[str, Any]:
    settings = sorted({each.setting for each in baseline.series.values()})
    return {
        "name": baseline.name,
        "date": baseline.about.get("date", ""),
        "commit": baseline.about.get("commit", ""),
        "device": "+".join(sorted({setting[0] for setting in settings})),
        "configuration": "+".join(sorted({setting[2] for setting in settings})),
        "groups": len({group for group, _ in baseline.series}),
        "seeds": ";".join(map(str, baseline.seeds)),
        "reason": baseline.about.get("reason", ""),
    }


def _write(target: str, text: str) -> None:
    if target == "-":
        sys.stdout.write(text)
    else:
        files.write_text(target, text)
