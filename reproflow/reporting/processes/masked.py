"""How figures show the masked process."""

from __future__ import annotations

from reproflow.reporting.figures.style import SHOWN, Shown


@SHOWN.register("masked")
def shown() -> Shown:
    """Its marker, and how its noise levels are named."""
    return Shown("s", "share m of hidden tokens", "hidden share m", rising_to_data=False)
