"""An audit as a page for the terminal: findings first, then what was read, then the draws with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reproflow.cli import audit_words

if TYPE_CHECKING:
    from rich.table import Table

    from reproflow.auditing.audit import Audit

STYLES = {"defect": "bold red", "question": "bold yellow", "note": "dim", "accepted": "dim", "settled": "green"}
MOST_FINDINGS = 6
MOST_DRAWS = 8


def show(found: Audit) -> None:
    """Prints the page on standard output."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(found.name, style="bold"), Text(f"  {audit_words.summary(found)}", style="dim"))
    table = _columns()
    for finding in found.findings[:MOST_FINDINGS]:
        word = audit_words.standing(found, finding)
        about = Text.assemble((finding.id, "bold"), f": {finding.text}")
        if finding.evidence:
            about.append(f" [{finding.evidence}]", style="dim")
        table.add_row(Text(word, style=STYLES[word]), about)
    if len(found.findings) > MOST_FINDINGS:
        table.add_row("", f"and {len(found.findings) - MOST_FINDINGS} more: --json has them all")
    for key, words in audit_words.parts(found):
        table.add_row(Text(key, style="dim"), Text(words))
    drawn = audit_words.draws(found)
    for number, (role, where, what) in enumerate(drawn[:MOST_DRAWS]):
        table.add_row(Text("" if number else "draws", style="dim"), Text(f"{where}: {role} ({what})"))
    if len(drawn) > MOST_DRAWS:
        table.add_row("", f"and {len(drawn) - MOST_DRAWS} more: --json has them all")
    code = found.exit_code
    table.add_row(Text(f"exit {code}", style="bold"), Text(audit_words.CALLS[code]))
    console.print(table)


def _columns() -> Table:
    """A frameless table; its last column wraps inside itself."""
    from rich.table import Table

    return Table(box=None, show_header=False, padding=(0, 1))
