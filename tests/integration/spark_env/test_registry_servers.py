"""The registry on MLflow servers as a company runs them: PostgreSQL, users with passwords."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient

from darkroom.registry.client import in_one_line
from darkroom.registry.package import ModelPackage
from tests.integration.spark_env import postgres
from tests.integration.spark_env.mlflow_server import serving
from tests.integration.spark_env.registry_house import Pipeline, pipeline_on

pytest_plugins = ("tests.integration.spark_env.registry_house",)
pytestmark = [pytest.mark.integration, pytest.mark.long]

USER = "MLFLOW_TRACKING_USERNAME"
PASSWORD = "MLFLOW_TRACKING_PASSWORD"


def register_and_promote(pipeline: Pipeline, packages: tuple[ModelPackage, ...]) -> None:
    run = pipeline.candidate(packages[0], "t1")
    pipeline.promote(pipeline.register(run), run)

    assert pipeline.aliases() == {"champion": "1"}
    assert [row["to_version"] for row in pipeline.ledger()] == ["1"]
    (version,) = pipeline.versions()
    assert version.tags["darkroom.model_digest"] == packages[0].digest
    assert f"model `{packages[0].digest}`" in version.description


@dataclass(frozen=True)
class Guarded:
    """A server that asks for a user and a password, and its administrator's."""

    uri: str
    password: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """An MLflow server with its basic-auth app; everybody may read, as is its default."""
    password = secrets.token_urlsafe(12)
    environment = {
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
    }
    home = tmp_path_factory.mktemp("guarded")
    with serving(home, "--app-name=basic-auth", environment=environment) as uri:
        yield Guarded(uri, password)


@pytest.fixture
def admin(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """The server, with its administrator in the environment, where the code looks."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", guarded.uri)
    monkeypatch.setenv(USER, "admin")
    monkeypatch.setenv(PASSWORD, guarded.password)
    return guarded


@pytest.mark.skipif(not postgres.installed(), reason="PostgreSQL's programs are not installed")
def test_a_registry_on_postgresql(
    packages: tuple[ModelPackage, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not in pytest's own folder: it is closed to the user that PostgreSQL may have to run as.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with (
            postgres.postgres(Path(folder) / "postgres") as store,
            serving(tmp_path, store=store) as uri,
        ):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            register_and_promote(pipeline_on(uri, tmp_path / "workspace"), packages)


def test_a_registry_with_passwords(
    admin: Guarded, packages: tuple[ModelPackage, ...], tmp_path: Path
) -> None:
    register_and_promote(pipeline_on(admin.uri, tmp_path), packages)


@pytest.mark.parametrize("password", ["password1234", ""])
def test_a_wrong_password_is_one_line(
    admin: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv(PASSWORD, password)

    with pytest.raises(MlflowException) as caught:
        pipeline_on(admin.uri, tmp_path).versions()

    assert str(in_one_line(caught.value)) == (
        f"MLFLOW_TRACKING_USERNAME = 'admin': the MLflow server at {admin.uri} does not know this "
        "user with MLFLOW_TRACKING_PASSWORD: correct both"
    )


def test_who_may_only_read_cannot_promote(
    admin: Guarded,
    packages: tuple[ModelPackage, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = pipeline_on(admin.uri, tmp_path)
    run = pipeline.candidate(packages[0], "t1")
    registered = pipeline.register(run)
    password = secrets.token_urlsafe(12)
    AuthServiceClient(admin.uri).create_user("reader", password)
    monkeypatch.setenv(USER, "reader")
    monkeypatch.setenv(PASSWORD, password)

    with pytest.raises(MlflowException) as caught:
        pipeline.promote(registered, run)

    assert str(in_one_line(caught.value)) == (
        f"MLFLOW_TRACKING_USERNAME = 'reader': the MLflow server at {admin.uri} does not permit "
        "this user to do that: have its administrator allow it"
    )
    assert pipeline.aliases() == {"challenger": "1"}


def test_what_is_neither_a_refusal_nor_an_outage_is_none() -> None:
    assert in_one_line(ValueError("error code 401")) is None
    assert in_one_line(MlflowException("error code 500")) is None
