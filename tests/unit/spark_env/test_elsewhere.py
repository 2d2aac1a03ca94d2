"""The process that loads a model as a stranger would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from darkroom.contract import DarkroomError
from darkroom.registry import elsewhere
from darkroom.registry.elsewhere import Answered, Stranger, clean_environment


def test_a_strangers_environment_knows_the_server_and_nothing_of_this_project() -> None:
    mine = {
        "PATH": "/bin",
        "MLFLOW_TRACKING_URI": "http://mlflow",
        "AWS_ACCESS_KEY_ID": "key",
        "no_proxy": "localhost",
        "PYTHONPATH": "/project/spark_jobs",
        "DARKROOM_WORKSPACE": "/w",
        "SPARK_HOME": "/spark",
        "PYSPARK_PYTHON": "python",
    }
    kept = clean_environment(mine)
    assert {name: kept[name] for name in mine if name in kept} == {
        "PATH": "/bin",
        "MLFLOW_TRACKING_URI": "http://mlflow",
        "AWS_ACCESS_KEY_ID": "key",
        "no_proxy": "localhost",
    }


def answer(images: list[bytes], seconds: float = 60) -> Answered:
    with Stranger("models:/m-1", seconds) as stranger:
        stranger.ask(images)
        return stranger.answer()


def program(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "program.py"
    file.write_text(text)
    monkeypatch.setattr(elsewhere, "PROGRAM", file)


def test_its_answers_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import json, pathlib, sys
uri, images, answers = sys.argv[1:]
assert sys.stdin.readline() == "go\\n"
found = [file.read_bytes().decode() for file in sorted(pathlib.Path(images).iterdir())]
rows = [[float(text)] for text in found] + [None]
pathlib.Path(answers).write_text(
    json.dumps({"probabilities": rows, "seconds": 1.5, "memory_mb": 20.0})
)
"""
    program(text, tmp_path, monkeypatch)
    answered = answer([b"0.25", b"0.75"])
    assert answered.probabilities == [[0.25], [0.75], None]
    assert (answered.seconds, answered.memory_mb) == (1.5, 20.0)


@pytest.mark.parametrize(
    ("text", "seconds", "message"),
    [
        ("import time; time.sleep(60)", 0.2, "it did not answer within 0.2 s"),
        (
            "import darkroom",
            60,
            "the process ended with 1: ModuleNotFoundError: No module named 'darkroom'",
        ),
        ("pass", 60, "the process ended with 0: nothing"),
        ("import os; os.abort()", 60, "the process ended with -6: nothing"),
    ],
)
def test_what_went_wrong_is_one_line(
    text: str, seconds: float, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(text, tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(Path(elsewhere.__file__).parents[2]))
    with pytest.raises(DarkroomError) as failed:
        answer([b"x"], seconds)
    assert str(failed.value) == message


def test_one_that_is_not_asked_ends_with_its_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    # It waits for nothing but its own end.
    program(
        f"import os, signal; open({str(begun)!r}, 'w').write(str(os.getpid())); signal.pause()",
        tmp_path,
        monkeypatch,
    )
    with Stranger("models:/m-1"):
        pid = int(begun.read_text())
        os.kill(pid, 0)  # It is there.
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
