"""A table in a user's Python file: what a function without arguments gives, or an array at the top of the file."""

from __future__ import annotations

from reproflow.foundation import specs, tables
from reproflow.foundation.errors import UsageError
from reproflow.foundation.tables import Table
from reproflow.theory import user_functions


def read(text: str) -> Table | None:
    """The table that a text names, a file's or `FILE.py:NAME`; None where the name holds a function with arguments.

    Raises `UsageError` for a file or a name that is not there, a function that raises or draws random numbers, and what
    holds no numbers.
    """
    if tables.is_file(text):
        return tables.read(text)
    spec = specs.parse(text, "table")
    held = user_functions.member(spec)
    if held is None:
        raise UsageError(f"table {text!r}: {spec.file} has no {spec.function!r}.")
    if not callable(held):
        return tables.table(text, held)
    if tables.is_constructor(text):
        return tables.table(text, user_functions.call(held, "table", spec))
    return None
