"""`reproflow check field`: the committed verdicts on objectives in use elsewhere, judged again."""

from __future__ import annotations

from typing import Annotated

import typer

from reproflow.cli import common
from reproflow.foundation.errors import UsageError

DIFFERENT = 3


def field(
    keys: Annotated[list[str] | None, typer.Argument(help="Keys such as edm (docs/field.md); all by default.")] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Write the committed table, and in a clone docs/field.md.")
    ] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write JSON to this file; - is standard output.")
    ] = None,
) -> None:
    """Judge the training objectives of public code and papers again; exit 3 where one comes out otherwise.

    Example: reproflow check field min-snr-x1 edm sd3-logit-normal
    """
    if refresh and keys:
        raise UsageError("--refresh writes the whole table; leave out the keys.")
    from reproflow.judge import published_objectives as gallery
    from reproflow.judge import published_objectives_table
    from reproflow.reporting import published_objectives_page

    common.one_thread()
    gallery.entries(keys or ())
    rows = []
    for row in gallery.judge_all(keys or ()):
        rows.append(row)
        if json_file != "-":
            print(f"{row['key']:<22} {row['bound']:<18} {row['admissible']:<13} {row['identified']:<13} {row['name']}")
    if json_file is not None:
        common.write_json(json_file, rows)
    if refresh:
        whole = gallery.whole_table(rows)
        published_objectives_table.write(whole)
        pages = published_objectives_page.write_page(whole)
        also = f" and {len(pages)} files under docs/" if pages else ""
        typer.echo(f"written: {published_objectives_table.FILE}{also}")
        return
    found = gallery.differences(rows, published_objectives_table.read().rows)
    for line in found:
        typer.echo(line, err=True)
    raise typer.Exit(DIFFERENT if found else 0)
