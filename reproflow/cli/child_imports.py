"""What a child imports before its limits begin: torch and the judgement, the audit, or what admits a configuration.

Imports take seconds of processor time, and minutes by the clock on a busy machine. None of it is the doing of a user's
file, which is opened afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence


def import_ahead(arguments: Sequence[str]) -> None:
    """Imports what the verb will need; nothing for a verb that runs no user code."""
    match arguments:
        case ["check", kind, *more]:
            from reproflow import judge

            if kind not in judge.__all__:
                return
            getattr(judge, kind)
            if "--train" in more:
                from reproflow.judge.training import experiment  # noqa: F401
        case ["audit", *_]:
            _import_audit(any(each.partition("=")[0] == "--vocab" for each in arguments))
            return
        case ["resolve", *_]:
            from reproflow.learning import preflight  # noqa: F401
        case _:
            return
    _import_forward_mode()


def _import_audit(tokens: bool) -> None:
    if tokens:
        from reproflow.auditing.tokens import instrument, naming  # noqa: F401
    else:
        from reproflow.auditing.continuous import instrument as continuous  # noqa: F401
        from reproflow.auditing.naming import identify  # noqa: F401


def _import_forward_mode() -> None:
    """The first derivative in forward mode, as functions in files are differentiated, imports torch's compiler."""
    import torch

    from reproflow.numerics.derivatives import Mode, with_slope

    with_slope(torch.sin, torch.ones(1, dtype=torch.float64), Mode.FORWARD)
