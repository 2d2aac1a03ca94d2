"""The set as a whole: counts, determinism, what is written, kept and refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from darkroom.images import decode_rgb
from demo.generate import JPEG_SHARE, class_counts, generate, plan
from demo.marker import MARKER_NAME
from demo.parameters import DemoError, DemoParameters
from demo.photograph import LONG_SIDES, photograph, photograph_random
from demo.signs import SIGN_CLASSES

SMALL = DemoParameters(images=30, seed=3, defects=False)


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "signs"
    generate(root, SMALL, processes=1)
    return root


def contents(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and path.name != MARKER_NAME]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_two_processes_write_the_bytes_that_one_writes(small_set: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", SMALL, processes=2)
    assert contents(tmp_path / "again") == contents(small_set)


def test_another_seed_changes_every_photograph(small_set: Path, tmp_path: Path) -> None:
    generate(tmp_path / "other", DemoParameters(images=30, seed=4, defects=False), processes=1)
    assert not set(contents(tmp_path / "other").values()) & set(contents(small_set).values())


def test_every_class_has_its_folder_and_its_count(small_set: Path) -> None:
    assert {path.name for path in small_set.iterdir() if path.is_dir()} == set(SIGN_CLASSES)
    found = Counter(path.split("/")[0] for path in contents(small_set))
    assert found == class_counts(30)
    assert found.total() == 30


def test_photographs_are_all_different_and_within_the_sizes(small_set: Path) -> None:
    files = contents(small_set)
    assert len(set(files.values())) == 30
    for data in files.values():
        pixels = decode_rgb(data)
        assert LONG_SIDES[0] <= max(pixels.shape[:2]) <= LONG_SIDES[1]
        assert pixels.std() > 2, "a flat picture shows nothing"


def test_extensions_are_true_and_mostly_jpeg(small_set: Path) -> None:
    for path, data in contents(small_set).items():
        assert data.startswith(b"\x89PNG" if path.endswith(".png") else b"\xff\xd8\xff")
    share = np.mean([photo.path.endswith(".jpg") for photo in plan(DemoParameters())])
    assert share == pytest.approx(JPEG_SHARE, abs=0.03)


@pytest.mark.parametrize("images", [10, 11, 37, 1200])
def test_class_counts_add_up_and_are_unequal_but_not_extreme(images: int) -> None:
    counts = class_counts(images)
    assert list(counts) == list(SIGN_CLASSES)
    assert sum(counts.values()) == images
    assert min(counts.values()) >= 1
    if images == 1200:
        assert 1.2 < max(counts.values()) / min(counts.values()) < 2.5


def test_most_photographs_are_small_and_some_large() -> None:
    random = np.random.default_rng(0)
    long_sides = [max(photograph("stop", random, 0.0).size) for _ in range(60)]
    assert np.median(long_sides) < 200
    assert max(long_sides) > 400


def test_difficulty_zero_shows_the_plain_sign() -> None:
    """The middle of a no-entry sign is its white bar, the left and right of it red."""
    for index in range(5):
        image = photograph("no_entry", photograph_random(7, "no_entry", index), 0.0)
        width, height = image.size
        short = min(image.size)
        middle = image.getpixel((width // 2, height // 2))
        below = image.getpixel((width // 2, height // 2 + round(0.3 * short)))
        assert isinstance(middle, tuple)
        assert isinstance(below, tuple)
        assert min(middle) > 180
        assert below[0] > 2 * max(below[1:])


def test_a_second_run_finds_the_set_and_writes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "signs"
    parameters = DemoParameters(images=10, defects=False)
    first = generate(root, parameters, processes=1)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    second = generate(root, parameters, processes=1)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert not first.already_there
    assert (
        str(second) == f"already there: 10 files (0 planted) in 10 classes, {_megabytes(root)} MB"
    )


def _megabytes(root: Path) -> str:
    return f"{sum(map(len, contents(root).values())) / 1e6:.1f}"


@pytest.mark.parametrize("damage", ["delete", "cut"])
def test_a_damaged_set_is_made_whole(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "signs"
    parameters = DemoParameters(images=10, defects=False)
    generate(root, parameters, processes=1)
    whole = contents(root)
    victim = root / sorted(whole)[4]
    if damage == "delete":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-1])
    assert not generate(root, parameters, processes=1).already_there
    assert contents(root) == whole


def test_other_parameters_replace_the_demos_files_and_no_others(tmp_path: Path) -> None:
    root = tmp_path / "signs"
    generate(root, DemoParameters(images=20), processes=1)
    mine = root / "stop" / "my_own.jpg"
    mine.write_bytes(b"mine")
    generate(root, DemoParameters(images=10, seed=1, defects=False), processes=1)
    files = contents(root)
    assert files.pop("stop/my_own.jpg") == b"mine"
    assert set(files) == {p.path for p in plan(DemoParameters(images=10, seed=1, defects=False))}


def test_an_interrupted_run_can_be_repeated(tmp_path: Path) -> None:
    parameters = DemoParameters(images=10, defects=False)

    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "cut", parameters, processes=1, progress=interrupt)
    assert len(contents(tmp_path / "cut")) == 4
    assert not generate(tmp_path / "cut", parameters, processes=1).already_there
    generate(tmp_path / "whole", parameters, processes=1)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_strangers_file_is_never_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "signs"
    generate(root, DemoParameters(images=10, defects=False), processes=1)
    taken = root / "stop" / "planted_truncated.jpg"
    taken.write_bytes(b"mine")
    before = contents(root)
    with pytest.raises(DemoError) as caught:
        generate(root, DemoParameters(images=10), processes=1)
    assert str(caught.value) == (
        f"{taken} was not made by the demo and would be overwritten (1 such): "
        "move it away or name another folder"
    )
    assert contents(root) == before


@pytest.mark.parametrize("listed", ["../outside.jpg", "stop/../../outside.jpg", "/etc/hosts", "a"])
def test_a_marker_cannot_reach_beyond_its_folder(tmp_path: Path, listed: str) -> None:
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"mine")
    root = tmp_path / "signs"
    root.mkdir()
    marker = root / MARKER_NAME
    marker.write_text(json.dumps({"parameters": {}, "files": {listed: 4}}))
    with pytest.raises(DemoError) as caught:
        generate(root, SMALL, processes=1)
    assert str(caught.value) == (
        f"{marker} lists {listed!r}, which is not a file in a class folder: "
        "delete the folder or choose another"
    )
    assert outside.read_bytes() == b"mine"
