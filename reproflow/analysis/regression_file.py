"""What a results folder holds of its comparison with a baseline (`regression.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def standing(results: Path) -> dict[str, Any]:
    """What `regression.json` of a results folder says; nothing without it, or where its baseline is gone."""
    try:
        found = json.loads((results / "regression.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if Path(found.get("file", results)).exists() else {}
