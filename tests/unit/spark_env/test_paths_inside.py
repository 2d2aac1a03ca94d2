"""No path of a manifest leads out of its root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.ingestion.sources.inside import relative_to
from darkroom.ingestion.sources.local import LocalPlace
from tests.unit.spark_env.pictures import write_tree

PARTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "a",
        "b.jpg",
        "%2e%2e",
        "..%2f",
        "\0",
        "out",
        "up",
        "\\..",
        "etc",
        "~",
        "…",
        " ",
    ]
)
HOSTILE = st.builds(
    lambda start, parts: start + "/".join(parts),
    st.sampled_from(["", "/", "//", "./", "../", "file:/", "file:///", "hdfs://x/", "ROOT/"]),
    st.lists(PARTS, max_size=8),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with links that lead out of it, and one that stays inside."""
    world = tmp_path_factory.mktemp("world")
    write_tree(
        world, {"secret/b.jpg": b"s", "b.jpg": b"s", "root/a/b.jpg": b"1", "root2/b.jpg": b"s"}
    )
    inside = world / "root"
    (inside / "out").symlink_to(world / "secret")
    (inside / "up").symlink_to("..")
    (inside / "b.jpg").symlink_to("a/b.jpg")
    (inside / "leak.jpg").symlink_to(world / "b.jpg")
    return inside


@settings(max_examples=500)
@given(HOSTILE | st.text(max_size=40))
def test_whatever_is_found_lies_below_the_root(root: Path, path: str) -> None:
    path = path.replace("ROOT", str(root))
    try:
        path.encode()
    except UnicodeEncodeError:
        return
    found = LocalPlace(str(root)).resolve(path)
    if found.refused:
        assert (found.location, found.entry) == (None, None)
        return
    assert ".." not in Path(found.path).parts
    assert not found.path.startswith("/")
    if found.entry:
        assert found.location is not None
        assert os.path.realpath(found.location).startswith(f"{root.resolve()}/")


@settings(max_examples=300)
@given(HOSTILE | st.text(max_size=40), st.sampled_from(["/data/root", "hdfs://n/data/root"]))
def test_the_text_alone_decides_the_same(path: str, base: str) -> None:
    inside = relative_to(base, path.replace("ROOT", base))
    if inside is not None:
        whole = os.path.normpath(f"/r/{inside}")
        assert whole.startswith("/r/")
        assert whole == f"/r/{inside}"


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("../b.jpg", "it leads out of {root}"),
        ("a/../../b.jpg", "it leads out of {root}"),
        ("/etc/passwd", "it leads out of {root}"),
        ("{root}2/b.jpg", "it leads out of {root}"),
        ("file:///etc/passwd", "it leads out of {root}"),
        ("a/\0.jpg", "it leads out of {root}"),
        ("", "it leads out of {root}"),
        ("out/b.jpg", "a link leads out of {root}"),
        ("leak.jpg", "a link leads out of {root}"),
        ("up/b.jpg", "a link leads out of {root}"),
    ],
)
def test_what_leads_out_is_refused_with_its_reason(root: Path, path: str, refused: str) -> None:
    found = LocalPlace(str(root)).resolve(path.format(root=root))
    assert found.refused == refused.format(root=root)


@pytest.mark.parametrize(
    "path", ["a/b.jpg", "./a//b.jpg", "b.jpg", "{root}/a/b.jpg", "up/root/a/b.jpg"]
)
def test_what_stays_inside_is_found(root: Path, path: str) -> None:
    found = LocalPlace(str(root)).resolve(path.format(root=root))
    assert found.refused is None
    assert found.location == str(root / "a/b.jpg")
    assert found.entry is not None
    assert found.entry.length == 1


def test_percent_signs_are_part_of_a_name(root: Path) -> None:
    found = LocalPlace(str(root)).resolve("%2e%2e/b.jpg")
    assert (found.refused, found.entry) == (None, None)
