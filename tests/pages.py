"""Reads HTML pages as people do."""

from __future__ import annotations

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Notes a page's tags and words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def shown(page: str) -> str:
    """The page's words, on one line."""
    return " ".join(Reader(page.partition("<body>")[2]).words)
