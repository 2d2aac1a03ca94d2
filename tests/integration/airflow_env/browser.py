"""A real browser without a window: it opens pages and says what a person would see of them."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
"""None where there is no browser that takes commands."""

HEIGHT = 900
PATIENCE = 60.0
OPTIONS = (
    "--headless",
    # Only pages of the test's own servers are opened, and root has no sandbox.
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)

_SEEN = """({
  text: document.body.innerText,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  pictures: document.images.length,
  broken: [...document.images].filter(one => !one.naturalWidth).length,
  loaded: performance.getEntriesByType("resource").map(one => one.name),
})"""


@dataclass(frozen=True)
class Seen:
    """A page in a window of some width.

    Attributes:
        text: What can be read.
        overflow: Pixels that it is too wide for the window.
        pictures: Number of pictures.
        broken: Of these, those that could not be shown.
        loaded: Addresses of what was loaded beside the page itself.
    """

    text: str
    overflow: int
    pictures: int
    broken: int
    loaded: Sequence[str]


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser with a profile of its own."""
    assert PROGRAM is not None
    with TemporaryDirectory(prefix="darkroom-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [PROGRAM, *OPTIONS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = _address(Path(profile) / "DevToolsActivePort", process)
            with connect(address, max_size=None) as connection:
                yield Browser(connection)
        finally:
            process.terminate()
            process.wait()


class Browser:
    """Speaks Chromium's DevTools protocol with one tab."""

    def __init__(self, connection: ClientConnection) -> None:
        """Args: connection: to the browser, which has no tab of ours yet."""
        self._connection = connection
        self._numbers = itertools.count(1)
        self._tab: dict[str, str] = {}
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        tab = self._do("Target.attachToTarget", targetId=target, flatten=True)
        self._tab = {"sessionId": tab["sessionId"]}
        self._do("Page.enable")

    def look(self, url: str, width: int) -> Seen:
        """Opens a page in a window so many pixels wide and waits until it is complete."""
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self._do("Emulation.setDeviceMetricsOverride", **size)
        self._do("Page.navigate", url=url)
        while self._next().get("method") != "Page.loadEventFired":
            pass
        found = self._do("Runtime.evaluate", expression=_SEEN, returnByValue=True)
        return Seen(**found["result"]["value"])

    def _do(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params, **self._tab}
        self._connection.send(json.dumps(command))
        while (answer := self._next()).get("id") != number:
            pass
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=PATIENCE))
        return message


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the browser takes commands; it writes that into its profile."""
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and len(lines := file.read_text().split()) == 2):
        assert process.poll() is None, "the browser does not start"
        assert time.monotonic() < deadline, "the browser does not answer"
        time.sleep(0.1)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
