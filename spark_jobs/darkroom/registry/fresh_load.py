"""Loads a logged model as a stranger would, has it answer images, and says what that took.

A program of its own, which imports nothing of this library: what the model needs is its own.
Arguments: the model's URI, a folder of encoded images, the file for the answers (JSON). The images
are there once a line comes on standard input; if that ends without one, so does the program.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """See the module."""
    uri, images, answers = sys.argv[1:]
    begun = time.perf_counter()
    import mlflow.pyfunc
    import pandas as pd

    model = mlflow.pyfunc.load_model(uri)
    loaded = time.perf_counter()
    if not sys.stdin.readline():
        return
    asked = time.perf_counter()
    files = sorted(Path(images).iterdir())
    found = model.predict(pd.DataFrame({"image": [file.read_bytes() for file in files]}))
    result = {
        "probabilities": [_plain(row) for row in found["probabilities"]],
        "seconds": loaded - begun + time.perf_counter() - asked,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    Path(answers).write_text(json.dumps(result))


def _plain(row: Any) -> list[float] | None:
    return None if row is None else [float(number) for number in row]


if __name__ == "__main__":
    main()
