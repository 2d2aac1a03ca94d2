"""Three models of one pipeline: a person's, a crippled one that is blocked, a better one; and back.

The stack is that of ``make up``; what people do in a browser is done in one.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from darkroom.contract import Stage
from local_stack import credentials
from local_stack.chain import ChainError, Ended
from tests.e2e.browsing import Person, photograph
from tests.e2e.conftest import Place, generate
from tests.integration.airflow_env.viewing import Visitor
from tests.pages import shown
from tests.standing import Up, standing

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PIPELINE = "signs"
IMAGES = 800
OTHER = {"stop": "yield", "yield": "stop"}
"""The two classes that somebody confuses."""

REASONS = ("it reads every sign I know", "it has seen more signs", "back for the test")


@dataclass(frozen=True)
class LabelList:
    """The list of the photographs and what people say is on them."""

    photographs: Path
    file: Path

    def write(self, *, of_five: int, swapped: Collection[str] = ()) -> None:
        """Writes the list.

        Args:
            of_five: How many of each five photographs are on it.
            swapped: Paths whose label says the other class of `OTHER`.
        """
        with self.file.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("path", "label"))
            for folder in sorted(path for path in self.photographs.iterdir() if path.is_dir()):
                for n, file in enumerate(sorted(folder.iterdir())):
                    path = str(file.relative_to(self.file.parent))
                    if n % 5 < of_five:
                        writer.writerow(
                            (path, OTHER[folder.name] if path in swapped else folder.name)
                        )


@dataclass
class Story:
    """A stack that runs, and what its page of all pipelines said from time to time."""

    place: Place
    up: Up
    labels: LabelList
    pages: dict[str, str] = field(default_factory=dict)

    def look(self, when: str) -> str:
        """Keeps the page as it is now; returns its words."""
        self.pages[when] = Visitor(self.up, credentials.DEMO).page()
        return shown(self.pages[when])

    def ledger(self) -> list[tuple[str, str | None, str, str]]:
        """The ledger's copy, oldest row first: action, from, to, why."""
        file = self.up.layout.workspace.ledger(PIPELINE)
        rows = json.loads(file.read_text()) if file.exists() else []
        names = ("action", "from_version", "to_version", "why")
        return [tuple(row[name] for name in names) for row in reversed(rows)]

    def some_to_swap(self) -> set[str]:
        """Paths of 30 % of the photographs of `OTHER` that models are trained on."""
        tables = self.place.tables(PIPELINE)
        trained_on = {image_id for image_id, split in tables["splits"] if split == "train"}
        paths = {
            label: sorted(
                path
                for image_id, path, its in tables["images"]
                if its == label and image_id in trained_on
            )
            for label in OTHER
        }
        return {path for found in paths.values() for n, path in enumerate(found) if n % 10 < 3}


def ignore(task: Ended) -> None:
    del task


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("story")
    labels = LabelList(generate(root / "photographs", IMAGES), root / "labels.csv")
    place = Place(root, labels.photographs)
    place.describe(
        PIPELINE,
        source={"path": str(labels.file)},
        split={"test_share": 0.4},
        gate={"thresholds": {"accuracy": 0.8}},
    )
    labels.write(of_five=3)
    with standing(place.start("up"), place.workspace, place.pipelines, PIPELINE) as up:
        yield Story(place, up, labels)


@pytest.fixture
def person(story: Story, chromium: Browser) -> Iterator[Person]:
    password = credentials.passwords(story.up.layout)[credentials.DEMO]
    person = Person(chromium, story.up.url("Airflow"), credentials.DEMO, password)
    yield person
    person.page.context.close()


@pytest.fixture
def champion(story: Story) -> None:
    """Version 1 is champion, by whatever way it became that."""
    if story.ledger():
        return
    training_run, _ = story.up.chain.train({}, ignore)
    story.up.chain.approve(story.up.asked(training_run), REASONS[0], ignore)


