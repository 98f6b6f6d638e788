"""What can go wrong for a user, and the exit code that says so.

Every message is one to three lines: what happened, where, and the cure. The command line prints it without a traceback
and exits with `exit_code`; anything that is not a `ReproflowError` is a bug of ours and exits 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

CHANGES_NO_NUMBER = "messages and exit codes"


class ReproflowError(Exception):
    """A fault that a user can act on."""

    exit_code = 1


class UsageError(ReproflowError):
    """A command, name, parameter or user function that cannot be used (exit 2)."""

    exit_code = 2


class UserFunctionError(UsageError):
    """A user's own function that raised or broke its promise at a call (exit 2; in a stage, its cell has failed)."""


class CellsFailed(UserFunctionError):
    """What a user's functions did wrong in cells that are worked on together: the reason of each, by its place."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(next(iter(reasons.values())))
        self.reasons = dict(reasons)


class ConfigError(UsageError):
    """A configuration that cannot be run; names file, key, value and cure (exit 2)."""


class VerdictError(ReproflowError):
    """A decided verdict other than expected, or a control that was not refuted (exit 3)."""

    exit_code = 3


class RegressionError(ReproflowError):
    """A number that is worse than its baseline (exit 4)."""

    exit_code = 4


class UndecidedError(ReproflowError):
    """The evidence does not decide: too few seeds, no baseline, only inconclusive verdicts (exit 5)."""

    exit_code = 5


class InterruptedRun(ReproflowError):
    """Stopped by a signal, or locked by another process; the state is saved and a rerun goes on (exit 75)."""

    exit_code = 75


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`" did you mean 'elbo'?"` for the closest of `known`, or the empty string."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" did you mean {matches[0]!r}?" if matches else ""
