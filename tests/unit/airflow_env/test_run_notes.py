"""Why a training run runs: what Airflow's own scheduler writes into its database."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import settings
from airflow.assets.manager import asset_manager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.listeners.listener import get_listener_manager
from airflow.models import import_all_models
from airflow.models.asset import AssetModel
from airflow.models.base import Base
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.db import synchronize_log_template
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import prohibit_commit
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import Update, select, update

from darkroom_airflow import run_notes
from darkroom_airflow.pipelines import PROJECT
from darkroom_airflow.plugin import DarkroomPlugin
from tests.unit.airflow_env.conftest import PIPELINE

TRAINING = "signs_training"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Scheduler:
    """Airflow's scheduler, step by step, on a database with the DAGs of one pipeline."""

    def __init__(self) -> None:
        self.runner = SchedulerJobRunner(job=Job(), executors=[])  # type: ignore[no-untyped-call]

    def event(self, name: str, **extra: str) -> None:
        with create_session() as session:
            wanted = select(AssetModel).where(AssetModel.uri == f"darkroom://signs/{name}")
            asset = session.scalars(wanted).one()
            assert asset_manager.register_asset_change(asset=asset, extra=extra, session=session)

    def trigger(self, run_type: DagRunType, note: str | None = None, **more: Any) -> None:
        with create_session() as session:
            dag = SerializedDagModel.get_dag(TRAINING, session=session)
            assert dag is not None
            run = dag.create_dagrun(
                run_id=f"{run_type}__{uuid.uuid4()}",
                run_after=NOW,
                run_type=run_type,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.QUEUED,
                session=session,
                **more,
            )
            if note:
                run.note = note

    def start(self) -> str:
        """Lets the scheduler start what is due; returns the note of the one run, and ends it."""
        deadline = time.monotonic() + 60
        # SQLite's clock has whole seconds: a run is due when the next one has begun.
        while (note := self._pass()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return note

    def _pass(self) -> str | None:
        with create_session() as session, prohibit_commit(session) as guard:  # type: ignore[no-untyped-call]
            self.runner._create_dagruns_for_dags(guard, session)
            self.runner._start_queued_dagruns(session)
            guard.commit()
        with create_session() as session:
            running = select(DagRun).where(DagRun.state == DagRunState.RUNNING)
            run = session.scalars(running).one_or_none()
            if run is None:
                return None
            run.state = DagRunState.SUCCESS
            # While a run is active the scheduler starts no other; its end takes this back.
            session.execute(_training(exceeds_max_non_backfill=False))
            return str(run.note)


def _training(**values: Any) -> Update:
    return update(DagModel).where(DagModel.dag_id == TRAINING).values(**values)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    folder = tmp_path_factory.mktemp("pipelines")
    (folder / "signs.yaml").write_text(PIPELINE)
    import_all_models()  # type: ignore[no-untyped-call]
    settings.configure_orm()  # type: ignore[no-untyped-call]
    assert settings.engine is not None
    Base.metadata.create_all(settings.engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_PIPELINES", str(folder))
        bag = DagBag(PROJECT / "dags", bundle_name="dags")
    synchronize_log_template()
    with create_session() as session:
        session.add(DagBundleModel(name="dags"))
    with create_session() as session:
        sync_bag_to_db(bag, "dags", None, session=session)
        session.execute(_training(is_paused=False))
    manager = get_listener_manager()
    for listener in DarkroomPlugin.listeners:
        manager.add_listener(listener)  # type: ignore[no-untyped-call]
    yield Scheduler()
    manager.clear()  # type: ignore[no-untyped-call]
    Base.metadata.drop_all(settings.engine)


def test_drift_starts_a_run_whose_note_says_why(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_FILES_URL", "http://files")

    scheduler.event("drift", reason="brightness\nis 40 lower", report="reports/signs/drift 1.html")

    assert scheduler.start() == (
        "drift: brightness is 40 lower ([report](http://files/reports/signs/drift%201.html))"
    )


def test_all_that_came_together_is_in_one_note(scheduler: Scheduler) -> None:
    scheduler.event("data", reason="2,400 night pictures")
    scheduler.event("data")
    scheduler.event("drift", reason="x" * 2000)

    assert scheduler.start() == f"new data: 2,400 night pictures; new data; drift: {'x' * 300}"


@pytest.mark.parametrize(
    ("run_type", "more", "note"),
    [
        (DagRunType.SCHEDULED, {}, "schedule"),
        (DagRunType.BACKFILL_JOB, {}, "backfill"),
        (DagRunType.MANUAL, {"triggering_user_name": "kim"}, "by hand: kim"),
        (DagRunType.MANUAL, {}, "by hand"),
    ],
)
def test_other_runs_say_who_or_what_started_them(
    scheduler: Scheduler, run_type: DagRunType, more: dict[str, str], note: str
) -> None:
    scheduler.trigger(run_type, **more)

    assert scheduler.start() == note


def test_a_note_that_somebody_wrote_stays(scheduler: Scheduler) -> None:
    scheduler.trigger(DagRunType.MANUAL, note="for the audit")

    assert scheduler.start() == "for the audit"


def test_a_note_fits_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    asset = SimpleNamespace(uri="darkroom://signs/data")
    events = [SimpleNamespace(asset=asset, extra={"reason": f"{n} " * 300}) for n in range(9)]
    run: Any = SimpleNamespace(run_type="asset_triggered", consumed_asset_events=events)

    assert len(run_notes.why(run)) == 1000


@pytest.mark.parametrize("dag", [None, SimpleNamespace(tags={"training", "cats"})])
def test_runs_of_other_peoples_dags_get_no_note(dag: Any) -> None:
    run: Any = SimpleNamespace(dag_id=TRAINING, dag=dag, note=None, run_type="manual")

    run_notes.on_dag_run_running(run, "started")

    assert run.note is None
