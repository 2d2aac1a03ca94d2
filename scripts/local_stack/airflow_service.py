"""``python -m local_stack.airflow_service api-server ...``: ``airflow api-server ...``, quicker.

Airflow's services build tens of thousands of objects before they do anything, and keep them all:
looking for garbage among them again and again would take a third of the API server's start, and
seconds of every end.
"""

from __future__ import annotations

import atexit
import gc
import sys

NEW_OBJECTS = 100_000
"""So many between two looks at the youngest objects; Python's own choice is 700."""


def main() -> None:
    """Runs an ``airflow`` command."""
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    atexit.register(gc.freeze)
    # Only now: half of the start is imports.
    from airflow.__main__ import main as airflow

    sys.argv[0] = "airflow"
    airflow()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
