"""A data set, or any named tensors, as one safetensors file that is whole, checked and never executed.

The header holds one key whose value is JSON: safetensors keeps several keys in an order that changes from run to run,
and a prepared file has the same bytes every time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.foundation.files import atomic, refused
from reproflow.foundation.specs import Spec, parse
from reproflow.learning.data.base import get_dataset
from reproflow.learning.data.images import ImageData
from reproflow.learning.data.points import ToyData
from reproflow.learning.data.tensor_digest import digest

HEADER = "reproflow"


def prepare(spec: str | Spec, path: str | Path, process: str = "gaussian") -> str:
    """Writes the data set a spec names to `path` and returns the SHA-256 of its arrays.

    Of a user's own the file says which function gives it, relative to the working directory.
    """
    data, parsed = get_dataset(spec, process), parse(spec, "dataset")
    about: dict[str, Any] = {"kind": "dataset", "name": parsed.name, "process": process}
    if not parsed.registered:
        about |= {"source": parsed.source, "params": dict(parsed.params)}
    if isinstance(data, ImageData):
        about["images"] = {"shape": list(data.shape), "levels": data.levels, "classes": data.classes}
    return write_tensors(path, data.arrays(), about)


def load(path: str | Path) -> ToyData | ImageData:
    """The data set of a prepared file, its arrays taken from the file.

    Raises `UsageError` when the file is missing, damaged, changed, or not a data set.
    """
    tensors, about = read_tensors(path)
    if about.get("kind") != "dataset":
        raise UsageError(f"{path} holds {about.get('kind', 'no')} data, not a data set; prepare it again.")
    arrays: dict[str, Any] = dict(tensors)
    if images := about.get("images"):
        # Images are their arrays: the library that they came from, seconds to import, is not asked again.
        return ImageData(about["name"], tuple(images["shape"]), images["levels"], images["classes"], **arrays)
    spec = Spec(about["name"], tuple(sorted(about.get("params", {}).items())), about.get("source", ""))
    return replace(get_dataset(spec, about["process"]), **arrays)


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Writes tensors with a description to one safetensors file, whole, and returns their SHA-256.

    Raises `ReproflowError` with path and cause when the file system refuses.
    """
    sha = digest(tensors)
    header = json.dumps({**about, "sha256": sha}, sort_keys=True)
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        try:
            save_file(held, temporary, {HEADER: header})
        except SafetensorError as error:
            # Its own error, also for a full disk: the system's words follow "I/O error".
            raise refused(path, str(error).rpartition("I/O error: ")[2]) from error
    return sha


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description of such a file.

    Raises `UsageError` when it is missing, damaged, or its arrays do not have the recorded SHA-256.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            about = json.loads((stream.metadata() or {})[HEADER])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; run the rule that writes it.") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise UsageError(f"{path} is not a readable reproflow file ({error}); delete it and write it again.") from error
    if digest(tensors) != about["sha256"]:
        raise UsageError(f"{path} was changed: its arrays lack the recorded sha256; delete it and write it again.")
    return tensors, about
