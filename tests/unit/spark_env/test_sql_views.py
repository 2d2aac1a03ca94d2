"""Which views a gateway keeps while tables and mappings change."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from darkroom.contract import DataError, ViewConfig, Workspace
from darkroom.sql import views
from darkroom.sql.views import Views

FOLDER = ViewConfig(path="/photographs")


class World:
    """Views of a gateway; this stand-in makes them, and is the session that drops them."""

    def __init__(self, root: Path) -> None:
        self.own: tuple[str, ...] = ()
        self.mapped: dict[str, ViewConfig] = {}
        self.made: list[str] = []
        self.dropped: list[str] = []
        self.catalog = SimpleNamespace(dropTempView=self.dropped.append)
        session: Any = self
        self.views = Views(session, Workspace(root), lambda: self.mapped)

    def make(self, spark: object, name: str, view: ViewConfig) -> None:
        if view.path == "/nowhere":
            raise DataError(f"view {name}: /nowhere cannot be read: it is not there")
        self.made.append(name)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(views, "view_snapshots", lambda lake: made.own)
    monkeypatch.setattr(views, "create_views", lambda spark, workspace: made.own)
    monkeypatch.setattr(views, "create_mapped_view", made.make)
    return made


def test_a_mapped_view_and_its_problem_go_when_the_file_drops_them(world: World) -> None:
    world.mapped = {"holiday": FOLDER, "lost": ViewConfig(path="/nowhere")}

    assert world.views.follow()
    assert not world.views.follow()

    assert world.views.names == ("holiday",)
    assert world.views.problems == {"lost": "view lost: /nowhere cannot be read: it is not there"}
    assert world.made == ["holiday"]

    world.mapped = {}
    assert world.views.follow()

    assert list(world.views.names) == []
    assert world.views.problems == {}
    assert world.dropped == ["holiday"]


def test_a_path_is_listed_again_now_and_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.mapped = {"holiday": FOLDER}
    world.views.follow()
    monkeypatch.setattr(views, "MAPPED_SECONDS", 0.0)

    assert not world.views.follow()

    assert world.made == ["holiday"] * 2


def test_a_pipelines_own_view_comes_before_a_mapped_one_of_its_name(world: World) -> None:
    world.mapped = {"seen": FOLDER}
    world.views.follow()
    world.own = ("seen",)

    assert world.views.follow()

    assert world.views.names == ("seen",)
    assert (world.made, world.dropped) == (["seen"], [])


def test_a_renamed_view_goes_and_leaves_its_name_to_a_mapped_one(world: World) -> None:
    world.own = ("seen",)
    world.mapped = {"seen": FOLDER}
    world.views.follow()
    world.own = ("looked",)

    assert world.views.follow()

    assert world.views.names == ("looked", "seen")
    assert (world.dropped, world.made) == (["seen"], ["seen"])
