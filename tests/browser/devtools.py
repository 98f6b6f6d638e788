"""Chromium driven through its debugging pipe: windows of any width, keys, print media. No library is needed for it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]  # fmt: skip
KEYS = {"ArrowRight": 39, "ArrowDown": 40, "Tab": 9}
PATIENCE = 120  # seconds without a word before Chromium counts as dead


def program() -> str:
    """The path of Chromium."""
    found = shutil.which("chromium")
    assert found, "no chromium here: run `bash tests/browser/install.sh`"
    return found


class Window:
    """One page. `evaluate` gives the value of an expression; the document is `document`, as in any page."""

    def __init__(self, to: int, answers: int) -> None:
        self.to, self.answers, self.heard, self.number, self.session = to, answers, b"", 0, ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        command |= {"sessionId": self.session} if self.session else {}
        os.write(self.to, json.dumps(command).encode() + b"\0")
        answer = self.wait(lambda said: said.get("id") == self.number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def wait(self, wanted: Any) -> dict[str, Any]:
        """The next message that is wanted; the others are let go."""
        while True:
            while b"\0" not in self.heard:
                assert select.select([self.answers], [], [], PATIENCE)[0], "no answer from chromium"
                part = os.read(self.answers, 1 << 20)
                assert part, "chromium has ended"
                self.heard += part
            message, self.heard = self.heard.split(b"\0", 1)
            said = json.loads(message)
            if wanted(said):
                return said

    def open(self, file: Path, width: int, height: int = 900, media: str = "") -> None:
        """Shows a file in a window of that size; `media` may be `print`."""
        self.send("Emulation.setEmulatedMedia", media=media)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        self.send("Page.navigate", url=file.resolve().as_uri())
        self.wait(lambda said: said.get("method") == "Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, times: int = 1) -> None:
        """Presses a key, as a person does."""
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    def shot(self, file: Path) -> None:
        """A picture of what is in view."""
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def window(profile: Path, *flags: str) -> Iterator[Window]:
    """A browser of its own with one window, ended at the end."""
    pipes = [os.pipe(), os.pipe()]
    # Chromium reads from 3 and writes to 4; bash puts the ends there, from numbers that are neither.
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (pipes[0][0], pipes[1][1])]
    command = [program(), *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", *flags]
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", *command],
        pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for fd in (pipes[0][0], pipes[1][1], *theirs):
        os.close(fd)
    try:
        yield Window(pipes[0][1], pipes[1][0])
    finally:
        process.kill()
        process.wait()
        os.close(pipes[0][1])
        os.close(pipes[1][0])
