"""Verbs that ask: what is registered, whether a claim holds, why a cell would run again, whether all is well."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from reproflow.cli import common
from reproflow.foundation.errors import ReproflowError, UsageError, did_you_mean

KINDS = {
    "paths": "path",
    "times": "time",
    "weightings": "weighting",
    "targets": "target",
    "divergences": "divergence",
    "couplings": "coupling",
    "claims": "claim",
    "datasets": "dataset",
    "networks": "network",
    "processes": "process",
    "measures": "measure",
    "figures": "figure",
}


def list_(
    kind: Annotated[str | None, typer.Argument(help=", ".join(KINDS))] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Rewrite the committed list from the registry.")] = False,
) -> None:
    """List what is registered.

    Example: reproflow list weightings
    """
    from reproflow.foundation import files, names

    if kind is not None and kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r};{did_you_mean(kind, KINDS)} known: {', '.join(KINDS)}")
    if refresh:
        _load_registry()
        files.write_json(names.FILE, names.snapshot())
        names.known.cache_clear()
    rows = [name.row() for name in names.known() if kind is None or name.kind == KINDS[kind]]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        _print_names(rows)


def verify(
    claims: Annotated[list[str] | None, typer.Argument(help="Ids such as LOSS-1; all by default.")] = None,
    tier: Annotated[str, typer.Option(help="exact, mc or all.")] = "exact",
    explain: Annotated[
        bool, typer.Option("--explain", help="Print each claim in full: statement, evidence, verdict, controls, code.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option("--results", help="A results folder with trained networks, for tier mc.")
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write JSON to this file; - is standard output.")
    ] = None,
) -> None:
    """Run claims and their controls; exit 3 where a verdict is not as expected, 5 where one cannot be decided.

    Example: reproflow verify LOSS-1 LOSS-5
    """
    from reproflow.claims import ledger, policy

    if explain and not claims:
        raise UsageError("--explain needs the ids of claims, such as: reproflow verify LOSS-1 --explain")
    common.one_thread()
    context = common.claim_context(common.open_run(results / "config.json", results)) if results else None
    rows = ledger.run(claims, tier, context)
    if json_file != "-":
        (common.explain_claims if explain else common.print_claims)(rows)
    if json_file is not None:
        common.write_json(json_file, rows)
    raise typer.Exit(policy.gate(rows))


def why(
    cell: Annotated[str, typer.Argument(help="A cell's key, as in cells.csv.")],
    results: Annotated[Path, typer.Option("--results", help="The results folder.")] = Path("results/demo"),
    config: Annotated[
        Path | None, typer.Option("--config", help="The configuration; the folder's own by default.")
    ] = None,
) -> None:
    """Say which part changed since a cell was last trained, sampled and evaluated.

    Example: reproflow why eight_gaussians.gaussian.linear.uniform.elbo.velocity.s0
    """
    from reproflow.foundation import explain as explanation

    print("\n".join(explanation.why(common.open_run(config or results / "config.json", results), cell)))


def doctor() -> None:
    """Check this installation: versions, devices, disk, and the list of names.

    Example: reproflow doctor
    """
    from reproflow.cli import doctor as checkup

    rows = checkup.run()
    for name, state, detail in rows:
        print(f"{state:>7}  {name:<22} {detail}")
    if any(state == "FAILED" for _, state, _ in rows):
        raise ReproflowError("the installation has faults, see FAILED above.")


def _load_registry() -> None:
    import importlib

    for layer in ("reproflow.theory", "reproflow.learning.data", "reproflow.learning.networks"):
        importlib.import_module(layer)
    from reproflow.claims import ledger
    from reproflow.evaluation import measures
    from reproflow.reporting import figures

    ledger.load()
    measures.load()
    figures.load()


def _print_names(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("kind", "process", "name", "on", "parameters", "what", "source"):
        table.add_column(column, overflow="fold")
    for row in rows:
        params = ", ".join(f"{key}={value}" for key, value in row["params"].items())
        table.add_row(
            row["kind"],
            row["process"],
            row["name"],
            row["on"] or "",
            params,
            escape(row["summary"]),
            escape(row["cite"]),
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)
