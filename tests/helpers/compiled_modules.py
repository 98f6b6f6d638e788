"""Where compiled modules are kept on a machine that tells Python to keep none."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def keep_apart(folder: Path) -> None:
    """Under a folder, for this process and all that it starts, and nothing beside the sources: as `make` has it.

    A command spends half its time compiling what it imports, where that is kept nowhere. Where Python keeps it beside
    the sources, that stays so.
    """
    if sys.dont_write_bytecode:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.pycache_prefix = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(folder))
        sys.dont_write_bytecode = False
