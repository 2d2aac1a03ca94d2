"""The machine's own Chromium without a window; Playwright's would be one more to download."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, sync_playwright

WIDTHS = (1280, 400)
"""Pixels: a desk's screen and a telephone's."""

HEIGHT = 900

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
"""Nothing but what a page asks for is loaded."""

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
    """A browser; the test is skipped where the machine has none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=list(_QUIET))


def look(browser: Browser, url: str, width: int) -> Seen:
    """Opens a page in a window so many pixels wide and waits until it is complete."""
    page = browser.new_page(viewport={"width": width, "height": HEIGHT})
    page.goto(url)
    seen = Seen(**page.evaluate(_SEEN))
    page.close()
    return seen
