"""Has a process of its own load a logged model, in an environment without this project."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from darkroom.contract import DarkroomError, one_line

PROGRAM: Final = Path(__file__).with_name("fresh_load.py")
SECONDS: Final = 600

GO: Final = b"go\n"
"""What the process reads once the images are there; without it, it ends."""

_KEPT: Final = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "USER")
_KEPT_PREFIXES: Final = ("MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "SSL_", "REQUESTS_")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")
"""What it takes to reach the server and its store of files."""

_QUIET: Final = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a model said in a process of its own.

    Attributes:
        probabilities: Per image, in the order of the model's labels; None without an answer.
        seconds: To import MLflow, load the model and answer, without the wait for the images.
        memory_mb: The most memory that the process held, megabytes.
    """

    probabilities: Sequence[Sequence[float] | None]
    seconds: float
    memory_mb: float


class Stranger:
    """A new Python process that loads a logged model with MLflow, and has it answer.

    It sees neither this library nor the environment of this process: what the model needs has to
    be in its own files and in the packages that are installed. It loads at once, which takes
    seconds, and answers when it is asked. Leaving the context ends it.

    Args:
        model_uri: What ``mlflow.pyfunc.load_model`` takes.
        seconds: How long it may take after it was asked.
    """

    def __init__(self, model_uri: str, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._scratch = tempfile.TemporaryDirectory(prefix="darkroom-")
        folder = Path(self._scratch.name)
        self._images, self._answers = folder / "images", folder / "answers.json"
        self._said = folder / "said.txt"
        # -I: neither the folder it is started in nor PYTHONPATH is searched for packages.
        command = [sys.executable, "-I", str(PROGRAM), model_uri]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [*command, str(self._images), str(self._answers)],
                env=clean_environment(os.environ),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._scratch.cleanup()

    def ask(self, images: Sequence[bytes]) -> None:
        """Hands over encoded images; does not wait."""
        self._images.mkdir()
        for number, image in enumerate(images):
            (self._images / f"{number:06}").write_bytes(image)
        assert self._process.stdin is not None
        # Where it has ended already, `answer` says why.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(GO)
            self._process.stdin.flush()

    def answer(self) -> Answered:
        """Waits for what it says of the images.

        Raises:
            DarkroomError: It ended otherwise, or did not in time.
        """
        try:
            code = self._process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            raise DarkroomError(f"it did not answer within {self._seconds:g} s") from None
        if code or not self._answers.is_file():
            text = self._said.read_text(errors="replace").strip() or "nothing"
            raise DarkroomError(f"the process ended with {code}: {one_line(text.splitlines()[-1])}")
        return Answered(**json.loads(self._answers.read_text()))


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a stranger's process would have too."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES) or name.lower() in _PROXIES
    }
    return kept | _QUIET
