"""How figures show the Gaussian process."""

from __future__ import annotations

from reproflow.reporting.figures.style import SHOWN, Shown


@SHOWN.register("gaussian")
def shown() -> Shown:
    """Its marker, and how its noise levels are named."""
    return Shown("o", "log-SNR λ (noise to the right)", "log-SNR λ", rising_to_data=True)
