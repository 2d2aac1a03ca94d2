from pathlib import Path

import pytest

from darkroom.contract import DarkroomError
from darkroom_airflow.pipelines import load_pipelines
from tests.unit.airflow_env.conftest import PIPELINE


def test_a_folder_gives_its_pipelines_by_name(pipelines: Path) -> None:
    (pipelines / "cats.yaml").write_text(PIPELINE.replace("signs", "cats"))
    (pipelines / "notes.txt").write_text("no pipeline")

    found = load_pipelines()

    assert [p.name for p in found.valid] == ["cats", "signs"]
    assert found.problems == ()
    assert found.valid[1].challenger.uri == "darkroom://signs/challenger"
    found.check()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            PIPELINE.replace("embedded", "ResNet5O"),
            "broken.yaml: features.backbones = 'ResNet5O': unknown backbone, did you mean ResNet50",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken") + "schedule: weekly\n",
            "broken.yaml: schedule = 'weekly': give a cron expression such as '0 4 * * 0', or null",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken")
            + "maintenance: {schedule: '61 4 * * 0'}\n",
            "broken.yaml: maintenance.schedule = '61 4 * * 0': give a cron expression such as",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken") + "monitoring: {schedule: daily}\n",
            "broken.yaml: monitoring.schedule = 'daily': give a cron expression such as",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken") + "watch: {schedule: hourly}\n",
            "broken.yaml: watch.schedule = 'hourly': give a cron expression such as '0 4 * * 0'",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken") + "scoring: {schedule: nightly}\n",
            "broken.yaml: scoring.schedule = 'nightly': give a cron expression such as '0 4 * * 0'",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken") + "scoring: {shadow_images: 0}\n",
            "broken.yaml: scoring.shadow_images = 0: must be at least 1",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken") + "retrain: {on_drift: weekly}\n",
            "broken.yaml: retrain.on_drift = 'weekly': give true or false",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken") + "maintenance: {keep_days: 0}\n",
            "broken.yaml: maintenance.keep_days = 0: must be at least 1",
        ),
        ("name: [", "broken.yaml: file = 'broken.yaml': not valid YAML: while parsing"),
        ("", "broken.yaml: PipelineConfig = None: give a mapping of fields"),
        (
            PIPELINE.replace("signs", "other"),
            "broken.yaml: name = 'other': must be the file's name: write broken, or rename",
        ),
        (
            PIPELINE.replace("name: signs", "name: broken").replace("accuracy: 0.85", "acuracy: 1"),
            "broken.yaml: gate.thresholds = 'acuracy': no such metric, did you mean accuracy",
        ),
    ],
)
def test_a_broken_file_is_named_and_hides_no_other(
    pipelines: Path, text: str, problem: str
) -> None:
    (pipelines / "broken.yaml").write_text(text)

    found = load_pipelines()

    assert [p.name for p in found.valid] == ["signs"]
    assert [line[: len(problem)] for line in found.problems] == [problem]
    assert "\n" not in found.problems[0]
    with pytest.raises(DarkroomError, match=r"^broken\.yaml: "):
        found.check()


def test_two_pipelines_with_one_function_are_both_refused_and_a_third_is_not(
    pipelines: Path,
) -> None:
    clash = PIPELINE.replace("name: signs", "name: copy").replace("signs_imgs", "copy_imgs")
    (pipelines / "copy.yaml").write_text(clash)
    (pipelines / "cats.yaml").write_text(PIPELINE.replace("signs", "cats"))

    found = load_pipelines()

    assert [p.name for p in found.valid] == ["cats"]
    assert found.problems == (
        "copy.yaml, signs.yaml: function = 'recognize_signs': used by 2 pipelines (copy, signs): "
        "rename one",
    )
