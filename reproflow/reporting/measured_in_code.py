"""Which published objectives were measured in an installable package's own code, and what came out.

`make field-code` audits the losses of benchmarks/field_code and writes measured_in_code.csv beside its own page; the
catalogue's page reads it. Both say what came out in the words that stand here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from reproflow.foundation import files

FILE = Path(__file__).with_name("measured_in_code.csv")
ANSWERS = {
    "same": ("yes", "as stated ({ratio})"),
    "different": ("**no**", "not as stated, but {ratio} times that at the noise end, at λ = 0 and at the data end"),
    "cannot": ("not told", "not told: no weight that could be compared"),
    "error": ("not called", "not called"),
}
"""Is it as the catalogue states it? By verdict, in a word for a table, and in a sentence."""


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
    def cells(self) -> tuple[str, str, str]:
        """What a table says: is it as stated, the ratio, and the findings."""
        return ANSWERS[self.verdict][0], _listed(self.ratio), _listed(self.findings)

    @property
    def sentence(self) -> str:
        """What a sentence about the package says: is it as stated?"""
        return ANSWERS[self.verdict][1].format(ratio=_listed(self.ratio))


def _listed(words: str) -> str:
    return ", ".join(words.split()) or "–"


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
