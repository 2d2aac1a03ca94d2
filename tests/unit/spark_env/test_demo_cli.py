"""The command line: what it prints, refuses and returns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from demo.__main__ import main
from demo.defects import PLANTED


def run(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_it_says_what_it_made_and_finds_it_again(tmp_path: Path) -> None:
    root = tmp_path / "signs"
    first = run("--output", root, "--images", 10, "--processes", 1)
    assert first.exit_code == 0, first.output
    expected = (
        rf"{root}: 21 files \({len(PLANTED)} planted\) in 10 classes, \d+\.\d MB, \d+\.\d s\n"
    )
    assert re.search(expected, first.output)
    assert all((root / planted.path).is_file() for planted in PLANTED)
    second = run("--output", root, "--images", 10, "--processes", 1)
    assert second.exit_code == 0
    assert f"{root}: already there: 21 files" in second.output


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--images", "9", "images is 9: give at least 10, one per sign class"),
        ("--seed", "-1", "seed is -1: give 0 or more"),
        ("--difficulty", "-0.1", "difficulty is -0.1: give a number from 0 to 3"),
        ("--difficulty", "nan", "difficulty is nan: give a number from 0 to 3"),
    ],
)
def test_values_out_of_range(tmp_path: Path, option: str, value: str, message: str) -> None:
    result = run("--output", tmp_path / "signs", option, value)
    assert result.exit_code == 1
    assert result.output == f"Error: {message}\n"
    assert not (tmp_path / "signs").exists()


def test_a_folder_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    result = run("--output", tmp_path, "--images", 10)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == (
        f"Error: {tmp_path} is not empty and has no .darkroom-demo.json, so the demo did not make "
        "it: name an empty or a new folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    taken = tmp_path / "signs"
    taken.write_text("mine")
    result = run("--output", taken, "--images", 10)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == f"Error: {taken} is a file: name a folder"


def test_a_marker_that_is_not_one(tmp_path: Path) -> None:
    marker = tmp_path / ".darkroom-demo.json"
    marker.write_text("[]")
    result = run("--output", tmp_path, "--images", 10)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith(
        f"Error: {marker} is not a marker of the demo (TypeError("
    )
    assert result.output.endswith("delete the folder or choose another\n")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = run("--output", tmp_path / "file" / "signs", "--images", 10)
    assert result.exit_code == 1
    assert f"Error: cannot write {tmp_path / 'file' / 'signs'}: " in result.output
    assert "Traceback" not in result.output
