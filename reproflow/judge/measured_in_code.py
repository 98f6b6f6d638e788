"""Which published objectives were measured in an installable package's own code, and what came out.

`make field-code` audits the losses of benchmarks/field_code and writes measured_in_code.csv; the catalogue's page reads
it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from reproflow.foundation import files

FILE = Path(__file__).with_name("measured_in_code.csv")
WORDS = {"same": "yes", "different": "**no**", "cannot": "not told", "error": "not called"}


@dataclass(frozen=True)
class Measured:
    """One loss: a key of the catalogue, the package with its version, and `reproflow audit --expect`'s verdict on it.

    `how` is library or script; `ratio` is measured over stated at the noise end, at lam = 0 and at the data end.
    """

    key: str
    package: str
    version: str
    how: str
    verdict: str
    ratio: str
    findings: str

    @property
    def words(self) -> str:
        """The answer to: is it as the catalogue states it?"""
        return WORDS[self.verdict]


def read(path: Path = FILE) -> dict[str, list[Measured]]:
    """The committed rows by key; none where nothing was measured yet."""
    if not path.is_file():
        return {}
    found: dict[str, list[Measured]] = {}
    for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
        found.setdefault(row["key"], []).append(Measured(**row))
    return found


def write(rows: Sequence[Measured], path: Path = FILE) -> None:
    """Writes the rows whole."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [each.name for each in fields(Measured)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(each) for each in rows)
    files.write_text(path, stream.getvalue())
