"""Tries a model before anybody's query meets it: ``python -m darkroom.sql.load_check``.

In a process of its own: what a broken model takes down with it is then nobody's connection.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np

from darkroom.contract import DarkroomError, DataError, Workspace, class_and_text
from darkroom.ml.engines import prepare
from darkroom.ml.inference import input_shape, predictions
from darkroom.sql.deployments import Deployment
from darkroom.sql.functions import checked_file

TIMEOUT_SECONDS: Final = 180


def check_loads(workspace: Workspace, deployment: Deployment) -> None:
    """Lets a deployed model answer for one grey picture, in another process.

    Args:
        workspace: Where the model's files lie.
        deployment: The model.

    Raises:
        MissingInputError: Its file is missing.
        DataError: The file is another one, or does not load, or does not answer as it should.
    """
    file = checked_file(workspace, deployment)
    labels = len(deployment.card(workspace).labels)
    command = [sys.executable, "-m", __name__, str(file), str(workspace.engines), str(labels)]
    library = str(Path(__file__).parents[2])
    path = os.pathsep.join([library, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        reason = _reason(done) if done.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"it does not answer within {TIMEOUT_SECONDS} s"
    if reason:
        raise DataError(
            f"{deployment.model_name} version {deployment.model_version} fails its load check: "
            f"{reason}"
        )


def try_model(file: Path, cache: Path, labels: int) -> None:
    """Loads a model and runs it once.

    Args:
        file: The model file.
        cache: As for `darkroom.ml.engines.prepare`.
        labels: How many scores it has to answer.

    Raises:
        DataError: It does not answer so many finite numbers.
    """
    prepared = prepare(file, cache)
    grey = np.full(input_shape(prepared), 128, np.uint8)
    (answer,) = predictions([grey], prepared)
    if answer.value is None:
        raise DataError(str(answer.error))
    if answer.value.shape != (labels,) or not np.isfinite(answer.value).all():
        raise DataError(
            f"it answers {answer.value.shape} with {np.isfinite(answer.value).sum()} finite "
            f"numbers for {labels} labels"
        )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"its process was ended by signal {-done.returncode}"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"its process ended with exit code {done.returncode}"


def main(file: str, cache: str, labels: str) -> None:
    """Checks one model; what is wrong is the last line of the error stream."""
    try:
        try_model(Path(file), Path(cache), int(labels))
    except DarkroomError as error:
        sys.exit(str(error))
    except Exception as error:
        # Whatever a library says of a broken file is the reason to refuse it.
        sys.exit(class_and_text(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
