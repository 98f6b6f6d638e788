"""A run: a configuration and the folder where everything of it lies.

`results/<config name>/` holds the contract's tables and figures; beside them `config.json`, the prepared data, the
feature network, and the store of finished cells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproflow.foundation import files, fingerprint, grid, store
from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.errors import ReproflowError, UsageError, did_you_mean
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot

CHANGES_NO_NUMBER = "it says where results lie"


@dataclass(frozen=True)
class Run:
    """One configuration and its results folder."""

    config: Config
    folder: Path

    def data_file(self, dataset: str) -> Path:
        return self.folder / "data" / f"{dataset}.safetensors"

    def features_file(self, dataset: str) -> Path:
        return self.folder / "features" / f"{dataset}.safetensors"

    def slot(self, stage: str, cell: Cell) -> Slot:
        """The slot of a stage of a cell at its present fingerprint."""
        return store.slot(self.folder, stage, cell.key, fingerprint.stage(self.config, cell, stage))

    def shard(self, name: str) -> tuple[Experiment, list[Cell]]:
        """A shard's experiment and cells. Raises `UsageError` for an unknown one."""
        shards = grid.shards(self.config)
        if name not in shards:
            raise UsageError(f"unknown shard {name!r};{did_you_mean(name, shards)} known: {', '.join(shards)}")
        return grid.experiment_of(self.config, shards[name][0].experiment), shards[name]

    def outcome(self, cell: Cell) -> tuple[str, str, dict[str, dict[str, Any]]]:
        """Status (ok, diverged, failed), reason, and the records of the stages that are finished."""
        records = {stage: record for stage in fingerprint.STAGES if (record := self.slot(stage, cell).record())}
        for stage in fingerprint.STAGES:
            if stage not in records:
                return "failed", self._why_missing(stage, cell), records
            if records[stage]["status"] != "ok":
                return records[stage]["status"], records[stage]["reason"], records
        return "ok", "", records

    def unfinished(self, cell: Cell) -> str | None:
        """The stage that a cell needs next: the first that is not finished, or None where no more is to be done.

        After a stage with another outcome than ok there is nothing to do.
        """
        for stage in fingerprint.STAGES:
            record = self.slot(stage, cell).record()
            if record is None:
                return stage
            if record["status"] != "ok":
                return None
        return None

    @property
    def shown_samples(self) -> Path:
        """The list of the samples that figures show, which lie beside it."""
        return self.folder / "samples" / "files.json"

    def samples_fault(self) -> str:
        """What is wrong with the listed samples, or nothing."""
        return files.list_fault(self.shown_samples)

    def require(self, cells: list[Cell], *stages: str) -> None:
        """As `read`, and raises `ReproflowError` where no cell has a record of these stages at all."""
        self.read(cells, *stages)
        if not any(store.newest_record(self.folder, stage, cell.key) for cell in cells for stage in stages):
            raise ReproflowError(
                f"no cell of {self.folder} has a {stages[0]} record: there is nothing to write;\nrun the workflow "
                "(snakemake --cores all), which trains what is missing."
            )

    def read(self, cells: Iterable[Cell], *stages: str) -> None:
        """Reads the files of these cells' stages whole and withdraws the records of those that were changed.

        Raises `ReproflowError` that names the first: what is withdrawn is not finished, and the next run makes it.
        """
        slots = [self.slot(stage, cell) for cell in cells for stage in stages]
        changed = [f"{slot.folder}: {wrong}" for slot in slots if (wrong := slot.withdraw())]
        if changed:
            more = f" (and {len(changed) - 1} more)" if changed[1:] else ""
            raise ReproflowError(
                f"{changed[0]} since it was finished{more}; its record is withdrawn:\n"
                "run the workflow again, which makes it anew."
            )

    def _why_missing(self, stage: str, cell: Cell) -> str:
        slot = self.slot(stage, cell)
        if (stored := store.read_record(slot.record_path)) and stored["fingerprint"] == slot.fingerprint.value:
            return f"the {stage} record does not hold: {slot.fault(stored)}; run again"
        if slot.record_path.exists():
            return f"the {stage} record was damaged or edited by hand; run again"
        if store.newest_record(self.folder, stage, cell.key):
            return f"the {stage} record is of another fingerprint (see reproflow why); run again"
        return f"no {stage} record; run again"
