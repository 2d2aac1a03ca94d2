"""Which commit and lock a model is said to be made of, in real repositories."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from darkroom.registry.provenance import Provenance, provenance

CODE = Path("spark_jobs/darkroom/registry/provenance.py")
LOCK = b"numpy==2.0.0 \\\n    --hash=sha256:00\n"
LOCKED = hashlib.sha256(LOCK).hexdigest()


def git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *names, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the code and the lock, in no repository."""
    folder = tmp_path / "project"
    (folder / CODE).parent.mkdir(parents=True)
    (folder / CODE).write_text("1\n")
    (folder / "requirements").mkdir()
    (folder / "requirements" / "spark.txt").write_bytes(LOCK)
    return folder


def commit(folder: Path) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


def test_a_clean_repository_is_its_commit(project: Path) -> None:
    head = commit(project)

    assert len(head) == 40
    assert provenance(project) == Provenance(git_commit=head, lock_digest=LOCKED)


def test_a_changed_file_is_said_and_a_new_one_is_not(project: Path) -> None:
    head = commit(project)
    (project / "notes").write_text("untracked\n")
    assert provenance(project).git_commit == head

    (project / CODE).write_text("2\n")

    assert provenance(project).git_commit == f"{head}-dirty"


def test_a_tag_does_not_stand_for_the_commit(project: Path) -> None:
    head = commit(project)
    git(project, "tag", "-a", "v1", "-m", "v1")

    assert provenance(project).git_commit == head


def test_without_a_repository_or_a_lock_nothing_is_known(project: Path) -> None:
    (project / "requirements" / "spark.txt").unlink()

    assert provenance(project) == Provenance(git_commit="unknown", lock_digest="unknown")


def test_a_repository_around_the_project_is_not_the_codes(project: Path) -> None:
    (project.parent / "other").write_text("1\n")
    git(project.parent, "init", "--quiet")
    git(project.parent, "add", "other")
    git(project.parent, "commit", "--quiet", "-m", "first")

    assert provenance(project).git_commit == "unknown"


def test_without_git_nothing_is_known(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(project)
    monkeypatch.setenv("PATH", str(project))

    assert provenance(project).git_commit == "unknown"


def test_another_repository_in_the_environment_is_not_asked(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(project)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))

    assert provenance(project).git_commit == head
