"""Brighter pictures arrive: once drift persists, a training starts by itself and says why.

The stack is that of ``make up``; nobody triggers the second training.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from darkroom.contract import Stage
from local_stack import credentials
from local_stack.chain import Ended
from local_stack.layout import PROJECT
from tests.e2e.browsing import Person, photograph
from tests.e2e.conftest import Place, generate
from tests.integration.airflow_env.viewing import Visitor, run_path
from tests.standing import Up, standing

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PIPELINE = "signs"
SCORING, MONITORING = f"{PIPELINE}_scoring", f"{PIPELINE}_monitoring"
WINDOW = 40
IMAGES = 6 * WINDOW
"""Photographs; each third one is held back at first, which fills two windows later."""

PATIENCE = 60.0


@dataclass(frozen=True)
class Later:
    """Photographs that are taken out of the source, and come back brighter.

    Attributes:
        source: The source's folder.
        folder: Where they are meanwhile.
        paths: Theirs, below either folder.
    """

    source: Path
    folder: Path
    paths: tuple[str, ...]

    @classmethod
    def hold_back(cls, source: Path, folder: Path) -> Later:
        """Takes each third photograph out of the source."""
        found = sorted(source.glob("*/photo_*"))[2::3]
        paths = tuple(str(file.relative_to(source)) for file in found)
        for file, path in zip(found, paths, strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            file.rename(folder / path)
        return cls(source, folder, paths)


@dataclass(frozen=True)
class Story:
    """A stack that runs, and the photographs that are still to come."""

    place: Place
    up: Up
    later: Later

    def deliver(self, number: int) -> None:
        """Lets a window of brighter pictures arrive, which are ingested and scored."""
        paths = self.later.paths[number::2]
        assert len(paths) == WINDOW
        brighten = Path(__file__).with_name("spark_env") / "brighten.py"
        self.place.python(str(brighten), str(self.later.folder), str(self.later.source), *paths)
        file = self.place.pipelines / f"{PIPELINE}.yaml"
        ingest = PROJECT / "spark_jobs" / Stage.INGEST.entrypoint
        self.place.python(str(ingest), "--config", str(file), "--run-id", f"delivery {number}")
        self.run(SCORING)

    def run(self, dag: str) -> tuple[str, Ended]:
        """Triggers a DAG that has one stage; returns the run, and the stage as it ended."""
        ended: list[Ended] = []
        run = self.up.client.trigger(dag, {})
        self.up.chain.follow(dag, run, ended.append)
        (stage,) = ended
        return run, stage

    def trainings(self) -> list[str]:
        """All training runs, newest first."""
        return self.up.client.runs(self.up.chain.training)

    def next_training(self, known: Collection[str]) -> str:
        """Waits for the end of a training that starts by itself; returns the run."""
        deadline = time.monotonic() + PATIENCE
        while not (new := [run for run in self.trainings() if run not in known]):
            assert time.monotonic() < deadline, f"no training started within {PATIENCE:.0f} s"
            time.sleep(0.5)
        (run,) = new
        self.up.chain.follow(self.up.chain.training, run, lambda task: None)
        return run

    def told(self, training: str) -> Mapping[str, Any]:
        """What Airflow tells of a training run."""
        return Visitor(self.up, credentials.VIEWER).read(run_path(self.up.chain.training, training))

    def states(self, dag: str, run: str) -> dict[str, str | None]:
        """The state of each task of a run."""
        return {task.task: task.state for task in self.up.client.tasks(dag, run)}


@dataclass(frozen=True)
class Drifted:
    """A first model, and what became of the brighter pictures.

    Attributes:
        first: The training by hand.
        once: What the monitoring said of the first window.
        quiet: The trainings that had run by then.
        twice: What it said of the second.
        alarmed: The monitoring run that said so.
        training: The training that started by itself, which has ended.
    """

    first: str
    once: Ended
    quiet: tuple[str, ...]
    twice: Ended
    alarmed: str
    training: str


def far_from_now() -> str:
    """A yearly cron expression whose next date is far."""
    return f"0 0 1 {(datetime.now(UTC).month + 5) % 12 + 1} *"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("story")
    place = Place(root, generate(root / "photographs", IMAGES))
    later = Later.hold_back(place.signs, root / "later")
    place.describe(
        PIPELINE,
        schedule=far_from_now(),
        source={"path": str(place.signs)},
        # Drawn signs resemble each other: a late one must not stand between two splits.
        split={"test_share": 0.4, "duplicate_distance": 5},
        tuning={"reg_params": [0.01]},
        gate={"thresholds": {"accuracy": 0.5}},
        monitoring={"window": f"{WINDOW} images", "min_images": WINDOW},
    )
    with standing(place.start("up"), place.workspace, place.pipelines, PIPELINE) as up:
        yield Story(place, up, later)


@pytest.fixture(scope="module")
def drifted(story: Story) -> Drifted:
    """A first model, two windows of brighter pictures after each other, and what follows."""
    first, _ = story.up.chain.train({}, lambda task: None)
    story.up.chain.approve(story.up.asked(first), "it reads every sign", lambda task: None)
    story.deliver(0)
    _, once = story.run(MONITORING)
    quiet = tuple(story.trainings())
    story.deliver(1)
    alarmed, twice = story.run(MONITORING)
    return Drifted(first, once, quiet, twice, alarmed, story.next_training(quiet))


def test_one_window_that_drifts_starts_nothing(story: Story, drifted: Drifted) -> None:
    said = drifted.once.outputs

    assert story.told(drifted.first)["note"] == "by hand: demo"
    assert (said["images"], said["judgement"], said["alarm"]) == (WINDOW, "drift", False)
    assert said["reason"].endswith("; an alarm takes 2 of 3")
    assert drifted.quiet == (drifted.first,)


def test_drift_that_persists_starts_a_training_that_says_why(
    story: Story, drifted: Drifted
) -> None:
    said, training = drifted.twice.outputs, story.up.chain.training
    assert (said["images"], said["alarm"]) == (WINDOW, True)
    assert "brightness" in said["drifted"]
    assert story.states(MONITORING, drifted.alarmed) == {"monitor": "success", "alarm": "success"}

    told = story.told(drifted.training)

    report = f"{story.up.url('Reports')}/{drifted.twice.result['report']}"
    assert told["note"] == f"drift: {said['reason']} ([report]({report}))"
    assert (told["run_type"], told["triggering_user_name"]) == ("asset_triggered", None)
    assert story.up.client.sources(training, drifted.training) == [drifted.alarmed]
    assert "Drift persists" in httpx.get(report).raise_for_status().text
    # It has trained with them, and somebody is asked.
    tables = story.place.tables(PIPELINE)
    assert len(tables["features"]) == len(tables["images"])
    promotion = story.up.chain.promotion_of(drifted.training)
    question = story.up.chain.wait_for_question(promotion)
    assert question is not None
    assert question["subject"] == "May version 2 of signs become champion?"


def test_a_training_without_anything_new_is_skipped_and_says_why(
    story: Story, drifted: Drifted, capsys: pytest.CaptureFixture[str]
) -> None:
    known = story.trainings()

    Visitor(story.up, credentials.ADMIN).create_event(
        f"darkroom://{PIPELINE}/data", {"reason": "the same pictures"}
    )
    run = story.next_training(known)

    told = story.told(run)
    assert (told["note"], told["state"]) == ("new data: the same pictures", "success")
    tasks = story.up.client.tasks(story.up.chain.training, run)
    assert {task.state for task in tasks if task.task != "backbones"} == {"skipped"}
    (ingest,) = [task for task in tasks if task.task == Stage.INGEST]
    why = story.up.client.xcom(story.up.chain.training, run, ingest, "summary")
    assert why.startswith(
        f"nothing new: images and configuration are those of run {drifted.training}, which ended "
        "in evaluate with "
    )
    trained = story.told(drifted.training)["duration"]
    with capsys.disabled():
        sys.stdout.write(
            f"\nnothing new: skipped in {told['duration']:.1f} s, where the training before took "
            f"{trained:.0f} s: {why.partition(';')[0]}\n"
        )


def test_people_see_why(story: Story, drifted: Drifted, chromium: Browser, pictures: Path) -> None:
    password = credentials.passwords(story.up.layout)[credentials.DEMO]
    person = Person(chromium, story.up.url("Airflow"), credentials.DEMO, password)

    note = person.open_note(story.up.chain.training, drifted.training)
    assert drifted.twice.outputs["reason"] in note.inner_text()
    person.page.screenshot(path=pictures / "note.png")
    report = person.open_report(MONITORING, drifted.alarmed, Stage.MONITOR)
    assert report.locator(".verdict .word").inner_text() == "Drift persists"
    photograph(report, pictures, "drift")
    person.page.context.close()
