"""How figures show tokens under uniform noise."""

from __future__ import annotations

from reproflow.reporting.figures.style import SHOWN, Shown


@SHOWN.register("uniform_tokens")
def shown() -> Shown:
    """Its marker, and how its noise levels are named."""
    return Shown("D", "share m of replaced tokens", "replaced share m", rising_to_data=False)
