"""Errors of other libraries as one line."""

from __future__ import annotations

import pytest

from darkroom.contract import class_and_text, one_line


@pytest.mark.parametrize(
    ("error", "line", "with_class"),
    [
        (
            ValueError("two\n  lines\t of text"),
            "two lines of text",
            "ValueError: two lines of text",
        ),
        (KeyError("gone"), "'gone'", "KeyError: 'gone'"),
        (StopIteration(), "StopIteration", "StopIteration"),
        (ValueError("x" * 300), "x" * 200, "ValueError: " + "x" * 200),
    ],
)
def test_an_error_is_one_short_line(error: Exception, line: str, with_class: str) -> None:
    assert one_line(error) == line
    assert class_and_text(error) == with_class


def test_the_length_of_a_line_can_be_chosen() -> None:
    assert one_line("a b c", limit=3) == "a b"
    assert one_line("x" * 300, limit=None) == "x" * 300
