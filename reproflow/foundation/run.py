"""A run: a configuration and the folder where everything of it lies.

`results/<config name>/` holds the contract's tables and figures; beside them `config.json`, the prepared data, the
feature network, and the store of finished cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproflow.foundation import fingerprint, grid, store
from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot


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

    def _why_missing(self, stage: str, cell: Cell) -> str:
        slot = self.slot(stage, cell)
        if slot.record_path.exists():
            folder = slot.folder.relative_to(self.folder)
            return f"the {stage} record was damaged or edited by hand; delete {folder} and run again"
        if store.newest_record(self.folder, stage, cell.key):
            return f"the {stage} record is of another fingerprint (see reproflow why); run again"
        return f"no {stage} record; run again"
