"""Rows as a person reads them, and as a program does."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import Row

from darkroom.sql.errors import first_line
from darkroom.sql.rendering import as_json, as_table, text_of

OBJECTS = [
    Row(label="stop", probability=0.971),
    Row(label="yield", probability=0.0212),
    Row(label="left", probability=0.0049),
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (bytearray(12_345), "<12,345 bytes>"),
        (b"", "<0 bytes>"),
        (OBJECTS, "stop 0.97, yield 0.02"),
        ([Row(label="stop", probability=0.001)], "stop 0.00"),
        ([], "[]"),
        (["a", "b"], '["a", "b"]'),
        (Row(a=1, b=[2.5]), '{"a": 1, "b": [2.5]}'),
        (True, "True"),
        (0.5, "0.5"),
        (Decimal("1.50"), "1.50"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        ("two\nlines\tand \x1b[31mred", "two\\nlines\\tand \\x1b[31mred"),
        ("schön 标志", "schön 标志"),
    ],
)
def test_a_value_is_one_printable_line(value: object, text: str) -> None:
    assert text_of(value) == text


def test_a_table_fits_its_content() -> None:
    rows = [("stop/1.jpg", OBJECTS), ("stop/22.jpg", None)]

    assert as_table(["path", "objects"], rows).splitlines() == [
        "path         objects",
        "-----------  ---------------------",
        "stop/1.jpg   stop 0.97, yield 0.02",
        "stop/22.jpg  NULL",
    ]


def test_what_is_too_long_is_cut_with_an_ellipsis() -> None:
    lines = as_table(["path", "n"], [("x" * 100, 7)], width=20).splitlines()

    assert lines[2] == "x" * 16 + "…  7"


def test_too_many_columns_become_records() -> None:
    columns = [f"column_{i}" for i in range(11)]

    lines = as_table(columns, [tuple(range(11))], width=80).splitlines()

    assert lines[:3] == ["-- row 1 --", "column_0   0", "column_1   1"]
    assert len(lines) == 12


def test_no_rows_still_name_the_columns() -> None:
    assert as_table(["path"], []) == "path\n----"


@given(
    st.integers(1, 15).flatmap(
        lambda n: st.tuples(
            st.lists(st.text(max_size=120), min_size=n, max_size=n),
            st.lists(st.lists(st.text(max_size=200), min_size=n, max_size=n), max_size=4),
        )
    )
)
def test_no_line_is_wider_than_the_screen(table: tuple[list[str], list[list[str]]]) -> None:
    columns, rows = table

    text = as_table(columns, rows)

    assert all(len(line) <= 80 for line in text.split("\n"))
    assert all(line.isprintable() for line in text.split("\n"))


def test_json_keeps_every_row_and_value() -> None:
    rows: list[tuple[Any, ...]] = [
        ("a", [Row(label="stop", probability=0.5)], b"abc", float("nan"), dt.date(2026, 1, 2), 1),
        ("b", None, None, 0.25, None, 2),
    ]

    read = json.loads(as_json(["path", "objects", "image", "x", "day", "path"], rows))

    assert read == [
        {
            "path": "a",
            "objects": [{"label": "stop", "probability": 0.5}],
            "image": "<3 bytes>",
            "x": None,
            "day": "2026-01-02",
            "path_2": 1,
        },
        {"path": "b", "objects": None, "image": None, "x": 0.25, "day": None, "path_2": 2},
    ]


@pytest.mark.parametrize(
    ("message", "from_worker", "line"),
    [
        (
            "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'. SQLSTATE: 42601 "
            "(line 1, pos 0)\n\n== SQL ==\nSELEC 1\n^^^\n",
            False,
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'. (line 1, pos 0)",
        ),
        (
            "[UNRESOLVED_COLUMN] no `paht`. SQLSTATE: 42703; line 1 pos 7;\n'Project ['paht]\n",
            False,
            "[UNRESOLVED_COLUMN] no `paht`. line 1 pos 7",
        ),
        (
            'An exception was thrown:\nTraceback:\n  File "f.py"\nTypeError: f(image): bad\n '
            "SQLSTATE: 38000\n",
            True,
            "TypeError: f(image): bad",
        ),
        (" \n", False, "Spark gave no reason"),
    ],
)
def test_an_error_is_one_line(message: str, from_worker: bool, line: str) -> None:
    assert first_line(message, from_worker=from_worker) == line
