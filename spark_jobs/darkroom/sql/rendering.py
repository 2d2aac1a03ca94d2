"""Query results for people and for programs."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from darkroom.contract import columns as c

LINE_WIDTH = 80
SHOWN_OBJECTS = 3
NARROWEST = 8
"""A column narrower than this says nothing: such a table is printed as records instead."""

_GAP = "  "
_CUT = "…"


def as_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int = LINE_WIDTH) -> str:
    """Lays rows out in columns that fit a line, or one value a line where they would not.

    Args:
        columns: Column names.
        rows: One sequence of values per row.
        width: Characters per line.

    Returns:
        Lines of text; every cell is on one line, cut with an ellipsis where it is too long.
    """
    columns = [text_of(name) for name in columns]
    texts = [[text_of(value) for value in row] for row in rows]
    room = width - len(_GAP) * (len(columns) - 1)
    if room < NARROWEST * len(columns):
        return _as_records(columns, texts, width)
    natural = [
        max(len(name), *(len(row[i]) for row in texts), 1) if texts else len(name)
        for i, name in enumerate(columns)
    ]
    widths = _fit(natural, room)
    rule = ["-" * size for size in widths]
    lines = (_line(cells, widths) for cells in [columns, rule, *texts])
    return "\n".join(lines)


def as_json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Writes rows as a JSON list of objects; bytes become their number, NaN becomes null."""
    names = _distinct(columns)
    values = [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)


def text_of(value: Any) -> str:
    """One value as one line of printable text.

    Objects that a function recognised read like ``stop 0.97, yield 0.02``, binary values like
    ``<12,345 bytes>``.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bytes | bytearray):
        return f"<{len(value):,} bytes>"
    if _are_objects(value):
        return _objects_text(value)
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple | dict):
        text = json.dumps(_plain(value), ensure_ascii=False)
    else:
        text = str(value)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _are_objects(value: Any) -> bool:
    fields = {c.LABEL, c.PROBABILITY}
    return (
        isinstance(value, list)
        and bool(value)
        and all(set(getattr(item, "__fields__", ())) == fields for item in value)
    )


def _objects_text(objects: list[Any]) -> str:
    shown = [f"{found[c.LABEL]} {found[c.PROBABILITY]:.2f}" for found in objects[:SHOWN_OBJECTS]]
    telling = [text for text in shown if not text.endswith(" 0.00")]
    return ", ".join(telling or shown[:1])


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray):
        return text_of(value)
    if hasattr(value, "asDict"):
        return {name: _plain(item) for name, item in value.asDict().items()}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _distinct(columns: Sequence[str]) -> list[str]:
    """SQL may name two columns alike, JSON may not: later ones get a number."""
    seen: Counter[str] = Counter()
    names = []
    for name in columns:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _fit(natural: Sequence[int], room: int) -> list[int]:
    """Shares the room: what is narrow keeps its width, the rest gets equal parts."""
    widths = list(natural)
    while sum(widths) > room:
        widest = max(widths)
        widths[widths.index(widest)] = widest - 1
    return widths


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = (_cut(cell, size).ljust(size) for cell, size in zip(cells, widths, strict=True))
    return _GAP.join(fitted).rstrip()


def _as_records(columns: Sequence[str], texts: Sequence[Sequence[str]], width: int) -> str:
    margin = min(max(map(len, columns)), width // 2)
    lines = []
    for number, row in enumerate(texts, start=1):
        lines.append(f"-- row {number} --")
        for name, text in zip(columns, row, strict=True):
            room = width - margin - len(_GAP)
            lines.append(f"{_cut(name, margin).ljust(margin)}{_GAP}{_cut(text, room)}".rstrip())
    return "\n".join(lines)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + _CUT
