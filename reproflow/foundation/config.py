"""Configuration: a closed schema, checked before anything runs.

Every object is closed: an unknown key is refused with the nearest known one. Whatever is wrong is a `ConfigError` that
names file, key, value and cure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from reproflow.foundation.errors import ConfigError, did_you_mean
from reproflow.foundation.experiment import Experiment
from reproflow.foundation.schema import Config
from reproflow.foundation.schema_entries import Likelihood, Model, Named, Sampling, Training, parse

CHANGES_NO_NUMBER = "every value of a configuration is a part of the fingerprint by itself"

__all__ = [
    "Config",
    "Experiment",
    "Likelihood",
    "Model",
    "Named",
    "Sampling",
    "Training",
    "check",
    "check_merged",
    "dump",
    "load",
    "parse",
    "read",
]

EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def load(path: str | Path) -> Config:
    """Reads and checks a YAML or JSON file. Raises `ConfigError` naming file, key, value and cure."""
    return check(read(path), str(path))


def check_merged(merged: Mapping[str, Any], files: Sequence[str | Path]) -> Config:
    """Checks what Snakemake made of its configuration files and of values on its command line.

    Its own reader takes the last of two equal keys: every file is read here once more, as `load` reads it. Raises
    `ConfigError`.
    """
    for file in files:
        read(file)
    return check(merged, ", ".join(map(str, files)) or "config")


def read(path: str | Path) -> Any:
    """What a YAML or JSON file holds, unchecked but for keys written twice. Raises `ConfigError`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return yaml.load(text, Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the configuration {path}: {getattr(error, 'strerror', None) or error}."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def check(raw: Any, source: str = "config") -> Config:
    """Checks a mapping against the schema. Raises `ConfigError`; `source` is the file named in its message."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{source}: a configuration is a mapping with the keys {', '.join(Config.model_fields)}.")
    meant = _meant(dict(raw))
    _refuse_unknown_keys(meant, Config, source, "")
    try:
        return Config.model_validate(meant)
    except ValidationError as error:
        raise ConfigError(_explain(error, source)) from None


def dump(config: Config) -> str:
    """The configuration with every default written out, as JSON."""
    return json.dumps(config.model_dump(mode="json"), indent=1) + "\n"


def _refuse_unknown_keys(raw: Any, schema: type[BaseModel], source: str, where: str) -> None:
    """The did-you-mean check, which runs before the schema so that a typo is not reported as a missing key."""
    if not isinstance(raw, Mapping):
        return
    for key, value in raw.items():
        if key not in schema.model_fields:
            known = schema.model_fields
            raise ConfigError(
                f"{source}: unknown key {where + str(key)!r};{did_you_mean(str(key), known)}\n"
                f"known here: {', '.join(known)}"
            )
        inner = _inner_schema(schema.model_fields[key].annotation)
        if inner is not None:
            items = enumerate(value) if isinstance(value, list) else [("", value)]
            for index, item in items:
                place = f"{where}{key}[{index}]." if index != "" else f"{where}{key}."
                _refuse_unknown_keys(item, inner, source, place)


def _inner_schema(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        inner = _inner_schema(argument)
        if inner is not None:
            return inner
    return None


def _explain(error: ValidationError, source: str) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    where = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"] if not _is_tag(part)
    ).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    shown = first.get("input")
    value = (
        f" (got {shown!r})"
        if isinstance(shown, (str, int, float, bool, list, type(None))) and first["type"] != "missing"
        else ""
    )
    more = f"\nand {len(problems) - 1} more like it" if len(problems) > 1 else ""
    return f"{source}: {where or 'config'}: {message}{value}{more}"


def _is_tag(part: Any) -> bool:
    """Whether a part of an error's place is the schema's own tag of a union (`_own`), not a key of the file."""
    return isinstance(part, str) and part.startswith("_")


def _meant(value: Any) -> Any:
    """What YAML 1.1, which Snakemake reads too, does not see: 2e-3 is a number (it wants 2.0e-3), and the key `on` is a
    word (it reads true)."""
    if isinstance(value, Mapping):
        return {"on" if key is True else key: _meant(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_meant(item) for item in value]
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


MERGE = "tag:yaml.org,2002:merge"  # the key `<<`, which takes in another mapping


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice."""


def _unique_mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is written twice", problem_mark=node.start_mark)
    loader.flatten_mapping(node)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
