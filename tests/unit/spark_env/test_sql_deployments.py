"""Which deployments of the table of functions count."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from darkroom.contract import Workspace
from darkroom.lake import Lake
from darkroom.sql.deployments import Deployment, deployed, newest_of, publish, versions_of
from darkroom.sql.views import view_snapshots


class Table:
    """The table of functions; every deployment comes a second after the one before."""

    def __init__(self, root: Path) -> None:
        self.lake = Lake(Workspace(root))
        self._now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def deploy(self, function: str, version: str, pipeline: str = "p", view: str = "v") -> bool:
        self._now += dt.timedelta(seconds=1)
        return publish(
            self.lake,
            Deployment(
                function=function,
                pipeline=pipeline,
                view=view,
                model_name=pipeline,
                model_version=version,
                model_digest=f"digest {version}",
                model_path=f"models/{version}",
                labels=("stop",),
                deployed_at=self._now,
                run_id="d",
            ),
        )

    def versions(self) -> dict[str, list[str]]:
        found = versions_of(self.lake)
        return {name: [each.model_version for each in found[name]] for name in found}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_a_renamed_function_is_withdrawn_under_its_old_name(table: Table) -> None:
    assert newest_of(table.lake, "p") is None
    table.deploy("old", "1")
    table.deploy("other", "1", pipeline="q", view="w")
    table.deploy("old", "2")
    assert table.versions() == {"old": ["2", "1"], "other": ["1"]}

    assert table.deploy("new", "2")

    assert table.versions() == {"new": ["2"], "other": ["1"]}
    newest = newest_of(table.lake, "p")
    assert newest is not None
    assert (newest.function, newest.model_version) == ("new", "2")


def test_the_old_name_can_come_back(table: Table) -> None:
    table.deploy("old", "1")
    table.deploy("new", "1")

    assert table.deploy("old", "1")
    assert not table.deploy("old", "1")

    assert list(deployed(table.lake)) == ["old"]


def test_another_pipeline_may_take_a_name_that_was_given_up(table: Table) -> None:
    table.deploy("old", "1")
    table.deploy("new", "2")

    table.deploy("old", "7", pipeline="q")

    assert table.versions() == {"new": ["2"], "old": ["7"]}
    assert deployed(table.lake)["old"].pipeline == "q"


def test_a_renamed_view_is_news_though_its_tables_are_the_same(table: Table) -> None:
    table.deploy("f", "1", view="v")
    before = view_snapshots(table.lake)

    table.deploy("f", "1", view="w")

    (shown,) = before.values()
    assert before == {("p", "v"): shown}
    assert view_snapshots(table.lake) == {("p", "w"): shown}