def test_a_person_trains_reads_the_report_and_approves(
    story: Story, person: Person, pictures: Path
) -> None:
    chain = story.up.chain
    assert "No champion and no challenger yet." in story.look("nothing yet")

    person.train(chain.training, folds=2)
    (training_run,) = story.up.client.runs(chain.training)
    assert "Newest training run" in story.look("training")
    chain.follow(chain.training, training_run, ignore)

    report = person.open_report(chain.training, training_run, Stage.EVALUATE)
    assert report.locator(".verdict .word").inner_text() in {"PASS", "INCONCLUSIVE"}
    assert ", 2 folds);" in report.inner_text("main")
    promotion = story.up.asked(training_run)
    assert "Waiting for approval May version 1 of signs" in story.look("first question")
    person.open_required_actions()
    person.page.screenshot(path=pictures / "required actions.png")
    person.open_question("May version 1 of signs become champion?")
    person.page.screenshot(path=pictures / "question.png", full_page=True)
    person.approve(REASONS[0])
    chain.follow(chain.promotion, promotion, ignore)

    said = " ".join(person.open_overview().inner_text("main").split())
    assert "Champion version 1 " in said
    assert f"promote 1 by demo {REASONS[0]}" in said
    story.look("first champion")


def test_a_crippled_candidate_is_blocked_and_a_better_one_takes_over(
    story: Story, champion: None
) -> None:
    chain, first = story.up.chain, ("promote", None, "1", REASONS[0])
    assert story.ledger() == [first]

    story.labels.write(of_five=3, swapped=story.some_to_swap())
    with pytest.raises(ChainError, match=r"^evaluate: FAIL: ") as blocked:
        chain.train({}, ignore)

    why = str(blocked.value).splitlines()[0]
    assert set(OTHER) <= set(re.findall(r"\w+", why))
    said = story.look("blocked")
    assert "failed at evaluate , gate: FAIL FAIL: " in said
    assert set(OTHER) <= set(re.findall(r"\w+", said))
    assert "Champion version 1 " in said
    assert "Challenger" not in said
    assert story.ledger() == [first]

    story.labels.write(of_five=5)
    training_run, _ = chain.train({}, ignore)
    promotion = story.up.asked(training_run)
    assert "May version 2 of signs become champion?" in story.look("asked")
    chain.approve(promotion, REASONS[1], ignore)
    second = ("promote", "1", "2", REASONS[1])
    assert story.ledger() == [first, second]
    assert "Champion version 2 " in story.look("promoted")

    back = story.place.make("rollback", pipeline=PIPELINE, reason=REASONS[2])
    assert (back.returncode, back.stderr) == (0, "")
    assert "signs version 1 is champion again, after version 2; asked for by demo" in " ".join(
        back.stdout.split()
    )
    third = ("rollback", "2", "1", REASONS[2])
    assert story.ledger() == [first, second, third]
    said = story.look("rolled back")
    assert "Champion version 1 " in said
    assert f"rollback 2 → 1 by demo {REASONS[2]}" in said
    rows = {tuple(row) for row in story.place.tables(PIPELINE)["ledger"]}
    assert rows == {("demo", why, to) for why, to in zip(REASONS, ("1", "2", "1"), strict=True)}


def test_every_page_can_be_read_on_a_wide_and_on_a_narrow_screen(
    story: Story, champion: None, chromium: Browser, pictures: Path
) -> None:
    story.look("now")
    page = chromium.new_page()
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    for when, content in story.pages.items():
        page.set_content(content)
        photograph(page, pictures, f"overview {when}")
    reports = story.up.layout.workspace.reports / PIPELINE
    for report in sorted(reports.glob("*/index.html")):
        page.goto(report.as_uri())
        verdict = page.locator(".verdict .word").inner_text()
        photograph(page, pictures, f"report {verdict} {report.parent.name}")
    assert [url for url in loaded if not url.startswith(("data:", "file:"))] == []
    page.close()
