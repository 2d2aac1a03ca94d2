"""The DAGs as Airflow reads them."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from darkroom.contract import Stage
from darkroom_airflow.operators.approval import APPROVED
from darkroom_airflow.pipelines import PROJECT
from tests.unit.airflow_env.conftest import PIPELINE
from tests.unit.airflow_env.test_schedules import starts_of

DAGS = PROJECT / "dags"


@pytest.fixture
def bag(pipelines: Path) -> DagBag:
    return DagBag(DAGS)


@pytest.fixture
def training(bag: DagBag) -> DAG:
    assert bag.import_errors == {}
    return bag.dags["signs_training"]


@pytest.fixture
def promotion(bag: DagBag) -> DAG:
    return bag.dags["signs_promotion"]


def edges(dag: DAG) -> set[tuple[str, str]]:
    return {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}


def test_every_pipeline_has_all_dags(pipelines: Path) -> None:
    (pipelines / "cats.yaml").write_text(PIPELINE.replace("signs", "cats"))

    bag = DagBag(DAGS)

    assert bag.import_errors == {}
    kinds = (
        "training",
        "promotion",
        "scoring",
        "monitoring",
        "rollback",
        "watch",
        "maintenance",
    )
    assert set(bag.dags) == {f"{name}_{kind}" for name in ("cats", "signs") for kind in kinds}


def test_training_is_one_chain_with_a_featurize_task_per_backbone(training: DAG) -> None:
    assert edges(training) == {
        ("ingest", "validate"),
        ("validate", "featurize"),
        ("backbones", "featurize"),
        ("featurize", "tune"),
        ("tune", "evaluate"),
        ("evaluate", "register"),
    }
    assert training.get_task("featurize").is_mapped


def test_training_is_safe_to_schedule(training: DAG) -> None:
    assert training.max_active_runs == 1
    assert training.catchup is False
    assert training.tags == {"signs", "training"}
    for task in training.tasks:
        assert task.owner == "darkroom"
        assert task.retries == 2
        assert task.execution_timeout == timedelta(hours=2)


def test_the_tasks_belong_to_the_files_owner(pipelines: Path) -> None:
    (pipelines / "signs.yaml").write_text(PIPELINE + "owner: vision\n")

    dag = DagBag(DAGS).dags["signs_training"]

    assert {task.owner for task in dag.tasks} == {"vision"}


def test_promotion_asks_first_and_starts_by_the_challenger_alone(promotion: DAG) -> None:
    assert edges(promotion) == {("approve", "promote"), ("promote", "deploy")}
    condition: Any = promotion.timetable.asset_condition
    assert [asset.uri for asset in condition.objects] == ["darkroom://signs/challenger"]
    approve: Any = promotion.get_task("approve")
    promote: Any = promotion.get_task("promote")
    assert approve.defaults == ["Reject"]
    assert approve.response_timeout == timedelta(hours=72)
    assert approve.ignore_downstream_trigger_rules
    assert set(promote.options) == set(APPROVED)


@pytest.mark.parametrize(
    ("group", "cron", "assets"),
    [
        ("", None, []),
        ("scoring: {schedule: '0 4 * * *'}", "0 4 * * *", []),
        ("scoring: {after_deploy: true}", None, ["darkroom://signs/deployed"]),
        (
            "scoring: {schedule: '0 4 * * *', after_deploy: true}",
            "0 4 * * *",
            ["darkroom://signs/deployed"],
        ),
    ],
)
def test_scoring_starts_as_the_file_says(
    pipelines: Path, group: str, cron: str | None, assets: list[str]
) -> None:
    (pipelines / "signs.yaml").write_text(f"{PIPELINE}{group}\n")

    bag = DagBag(DAGS)

    assert starts_of(bag.dags["signs_scoring"].timetable) == (cron, assets)
    deploy: Any = bag.dags["signs_promotion"].get_task("deploy")
    assert [asset.uri for asset in deploy.outlets] == ["darkroom://signs/deployed"]


def test_scoring_is_safe_to_schedule(bag: DagBag) -> None:
    dag = bag.dags["signs_scoring"]
    score: Any = dag.get_task("score")

    assert (dag.max_active_runs, dag.catchup, score.retries) == (1, False, 2)
    assert dag.tags == {"signs", "scoring"}
    assert {name: dag.params.get_param(name).resolve() for name in dag.params} == {
        "backfill": False,
        "force": False,
    }
    assert "signs_predictions" in (dag.doc_md or "")


SHADOW = PIPELINE + "scoring: {shadow: true}\n"


def test_a_waiting_version_answers_in_shadow_before_people_are_asked(pipelines: Path) -> None:
    (pipelines / "signs.yaml").write_text(SHADOW + "approval: {policy: two_person}\n")

    bag = DagBag(DAGS)

    promotion, scoring = bag.dags["signs_promotion"], bag.dags["signs_scoring"]
    assert edges(promotion) == {
        ("shadow", "approve"),
        ("approve", "approve_2"),
        ("approve_2", "promote"),
        ("promote", "deploy"),
    }
    assert edges(scoring) == {("score", "shadow")}
    # People are asked whatever the shadow came to, and not once more when they have said no.
    rules = {task.task_id: task.trigger_rule for task in promotion.tasks}
    assert (rules["approve"], rules["approve_2"]) == ("all_done", "all_success")
    assert scoring.get_task("shadow").trigger_rule == "none_failed"


@pytest.mark.parametrize(
    ("group", "cron", "span"),
    [
        ("", None, "7 days"),
        (
            "monitoring: {schedule: '0 6 * * 1', window: 500 images, alarm_after: 1}",
            "0 6 * * 1",
            "500 images",
        ),
    ],
)
def test_monitoring_is_as_the_file_says(
    pipelines: Path, group: str, cron: str | None, span: str
) -> None:
    (pipelines / "signs.yaml").write_text(f"{PIPELINE}{group}\n")

    dag = DagBag(DAGS).dags["signs_monitoring"]

    assert getattr(dag.timetable, "expression", None) == cron
    assert span in (dag.doc_md or "")
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.tags == {"signs", "monitoring"}


def test_an_alarm_updates_the_asset_of_drift(bag: DagBag) -> None:
    dag = bag.dags["signs_monitoring"]
    monitor, alarm = (dag.get_task(name) for name in ("monitor", "alarm"))

    assert edges(dag) == {("monitor", "alarm")}
    assert monitor.outlets == []
    assert [asset.uri for asset in alarm.outlets] == ["darkroom://signs/drift"]
    assert {name: dag.params.get_param(name).resolve() for name in dag.params} == {
        "unfinished": False,
        "force": False,
    }


def test_two_people_are_asked_one_after_the_other(pipelines: Path) -> None:
    (pipelines / "signs.yaml").write_text(PIPELINE + "approval: {policy: two_person}\n")

    dag = DagBag(DAGS).dags["signs_promotion"]

    assert edges(dag) == {("approve", "approve_2"), ("approve_2", "promote"), ("promote", "deploy")}
    promote: Any = dag.get_task("promote")
    assert {option.operator.task_id for option in promote.options.values()} == {"approve_2"}


def test_rollback_deploys_what_its_form_names(bag: DagBag) -> None:
    dag = bag.dags["signs_rollback"]

    assert edges(dag) == {("rollback", "deploy")}
    assert dag.schedule is None
    assert dag.max_active_runs == 1
    rollback: Any = dag.get_task("rollback")
    assert rollback.options == {
        "version": "{{ params.version or '' }}",
        "requested_by": "{{ dag_run.triggering_user_name or '' }}",
        "reason": "{{ params.reason }}",
    }


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("version", None, "two"),
        ("version", "12", "1.0"),
        ("reason", "wrong at night", " "),
        ("reason", "wrong at night", None),
    ],
)
def test_the_form_of_a_rollback_wants_a_reason(
    bag: DagBag, field: str, good: object, bad: object
) -> None:
    param = bag.dags["signs_rollback"].params.get_param(field)

    if field == "reason":
        with pytest.raises(ParamValidationError, match="no default value"):
            param.resolve()
    assert param.resolve(good) == good
    with pytest.raises(ParamValidationError):
        param.resolve(bad)


def test_the_champion_is_watched_every_hour_or_as_the_file_says(pipelines: Path) -> None:
    by_default = DagBag(DAGS).dags["signs_watch"]
    (pipelines / "signs.yaml").write_text(PIPELINE + "watch: {schedule: null, revert: true}\n")
    by_file = DagBag(DAGS).dags["signs_watch"]

    timetable: Any = by_default.timetable
    assert timetable.expression == "0 * * * *"
    assert by_default.max_active_runs == 1
    assert {task.task_id for task in by_default.tasks} == {"watch"}
    assert by_file.schedule is None
    assert "puts it back" in (by_file.doc_md or "")


def test_the_reason_has_a_default_that_fits_its_schema(promotion: DAG) -> None:
    approve: Any = promotion.get_task("approve")
    reason = approve.params.get_param("reason")

    assert reason.resolve() is None
    assert reason.resolve("seen the report") == "seen the report"
    with pytest.raises(ParamValidationError):
        reason.resolve(7)


def test_every_dag_and_task_has_a_page(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert "Recognises signs" in (dag.doc_md or "")
        for task in dag.tasks:
            assert len(task.doc_md or "") > 40, task.task_id


def test_every_dag_survives_serialization(bag: DagBag) -> None:
    for dag in bag.dags.values():
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert {t.task_id for t in again.tasks} == {t.task_id for t in dag.tasks}
        assert {t.doc_md for t in again.tasks} == {t.doc_md for t in dag.tasks}


def test_the_form_starts_with_what_the_file_says(training: DAG) -> None:
    values = {name: training.params.get_param(name).resolve() for name in training.params}

    assert values == {
        "source": "photographs",
        "backbones": ["embedded", "MobileNetV2"],
        "folds": 3,
        "force": False,
    }
    for name in training.params:
        field: Param = training.params.get_param(name)
        assert field.schema["title"]
        assert field.description


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("source", "/data/photographs", ""),
        ("source", "photographs", None),
        ("backbones", ["ResNet50"], []),
        ("backbones", ["models/own.keras"], ["ResNet5O"]),
        ("backbones", ["embedded"], ["embedded", "embedded"]),
        ("backbones", ["embedded"], "embedded"),
        ("folds", 5, 1),
        ("folds", 2, 2.5),
        ("force", True, "yes"),
    ],
)
def test_the_form_refuses_what_no_run_could_use(
    training: DAG, field: str, good: object, bad: object
) -> None:
    param = training.params.get_param(field)

    assert param.resolve(good) == good
    with pytest.raises(ParamValidationError):
        param.resolve(bad)


def test_a_broken_pipeline_is_an_import_error_and_the_others_stay(pipelines: Path) -> None:
    (pipelines / "bad.yaml").write_text(PIPELINE.replace("signs", "bad").replace("0.85", "85"))

    bag = DagBag(DAGS)

    (error,) = bag.import_errors.values()
    assert "bad.yaml: gate.thresholds.accuracy = 85.0: must lie between 0 and 1" in error
    assert {dag.partition("_")[0] for dag in bag.dags} == {"signs"}


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda file: file.name)
def test_a_dag_file_reads_like_a_table_of_contents(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 60


def test_dags_and_plugins_import_without_any_library_of_the_spark_side(pipelines: Path) -> None:
    script = Path(__file__).with_name("import_without_spark.py")

    done = subprocess.run(
        [sys.executable, str(script), str(PROJECT)],
        env={**os.environ, "PYTHONPATH": f"{PROJECT}/spark_jobs:{PROJECT}/plugins"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    modules = len(list((PROJECT / "plugins").rglob("*.py")))
    assert done.stdout.splitlines()[-1] == f"7 DAGs, 8 DAG files, {modules} plugin modules"


def test_every_stage_of_the_dags_has_a_page_of_its_own(pipelines: Path) -> None:
    (pipelines / "signs.yaml").write_text(SHADOW)
    bag = DagBag(DAGS)

    pages = {t.task_id: t.doc_md for d in bag.dags.values() for t in d.tasks}

    assert {*Stage} <= set(pages)
    assert len(set(pages.values())) == len(pages)
