"""Where in the user's code a draw is made."""

from __future__ import annotations

import os
import sys
from types import FrameType

import numpy as np
import torch

_SKIPPED = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (str(torch.__file__), str(np.__file__), os.path.dirname(os.path.abspath(__file__)))
)


def user_line() -> tuple[str, int]:
    """File and number of the innermost line of code outside torch, numpy and this package; ("", 0) where none is."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_SKIPPED) and not path.startswith("<frozen"):
            return path, frame.f_lineno
        frame = frame.f_back
    return "", 0
