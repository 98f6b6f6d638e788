"""`reproflow check weighting` on a discrete chain: tables of weights, betas, cumulated alphas or sigmas by index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reproflow.cli import check_options
from reproflow.foundation import tables
from reproflow.foundation.errors import UsageError

if TYPE_CHECKING:
    from reproflow.foundation.tables import Table

WEIGHTS = "weights"
FORMS = "FILE.npy, FILE.npz:KEY, FILE.csv, FILE.py:NAME"
CONTINUOUS = ("range", "lam", "tokens", "time-agnostic", "train", "seeds", "steps", "folder", "sigma-data", "snr")
"""What is asked of a path in continuous time alone."""


@dataclass(frozen=True)
class Chain:
    """What the options say of a chain: its levels, and what the table that is judged holds."""

    schedule: str | None = None
    schedule_of: str | None = None
    table_of: str | None = None
    levels: int | None = None

    @property
    def named(self) -> bool:
        """Whether one of the options was given."""
        return any(each is not None for each in vars(self).values())


def is_table(text: str | None) -> bool:
    """Whether a text is a table, as far as its own text and a file's tell."""
    return text is not None and (tables.is_file(text) or tables.is_code(text))


def wanted(chain: Chain, spec: str, time: str) -> bool:
    """Whether a chain is asked about; a name that a file assigns may turn out to be a function yet."""
    return chain.named or is_table(spec) or is_table(time)


def answer(chain: Chain, spec: str, options: Mapping[str, Any]) -> None:
    """Judges, answers and exits as `check_options.answer`; returns where `spec` is a function after all.

    `options` are those of the command line by name. Raises `UsageError` for what goes with a path in continuous time
    alone, and for a chain that is half given. A name that the file assigns may hold a function with arguments, to which
    all options belong; the child, which may run the file, sees it.
    """
    open_yet = not chain.named and not is_table(options["time"]) and not tables.is_file(spec)
    if not open_yet or tables.is_constructor(spec):
        _about_a_chain(options)
    texts = {"weighting": spec, "time": options["time"], "against": options["against"]}
    texts |= {"against-time": options["against-time"]}
    held = {key: text for key, text in texts.items() if is_table(text)}
    _check(chain, spec, options, held)
    files = check_options.user_files(_specs(texts, held, ""), options["process"], options["target"])
    files += check_options.user_files(_specs(texts, held, "against"), options["process"], options["against-target"])
    if chain.schedule is None and options["path"] is not None:
        files += check_options.user_files({"path": options["path"]}, options["process"])
    files += [text.rpartition(":")[0] for text in (*held.values(), chain.schedule or "") if tables.is_code(text)]
    given = {"schedule": chain.schedule, "schedule-of": chain.schedule_of, "table-of": chain.table_of}
    check_options.in_child("weighting", spec, list(dict.fromkeys(files)), {**options, **given, "levels": chain.levels})
    judgement = _Request(chain, spec, options, held)
    if not chain.named and "weighting" in held and judgement.table("weighting") is None:
        return
    _about_a_chain(options)
    check_options.answer(judgement.judged, options["json"], options["html"])


def _specs(texts: Mapping[str, str | None], held: Mapping[str, str], whose: str) -> dict[str, str]:
    """The specs of one of the two objectives that are no tables, by kind."""
    keys = {"weighting": whose or "weighting", "time": f"{whose}-time".removeprefix("-")}
    found = {kind: texts[key] for kind, key in keys.items() if key not in held}
    return {kind: text for kind, text in found.items() if text is not None}


def _about_a_chain(options: Mapping[str, Any]) -> None:
    for name in CONTINUOUS:
        if options.get(name) not in (None, False):
            raise UsageError(f"--{name} is about a path in continuous time; leave it out with a table or --levels.")


def _check(chain: Chain, spec: str, options: Mapping[str, Any], held: Mapping[str, str]) -> None:
    if (chain.schedule is None) != (chain.schedule_of is None):
        raise UsageError("--schedule and --schedule-of go together: the table of levels, and what its numbers are.")
    if chain.schedule is not None and not is_table(chain.schedule):
        raise UsageError(f"--schedule {chain.schedule!r} is no table: {FORMS}.")
    if chain.schedule is not None and (options["path"] is not None or chain.levels is not None):
        raise UsageError("--schedule gives the levels; leave out --path and --levels.")
    of_levels = chain.table_of not in (None, WEIGHTS)
    if of_levels and (chain.schedule is not None or options["path"] is not None or chain.levels is not None):
        raise UsageError(f"--table-of {chain.table_of}: {spec} holds the levels; leave out --schedule and --path.")
    if chain.table_of is not None and "weighting" not in held:
        raise UsageError(f"--table-of is about a table, and {spec!r} is none: {FORMS}.")
    if options["against-path"] is not None:
        raise UsageError("--against-path: on a chain both weights are compared on the same levels; leave it out.")


_NO_LEVELS = (
    "{0}: a table of weights needs its levels: --schedule FILE --schedule-of betas (or alphas_cumprod, sigmas, ..), "
    "or a --path, taken at t = 1 - (i + 1)/N."
)


@dataclass(frozen=True)
class _Request:
    """The chain that is asked about, with its tables read where they are needed, in the process that may run them."""

    chain: Chain
    spec: str
    options: Mapping[str, Any]
    held: Mapping[str, str]

    def table(self, key: str) -> Table | None:
        """The table that stands for a weight or a law; None where it is none."""
        return _read(self.held[key]) if key in self.held else None

    def judged(self) -> Any:
        """The judgement."""
        from reproflow.judge.levels import judgement

        chain, options = self.chain, self.options
        first = self.table("weighting")
        kind, given = chain.schedule_of or "", _read(chain.schedule) if chain.schedule else None
        weight: str | Table = self.spec if first is None else first
        usual = options["target"] or ""
        if first is not None and chain.table_of not in (None, WEIGHTS):
            kind, given, weight = chain.table_of or "", first, "expr:1"
            usual = usual or judgement.plain(options["process"])
        law = self.table("time")
        count = chain.levels or next((len(each) for each in (first, law) if each is not None), None)
        if given is None and options["path"] is None and chain.levels is None:
            raise UsageError(_NO_LEVELS.format(self.spec))
        path = options["path"] or judgement.DEFAULT_PATH
        levels = judgement.levels_of(options["process"], path, count, given, kind, options["time-runs"])
        asked = judgement.Asked(weight, usual, options["time"] if law is None else law, self._turned)
        return replace(judgement.judge(asked, levels, self._against(asked)), spec=self.spec)

    @property
    def _turned(self) -> bool:
        return bool(self.options["time-runs"] == "data-to-noise")

    def _against(self, asked: Any) -> Any:
        from reproflow.judge.levels import judgement

        if self.options["against"] is None:
            return None
        weight, law = self.table("against"), self.table("against-time")
        return judgement.Asked(
            self.options["against"] if weight is None else weight,
            self.options["against-target"] or "",
            law or self.options["against-time"] or asked.time,
            self._turned,
        )


def _read(text: str) -> Table | None:
    from reproflow.judge.levels import user_tables

    return user_tables.read(text)
