"""Judgements of paths that are checked against their schema, and which of their conditions are refuted."""

from __future__ import annotations

import json

from repository import schema

from reproflow import judge
from reproflow.judge.paths.judgement import ASKED, PathJudgement

SCHEMA = schema("check-path")


def judged(spec: str, process: str = "gaussian") -> PathJudgement:
    """The judgement; what it says must fit the schema."""
    found = judge.path(spec, process)
    SCHEMA.validate(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    return found


def refuted(found: PathJudgement) -> set[str]:
    return {key for key in ASKED if getattr(found, key)["verdict"] == "refuted"}
