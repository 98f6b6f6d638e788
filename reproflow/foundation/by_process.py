"""What a layer has for a process, found by the process's name: its sampler, its likelihood, its check problem.

A layer declares a table, `SAMPLERS: ByProcess[Sampler] = ByProcess("sampler", __name__)`, and a module for each
process, `<layer>/processes/<process>.py`, enters its part with `@SAMPLERS.register("masked")`. The module is imported
when the table is first asked for that process: a process is one file in each layer that it enters, and what is not
asked for costs nothing. `foundation.closure` reads the same decorators: what is entered for a cell's process is a part
of its fingerprint.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Generic, TypeVar

from reproflow.foundation.errors import UsageError

CHANGES_NO_NUMBER = "what is entered for a process counts where it is defined"

Part = TypeVar("Part")


class ByProcess(Generic[Part]):
    """One part by the process's name. `what` names the part in errors; `declared_in` is the declaring `__name__`."""

    def __init__(self, what: str, declared_in: str) -> None:
        self.what, self.declared_in = what, declared_in
        self._parts: dict[str, Part] = {}

    def register(self, process: str) -> Callable[[Part], Part]:
        """Decorator that enters a function or class for a process and returns it unchanged.

        Raises `UsageError` where the process has another one.
        """

        def enter(part: Part) -> Part:
            if process in self._parts and self._parts[process] is not part:
                raise UsageError(f"the {process} process has two entries as {self.what}; leave one out.")
            self._parts[process] = part
            return part

        return enter

    def __contains__(self, process: str) -> bool:
        """Whether a process has the part; where it may be, its module is imported."""
        if process not in self._parts:
            module = module_of(self.declared_in, process)
            if importlib.util.find_spec(module) is not None:
                importlib.import_module(module)
        return process in self._parts

    def __getitem__(self, process: str) -> Part:
        """The part for a process. Raises `UsageError` for a process that has none."""
        if process not in self:
            module = module_of(self.declared_in, process)
            raise UsageError(f"a {process} process has no {self.what}; {module} enters none.")
        return self._parts[process]


def module_of(declared_in: str, process: str) -> str:
    """The module of the declaring layer for a process: `reproflow.learning.processes.masked`."""
    return ".".join([*declared_in.split(".")[:2], "processes", process])
