"""Rows of ``results.json`` and the table that people read."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS_FILE = Path(__file__).parent / "results.json"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured figure.

    Attributes:
        name: Unique; a slash separates a family from its member.
        value: The median of the samples.
        unit: For example ``s``; ``x`` for a ratio, higher is better unless ``note`` says otherwise.
        goal: The figure to reach, in words (``<= 60``), or None where there is none.
        met: Whether it was reached, or None without a goal.
        samples: The single measurements, in the same unit.
        note: What was measured, in a few words.
        machine: Cores, architecture and system.
        commit: Abbreviated commit, with ``+`` when the tree had changes.
    """

    name: str
    value: float
    unit: str
    goal: str | None = None
    met: bool | None = None
    samples: Sequence[float] = ()
    note: str = ""
    machine: str = ""
    commit: str = ""


def machine() -> str:
    """Describes where the figures come from, without naming the host."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


def commit() -> str:
    """Abbreviated hash of HEAD, with ``+`` when tracked files have changes; empty outside git."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "--short", "HEAD").strip()
        return head + ("+" if _git(here, "status", "--porcelain", "-uno").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def merge(rows: Iterable[Row], file: Path = RESULTS_FILE) -> list[Row]:
    """Replaces rows of the same name in a results file and keeps the others.

    Returns:
        All rows now in the file, by name.
    """
    known = {row["name"]: row for row in json.loads(file.read_text())} if file.exists() else {}
    known |= {row.name: asdict(row) for row in rows}
    ordered = [known[name] for name in sorted(known)]
    file.write_text(json.dumps(ordered, indent=2) + "\n")
    return [Row(**row) for row in ordered]


def table(rows: Iterable[Row]) -> str:
    """Lays rows out for a terminal of 80 columns."""
    lines = [f"{'name':<39} {'value':>10} {'unit':<5} {'goal':<10} met"]
    for row in rows:
        met = {True: "yes", False: "NO", None: "-"}[row.met]
        value = f"{row.value:,.3g}" if abs(row.value) < 100 else f"{row.value:,.0f}"
        lines.append(f"{row.name:<39} {value:>10} {row.unit:<5} {row.goal or '-':<10} {met}")
    return "\n".join(lines)


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
