"""A training's folder lives as long as the process that made it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from darkroom.ml.training.folder import new_training_folder

MAKE = """
import sys
from pathlib import Path
from darkroom.ml.training.folder import new_training_folder
folder = new_training_folder(Path(sys.argv[1]))
(folder / "file").write_text("x")
print(folder)
"""


def test_gone_with_its_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    dead = tmp_path / f"{socket.gethostname()}-{child.pid}-abc"
    elsewhere = tmp_path / f"another.machine-{child.pid}-abc"
    foreign = tmp_path / "notes"
    for folder in (dead, elsewhere, foreign):
        folder.mkdir()
    ours = [new_training_folder(tmp_path) for _ in range(2)]
    assert len(set(ours)) == 2
    assert all(folder.is_dir() for folder in ours)
    assert not dead.exists()
    assert elsewhere.is_dir()
    assert foreign.is_dir()
