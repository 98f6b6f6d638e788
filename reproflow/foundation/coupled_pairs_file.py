"""A coupling in a configuration: a registered name, or a file of given pairs, known by its content.

A file of pairs (`FILE.safetensors`, relative to the working directory; `learning.data.coupled_pairs` reads it) enters
the key of a cell by eight digits of its SHA-256 and its fingerprint by all of them, so its name and place do not
matter.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from reproflow.foundation import files
from reproflow.foundation.errors import UsageError

SUFFIX = ".safetensors"
INDEPENDENT = "independent"


def is_file(coupling: str) -> bool:
    """Whether a coupling is a file of pairs."""
    return coupling.endswith(SUFFIX)


def slug(coupling: str) -> str:
    """What a cell's key says of a file of pairs. Raises `UsageError` for one that cannot be read."""
    return f"pairs~{sha256(coupling)[:8]}"


def sha256(coupling: str) -> str:
    """The SHA-256 of a file of pairs, hexadecimal. Raises `UsageError` for a file that cannot be read."""
    path = Path(coupling)
    try:
        about = path.stat()
        return _sha256(str(path.resolve()), about.st_mtime_ns, about.st_size, about.st_ino)
    except FileNotFoundError:
        raise UsageError(
            f"coupling {coupling!r}: no such file in {Path.cwd()}; reproflow pairs CELL --out FILE writes one."
        ) from None
    except OSError as error:
        raise UsageError(f"coupling {coupling!r} cannot be read: {error.strerror}.") from None


def shapes(coupling: str) -> dict[str, list[int]]:
    """The shape of every array in a file of pairs, from its header. Raises `UsageError` for what is no such file."""
    # Imported here: most configurations have no file of pairs.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(coupling, framework="numpy") as stream:
            about = json.loads((stream.metadata() or {}).get("reproflow", "{}"))
            found = {name: stream.get_slice(name).get_shape() for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise UsageError(f"coupling {coupling!r} is not a readable reproflow file ({error}); write it again.") from None
    if about.get("kind") != "pairs":
        raise UsageError(f"coupling {coupling!r} holds {about.get('kind', 'no')} data, not pairs; use reproflow pairs.")
    return found


@functools.lru_cache(maxsize=64)
def _sha256(path: str, modified: int, size: int, node: int) -> str:
    """Once for each state of a file: every cell of a grid asks. One replaced within a clock tick has another node."""
    return files.sha256(path)
