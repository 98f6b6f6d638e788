"""The audit of a loss of the catalogues, as a user of each would ask for it."""

from __future__ import annotations

import importlib
from typing import Any

from losses.faulty import FAULTY, Faulty
from losses.stated import BATCH, LENGTH, MASK, SHAPE, VOCABULARY
from losses.unusual import UNUSUAL, Unusual

from reproflow.auditing.audit import Audit, Expected, audit

for module in (
    "mutants_target",
    "mutants_batch",
    "mutants_time",
    "mutants_tokens",
    "unusual_draws",
    "unusual_precision",
):
    importlib.import_module(f"losses.{module}")

__all__ = ["FAULTY", "UNUSUAL", "of"]


def of(case: Faulty | Unusual, told: bool = True, **more: Any) -> Audit:
    """The audit, with the case's expectation and sampler unless not `told`."""
    options = dict(case.options) | more
    if case.tokens:
        options |= {"vocab": VOCABULARY, "mask": MASK}
    if told and isinstance(case, Faulty):
        if case.expect is not None:
            options["expect"] = Expected(**case.expect)
        options["sampler"] = case.sampler
    return audit(case.loss, (LENGTH,) if case.tokens else SHAPE, batch=BATCH, **options)
