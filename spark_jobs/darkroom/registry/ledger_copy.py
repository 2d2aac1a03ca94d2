"""The ledger's newest rows as a small file, for the pages of Airflow, which read no tables."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from darkroom.contract.workspace import write_atomically
from darkroom.registry.ledger import Ledger

ROWS: Final = 50


def copy_ledger(ledger: Ledger, file: Path) -> None:
    """Writes the newest rows, refusals included, newest first; to be called after every new row.

    Args:
        ledger: What to copy.
        file: Takes a JSON list of mappings; times are in ISO 8601 with their offset.
    """
    while True:
        copied = ledger.snapshot
        rows = [asdict(entry) for entry in reversed(ledger.rows()[-ROWS:])]
        text = json.dumps(rows, indent=2, default=lambda moment: moment.isoformat())
        write_atomically(file, text + "\n")
        # A process that was faster may have written a newer copy, which is gone now.
        if ledger.snapshot == copied:
            return
