"""The forms in which a time law may be asked about besides its quantile map: a density, or a function that draws.

`density:FILE.py:f` and `density:expr:..` give an unnormalised density of t in (0, 1); `sampler:FILE.py:f` draws.
"""

from __future__ import annotations

DENSITY = "density"
SAMPLER = "sampler"
QUANTILE = "time"


def split(text: str) -> tuple[str, str]:
    """The kind of function that a time law is given by, and the spec of that function."""
    head, _, rest = text.strip().partition(":")
    return (head, rest) if head in (DENSITY, SAMPLER) else (QUANTILE, text)
