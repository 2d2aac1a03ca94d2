"""The page's application with Airflow's database, and users who may not read everything."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow import settings
from airflow.api_fastapi.app import create_auth_manager, purge_cached_app
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from fastapi.testclient import TestClient
from sqlalchemy import insert

from darkroom_airflow.overview.app import application
from darkroom_airflow.plugin import overview_entry
from tests.unit.airflow_env.conftest import PIPELINE
from tests.unit.airflow_env.mlflow_stub import Stub, stub
from tests.unit.airflow_env.partial_auth import NO_RUNS, READERS


@pytest.fixture(scope="module")
def database() -> Iterator[None]:
    """Airflow's tables, with the training DAGs of two pipelines."""
    import_all_models()  # type: ignore[no-untyped-call]
    settings.configure_orm()  # type: ignore[no-untyped-call]
    assert settings.engine is not None
    Base.metadata.create_all(settings.engine)
    with create_session() as session:
        session.add(DagBundleModel(name="dags"))
        session.flush()
        for name in ("signs", "cats"):
            dag = DagModel(dag_id=f"{name}_training", bundle_name="dags")  # type: ignore[no-untyped-call]
            session.add(dag)
    yield
    Base.metadata.drop_all(settings.engine)


@pytest.fixture(scope="module")
def runs(database: None) -> None:
    """Three runs of one training DAG; the second has failed, the newest goes on."""
    with create_session() as session:
        states = (DagRunState.SUCCESS, DagRunState.FAILED, DagRunState.RUNNING)
        for day, state in enumerate(states, start=1):
            run = DagRun(
                dag_id="signs_training",
                run_id=f"run+{day}",
                run_after=datetime(2026, 3, day, tzinfo=UTC),
                run_type="manual",
                state=state,
            )
            session.add(run)
        session.flush()
        for task, ended in (("tune", "success"), ("evaluate", "failed")):
            values = {"task_id": task, "state": ended, "pool": "default_pool", "id": uuid.uuid4()}
            of_run = {"dag_id": "signs_training", "run_id": "run+2"}
            session.execute(insert(TaskInstance).values(**values, **of_run))


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with stub() as server:
        server.versions["signs", "champion"] = {"version": "3"}
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


@pytest.fixture
def client(
    database: None,
    mlflow: Stub,
    pipelines: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[TestClient]:
    """A browser without a cookie, at an Airflow with two pipelines."""
    other = PIPELINE.replace("signs", "cats").replace("Signs", "Cats")
    (pipelines / "cats.yaml").write_text(other.replace("recognize_cats", "recognize_c"))
    manager = "tests.unit.airflow_env.partial_auth.PartialAuthManager"
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", manager)
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    monkeypatch.setenv("DARKROOM_WORKSPACE", str(tmp_path / "workspace"))
    purge_cached_app()
    create_auth_manager()
    yield TestClient(application(), follow_redirects=False)
    purge_cached_app()


def sign_in(client: TestClient, user: str) -> None:
    token = create_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role="admin"))
    client.cookies.set("_token", token)


@pytest.mark.parametrize("user", READERS)
def test_a_pipeline_is_shown_to_who_may_read_its_dag(client: TestClient, user: str) -> None:
    sign_in(client, user)

    page = client.get("/")

    assert page.status_code == 200
    shown = {name for name in ("signs", "cats") if f">{name}</a>" in page.text}
    assert shown == {READERS[user]} & {"signs", "cats"}
    assert ("version 3</span>" in page.text) == (user == "kim")


@pytest.mark.parametrize("user", [NO_RUNS, "kim"])
def test_the_newest_training_is_shown_to_who_may_see_runs(
    runs: None, client: TestClient, user: str
) -> None:
    sign_in(client, user)

    page = client.get("/").text

    assert ">signs</a>" in page
    seen = {
        "<b>failed at evaluate</b>" in page,
        'href="/dags/signs_training/runs/run%2B2"' in page,
        "<b>running</b>" in page,
        "2026-03-02 00:00 UTC" in page,
    }
    assert seen == {user == "kim"}
    assert "2026-03-01" not in page


def test_the_registry_is_asked_about_nothing_that_is_not_shown(
    client: TestClient, mlflow: Stub
) -> None:
    sign_in(client, "nobody")

    assert "There is no pipeline that you may see." in client.get("/").text
    assert mlflow.seen == []


def test_the_page_may_be_kept_by_nobody_and_load_nothing(client: TestClient) -> None:
    sign_in(client, "kim")

    headers = client.get("/").headers

    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'; img-src data:; ")
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(client: TestClient, method: str) -> None:
    sign_in(client, "kim")

    assert client.request(method, "/").status_code == 405


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc"])
def test_there_is_no_other_page(client: TestClient, path: str) -> None:
    sign_in(client, "kim")

    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("", "/darkroom/"),
        ("http://127.0.0.1:8080", "/darkroom/"),
        ("https://example.org/air/flow/", "/air/flow/darkroom/"),
    ],
)
def test_airflows_menu_leads_to_the_page(
    base_url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

    entry = overview_entry()

    assert entry["href"] == path
    # In a frame its links would lead nowhere, and at the top level Airflow draws a dead button.
    assert entry.keys().isdisjoint({"url_route", "nav_top_level"})


def test_the_plugin_alone_does_not_load_the_page() -> None:
    program = (
        "import sys, darkroom_airflow.plugin as p;"
        "assert p.DarkroomPlugin.fastapi_apps[0]['url_prefix'] == '/darkroom';"
        "sys.exit('darkroom_airflow.overview.app' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0
