"""The stage shadow: a waiting version beside the deployed one, with a real registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from darkroom.contract import (
    Disagreement,
    MissingInputError,
    ScoringConfig,
    ShadowComparison,
    StageResult,
)
from darkroom.contract import columns as c
from darkroom.sql import create_views
from darkroom.stages import score as score_stage
from darkroom.stages.run import StageRun
from darkroom.stages.score import score
from darkroom.stages.shadow import inputs, nothing_to_do, shadow, still_there
from tests.integration.spark_env.colour_model import config, picture
from tests.integration.spark_env.sql_house import House

pytest_plugins = ("tests.integration.spark_env.mlflow_server",)
pytestmark = pytest.mark.integration

IMAGES = {
    "red.png": picture("red", "PNG"),
    "green.png": picture("green", "PNG"),
    "blue.png": picture("blue", "PNG"),
}
RED_FOR_GREEN = ("green", "red", "blue")
COUNTS = ("scored", "compared", "differing")


class Shadowed(House):
    """A pipeline whose runs are counted."""

    runs = 0

    def next(self, **options: str) -> StageRun:
        self.runs += 1
        folder = self.workspace.run(self.config.name, f"run {self.runs}")
        return StageRun(folder=folder, options=options)

    def score(self) -> StageResult:
        return score(self.spark, self.config, self.workspace, self.next(**score_stage.OPTIONS))

    def shadow(self) -> StageResult:
        return shadow(self.spark, self.config, self.workspace, self.next())

    def key(self) -> Any:
        return inputs(self.config, self.workspace, self.next())

    def idle(self) -> str | None:
        found = nothing_to_do(self.config, self.workspace, self.next())
        return found.summary if found else None

    def versions(self, view: str) -> dict[str, int]:
        found = self.ask(f"SELECT model_version, count(*) FROM {view} GROUP BY 1")
        return {row[0]: row[1] for row in found}


@pytest.fixture
def house(spark: SparkSession, mlflow_server: str, mlflow_uri: str, tmp_path: Path) -> Shadowed:
    del mlflow_uri
    made = Shadowed(spark, tmp_path, mlflow_server, config("shadowed"))
    made.add_images(IMAGES)
    return made


def counts(result: StageResult) -> tuple[int, ...]:
    return tuple(result.outputs[name] for name in COUNTS)


def test_a_waiting_version_answers_the_newest_images_and_never_as_the_deployed_one(
    house: Shadowed,
) -> None:
    assert house.idle() == "nothing to compare: function shadowed_function is not deployed"
    with pytest.raises(MissingInputError, match="no two versions of shadowed any more"):
        house.shadow()

    house.crown(1)
    house.deploy()
    house.add_images({"broken.png": b"no picture"})
    house.score()
    house.client.delete_registered_model_alias("shadowed", "challenger")
    assert house.idle() == "nothing to compare: no version of shadowed waits for approval"

    digest = house.challenge(2, RED_FOR_GREEN).digest
    assert house.idle() is None
    first = house.shadow()

    # Neither version could use the broken one.
    assert counts(first) == (4, 3, 2)
    assert first.summary == (
        "version 2 disagrees with version 1 on 2 of 3 images: 66.7 % (95% interval 20.8 % to "
        "93.9 %); 4 of them answered now"
    )
    found = ShadowComparison.from_json(house.workspace.shadow("shadowed").read_text())
    assert (found.challenger, found.challenger_digest) == ("2", digest)
    assert set(found.examples) == {
        Disagreement(path="red.png", champion="red", challenger="green"),
        Disagreement(path="green.png", champion="green", challenger="red"),
    }
    assert first.report == found.page == "reports/shadowed/shadow/version-2.html"
    page = (house.workspace.root / "reports/shadowed/shadow/version-2.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 2

    create_views(house.spark, house.workspace)
    assert house.versions("shadowed_predictions") == {"1": 4}
    assert house.versions("shadowed_shadow_predictions") == {"2": 4}

    same = house.key()
    again = house.shadow()
    assert counts(again) == (0, 3, 2)
    assert house.key() == same
    assert still_there(again, house.config, house.workspace)

    house.add_images({"sky.png": picture("blue", "PNG", 40)})
    assert house.score().outputs["scored"] == 1
    assert counts(house.shadow()) == (1, 4, 2)

    # The newest predictions alone: the one of the run before.
    house.config = replace(house.config, scoring=ScoringConfig(shadow=True, shadow_images=1))
    assert counts(house.shadow()) == (0, 1, 0)
    other = replace(again, outputs={"champion": "0", "challenger": "2"})
    assert not still_there(other, house.config, house.workspace)
    house.workspace.shadow("shadowed").write_text("{")
    assert not still_there(again, house.config, house.workspace)
    assert house.lake.row_count("shadowed", c.PREDICTIONS) == 5
