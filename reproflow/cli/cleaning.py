"""The verb that removes: finished cells, so that they are made anew, or all results."""

from __future__ import annotations

from typing import Annotated

import typer

from reproflow.cli import common
from reproflow.cli.common import ConfigOption, ResultsOption
from reproflow.foundation.errors import UsageError


def clean(
    config: ConfigOption,
    results: ResultsOption = None,
    stage: Annotated[str, typer.Option("--stage", help="From this stage on: train, sample or evaluate.")] = "train",
    cell: Annotated[list[str] | None, typer.Option("--cell", help="Only this cell; may be given again.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove the results folder and all that is in it.")] = False,
) -> None:
    """Remove finished cells from the store, so that the next run makes them anew; with --all, all results.

    Example: reproflow clean --config configs/demo.yaml --stage sample
    """
    from reproflow.foundation import cleaning

    opened = common.open_run(config, results)
    if everything:
        if cell or stage != "train":
            raise UsageError("--all removes everything; give it without --stage and --cell.")
        cleaning.remove(opened)
        print(f"removed {opened.folder}")
    else:
        removed = cleaning.clean(opened, stage, cell or [])
        print(f"removed {len(removed)} slots from {opened.folder / 'store'}; the next run makes them anew")
