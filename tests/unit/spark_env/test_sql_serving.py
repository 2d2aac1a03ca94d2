"""Which version a gateway's function answers from: swaps, refusals, new tries."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import DataError, Workspace
from darkroom.lake import Lake
from darkroom.registry.ledger import Ledger
from darkroom.sql import serving
from darkroom.sql.champions import Champions
from darkroom.sql.deployments import Deployment
from darkroom.sql.serving import Functions


class World:
    """Functions of a gateway whose models are checked and registered by this stand-in."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.broken: dict[str, Exception] = {}
        self.checked: list[str] = []
        self.statements: list[str] = []
        session: Any = self
        self.functions = Functions(session, self.workspace, check=self.check)

    def check(self, workspace: Workspace, deployment: Deployment) -> None:
        assert workspace is self.workspace
        self.checked.append(deployment.model_version)
        if error := self.broken.get(deployment.model_version):
            raise error

    def sql(self, statement: str) -> None:
        self.statements.append(statement)

    def follow(self, *versions: str) -> bool:
        return self.functions.follow("f", [deployment(version) for version in versions])

    def status(self) -> tuple[Any, Any]:
        values = self.functions.served["f"].status()
        return values["version"], values["refused"]

    def refusals(self) -> list[tuple[str | None, str | None, str]]:
        rows = Ledger(Lake(self.workspace), "p").refusals()
        return [(row.from_version, row.to_version, row.why) for row in rows]


def deployment(version: str, function: str = "f", pipeline: str = "p") -> Deployment:
    return Deployment(
        function=function,
        pipeline=pipeline,
        view="v",
        model_name="p",
        model_version=version,
        model_digest=f"digest {version}",
        model_path=f"models/{version}",
        labels=("stop",),
        deployed_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        run_id="d",
    )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(serving, "register_function", lambda *arguments: None)
    return World(tmp_path)


def test_a_refused_version_is_tried_again_but_not_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.broken["2"] = DataError("does not load")

    assert world.follow("1")
    assert not world.follow("2", "1")
    assert not world.follow("2", "1")

    assert world.status() == ("1", {"version": "2", "reason": "does not load"})
    assert world.checked == ["1", "2"]
    assert world.refusals() == [("1", "2", "does not load")]
    # What Airflow's page of all pipelines shows.
    (shown,) = json.loads(world.workspace.ledger("p").read_text())
    assert (shown["action"], shown["from_version"], shown["to_version"]) == ("refuse", "1", "2")

    monkeypatch.setattr(serving, "RETRY_SECONDS", 0.0)
    assert not world.follow("2", "1")
    world.broken.clear()
    assert world.follow("2", "1")

    assert world.status() == ("2", None)
    assert world.checked == ["1", "2", "2", "2"]
    assert len(world.refusals()) == 1
    (copied,) = json.loads(world.workspace.ledger("p").read_text())
    assert (copied["action"], copied["who"], copied["to_version"]) == ("refuse", "sql-gateway", "2")


def test_after_a_restart_the_newest_version_that_loads_answers(world: World) -> None:
    world.broken = {"3": DataError("no file"), "2": PermissionError(13, "not yours")}

    assert world.follow("3", "2", "1")
    assert not world.follow("3", "2", "1")

    assert world.status() == ("1", {"version": "3", "reason": "no file"})
    assert world.checked == ["3", "2", "1"]
    assert world.refusals() == [
        (None, "3", "no file"),
        (None, "2", "PermissionError: [Errno 13] not yours"),
    ]


def test_the_refusal_ends_when_the_old_version_is_deployed_again(world: World) -> None:
    world.broken["2"] = DataError("does not load")
    world.follow("1")
    world.follow("2", "1")

    assert not world.follow("1", "2", "1")

    assert world.status() == ("1", None)


def test_a_forgotten_function_goes_with_its_companions(world: World) -> None:
    world.follow("1")

    world.functions.forget("f")

    assert world.functions.served == {}
    assert world.statements == [
        f"DROP TEMPORARY FUNCTION IF EXISTS `{name}`" for name in ("f", "f_detail", "f_top")
    ]


def test_a_renamed_function_ends_once_its_new_name_answers(world: World) -> None:
    champions = Champions(world.functions)
    beside = {"other": [deployment("1", "other", "q")]}
    champions.follow({"f": [deployment("1")], **beside})
    world.broken["2"] = DataError("does not load")

    assert not champions.follow({"g": [deployment("2", "g")], **beside})
    assert sorted(world.functions.served) == ["f", "g", "other"]
    assert world.statements == []

    assert champions.follow({"g": [deployment("3", "g"), deployment("2", "g")], **beside})
    assert sorted(world.functions.served) == ["g", "other"]
    assert world.statements == [
        f"DROP TEMPORARY FUNCTION IF EXISTS `{name}`" for name in ("f", "f_detail", "f_top")
    ]
    assert not champions.follow({"g": [deployment("3", "g"), deployment("2", "g")], **beside})


def test_a_function_renamed_to_its_companion_keeps_that_name(world: World) -> None:
    champions = Champions(world.functions)
    champions.follow({"f": [deployment("1")]})

    champions.follow({"f_top": [deployment("2", "f_top")]})

    assert list(world.functions.served) == ["f_top"]
    assert world.statements == [
        f"DROP TEMPORARY FUNCTION IF EXISTS `{name}`" for name in ("f", "f_detail")
    ]


def test_a_challenger_is_no_function_that_was_renamed(world: World) -> None:
    champions = Champions(world.functions)
    champions.follow({"f": [deployment("1")]})
    world.functions.follow("f_challenger", [deployment("2", "f_challenger")])

    assert not champions.follow({"f": [deployment("1")]})

    assert sorted(world.functions.served) == ["f", "f_challenger"]
