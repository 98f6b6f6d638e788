"""Pages of docs/ followed word for word: their commands, files and examples, in order, and what they say comes out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from reproflow import cli

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"[Pp]ut this in `(?P<name>[^`]+)`:\s*$")
DOCTEST = f"{shlex.quote(sys.executable)} -m doctest -o ELLIPSIS -o NORMALIZE_WHITESPACE"


@dataclass(frozen=True)
class Step:
    """A command with the words expected of it, or a file to be written first; an example is a command of both."""

    command: str
    said: str = ""
    file: str = ""
    text: str = ""


def steps(page: str) -> list[Step]:
    """What a page asks its reader to do: console blocks, files that it names, and doctests."""
    found: list[Step] = []
    for fence in FENCE.finditer(page):
        named = NAMED.search(page[: fence.start()])
        if fence["language"] == "console":
            found += commands(fence["text"])
        elif named:
            found.append(Step("", file=named["name"], text=fence["text"]))
        elif fence["text"].startswith(">>> "):
            found.append(Step(f"{DOCTEST} example.txt", file="example.txt", text=fence["text"]))
    return found


def commands(block: str) -> list[Step]:
    """The lines after `$ `, each with the lines that follow it."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [Step(*part.rstrip("\n").partition("\n")[::2]) for part in parts]


def section(page: str, *titles: str) -> str:
    """The sections of a page under the given headings of second order."""
    parts = re.split(r"^## ", page, flags=re.MULTILINE)
    return "".join(part for part in parts if part.split("\n", 1)[0] in titles)


def missing(said: str, heard: str) -> str:
    """The first of the words of `said` that `heard` has not, in order; "" if all are there.

    Spaces and line breaks count as one space; `...` stands for anything, but between two of them words are literal.
    """
    heard, at = " ".join(heard.split()), 0
    for number, words in enumerate(said.split("...")):
        wanted = " ".join(words.split())
        place = heard.find(wanted, at)
        if place < 0 or (number == 0 and place > 0):
            return wanted
        at = place + len(wanted)
    return ""


class Shell:
    """One bash, in which directories, variables and exit codes last from step to step."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.bash = subprocess.Popen(["bash"], cwd=folder, env=environment, text=True, **pipes)  # type: ignore[call-overload]

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bash.kill()
        self.bash.communicate()

    def run(self, step: Step) -> str:
        """What a step prints, on either stream."""
        mark = uuid.uuid4().hex
        if step.file:
            self.put(f"cat > {step.file} <<'{mark}'\n{step.text}{mark}\n")
        # The exit code is handed on, so that the page's own `echo $?` sees it.
        self.put(f"{step.command or 'true'}\n{{ code=$?; echo; echo {mark}; (exit $code); }} 2>&1\n")
        heard = ""
        for line in self.bash.stdout:
            if line.strip() == mark:
                return heard
            heard += line
        raise AssertionError(f"the shell ended at: {step.command}\n{heard}")

    def put(self, text: str) -> None:
        self.bash.stdin.write(text)
        self.bash.stdin.flush()


class Inside:
    """The same without processes: `reproflow` is called as a function, and torch is imported once."""

    def __init__(self, capture: object) -> None:
        self.capture, self.code = capture, 0

    def run(self, step: Step) -> str:
        if step.file:
            Path(step.file).write_text(step.text)
        heard = ""
        for command in step.command.split(" && "):
            words, _, redirected = command.partition(" > ")
            said = self.one(words)
            if redirected:
                Path(redirected).write_text(said)
            else:
                heard += said
            if self.code:
                break
        return heard

    def one(self, command: str) -> str:
        """What one command says; the last exit code is kept."""
        words = shlex.split(command)
        if words[:1] == ["reproflow"]:
            self.code = cli.run(words[1:])
            said = self.capture.readouterr()  # type: ignore[attr-defined]
            return said.out + said.err
        script = f"(exit {self.code}); {command}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env=os.environ)
        self.code = done.returncode
        return done.stdout + done.stderr
