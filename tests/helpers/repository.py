"""Where the repository is, for tests at any depth of `tests/`, and the JSON schemas that it promises."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]


def schema(name: str) -> Draft202012Validator:
    """The validator of docs/schemas/NAME.json."""
    return Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text()))
