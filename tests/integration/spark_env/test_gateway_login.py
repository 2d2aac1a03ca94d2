"""A gateway that asks who connects, by Hive's own settings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyhive import hive
from pyspark.sql import SparkSession
from thrift.transport.TTransport import TTransportException  # type: ignore[import-untyped]

from tests.integration.spark_env import directory
from tests.integration.spark_env.directory import Directory
from tests.integration.spark_env.gateway_house import (
    beeline,
    environment,
    new_workspace,
    running_gateway,
    submit,
)
from tests.integration.spark_env.gateway_process import START_SECONDS, Gateway
from tests.integration.spark_env.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.long]

AUTHENTICATION = "spark.hadoop.hive.server2.authentication"
LOG_SETTINGS = Path(__file__).parents[3] / "config/spark/log4j2.properties"
CHECKER = "OneUser"
CHECKER_CLASS = "spark.hadoop.hive.server2.custom.authentication.class"
SOURCE = f"""
public class {CHECKER} implements org.apache.hive.service.auth.PasswdAuthenticationProvider {{
    public void Authenticate(String user, String password)
            throws javax.security.sasl.AuthenticationException {{
        if (!"ann".equals(user) || !"secret".equals(password)) {{
            throw new javax.security.sasl.AuthenticationException("not ann");
        }}
    }}
}}
"""
STRANGERS = [("ann", "guessed"), ("bob", "secret"), ("ann", ""), ("ann,cn=people", "secret")]
WITH_DIRECTORY = pytest.mark.skipif(
    not directory.installed(), reason="OpenLDAP's server, slapd, is not installed"
)


@pytest.fixture(scope="module")
def gateway(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A class of our own lets ann in with her password, and nobody else."""
    folder = tmp_path_factory.mktemp("login")
    compile_java(spark, SOURCE, folder / "classes")
    variables = in_a_file({AUTHENTICATION: "CUSTOM", CHECKER_CLASS: CHECKER}) | {
        "SPARK_DIST_CLASSPATH": str(folder / "classes")
    }
    with running_gateway(new_workspace(folder / "workspace"), folder, **variables) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """It knows ann."""
    people = Directory(tmp_path_factory.mktemp("directory"), "ann", "secret")
    people.start()
    yield people
    people.stop()


@pytest.fixture(scope="module")
def asking_gateway(
    people: Directory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A directory lets ann in with her password, and nobody else."""
    folder = tmp_path_factory.mktemp("login")
    variables = in_a_file(
        {
            AUTHENTICATION: "LDAP",
            f"{AUTHENTICATION}.ldap.url": people.url,
            f"{AUTHENTICATION}.ldap.baseDN": directory.BASE,
        }
    )
    with running_gateway(new_workspace(folder / "workspace"), folder, **variables) as gateway:
        yield gateway


def in_a_file(settings: Mapping[str, str]) -> dict[str, str]:
    """Variables that hand settings over as scripts/env.sh does those of a file."""
    both = {"log4j2.configurationFile": LOG_SETTINGS, **settings}
    options = " ".join(f"-D{name}={value}" for name, value in both.items())
    return {"SPARK_SUBMIT_OPTS": f"{os.environ.get('SPARK_SUBMIT_OPTS', '')} {options}"}


def compile_java(spark: SparkSession, source: str, folder: Path) -> None:
    """Writes class files, with the compiler that Spark brings: a JRE has none."""
    jvm: Any = spark.sparkContext._jvm
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(source)
    folder.mkdir()
    for name, code in compiler.getBytecodes().items():
        (folder / f"{name}.class").write_bytes(code)


@contextmanager
def connected(gateway: Gateway, user: str, password: str, auth: str) -> Iterator[Any]:
    """A cursor of a connection, which ends with the body."""
    connection = hive.connect(
        "127.0.0.1", gateway.port, username=user, password=password, auth=auth
    )
    try:
        yield connection.cursor()
    finally:
        connection.close()


def answer(cursor: Any) -> list[Any]:
    cursor.execute("SELECT see(image)[0].label FROM seen")
    return sorted(cursor.fetchall())


def ask(gateway: Gateway, user: str, password: str, auth: str = "CUSTOM") -> list[Any]:
    with connected(gateway, user, password, auth) as cursor:
        return answer(cursor)


def ask_with_beeline(gateway: Gateway) -> list[str]:
    sql = "SELECT see(image)[0].label AS label FROM seen ORDER BY path"
    return beeline(gateway, sql, "-n", "ann", "-p", "secret")


def test_who_has_the_password_is_answered(gateway: Gateway) -> None:
    assert ask(gateway, "ann", "secret") == [("blue",), ("red",)]
    assert ask_with_beeline(gateway) == ["label", "blue", "red"]


@pytest.mark.parametrize(("user", "password"), STRANGERS)
def test_who_has_not_is_refused(gateway: Gateway, user: str, password: str) -> None:
    with pytest.raises(TTransportException, match="Error validating the login"):
        ask(gateway, user, password)


def test_beeline_without_a_password_is_refused(gateway: Gateway) -> None:
    with pytest.raises(AssertionError, match="Could not open client transport"):
        beeline(gateway, "SELECT 1")


@WITH_DIRECTORY
def test_who_is_in_the_directory_is_answered(asking_gateway: Gateway) -> None:
    assert ask(asking_gateway, "ann", "secret", "LDAP") == [("blue",), ("red",)]
    assert ask_with_beeline(asking_gateway) == ["label", "blue", "red"]


@WITH_DIRECTORY
@pytest.mark.parametrize(("user", "password"), STRANGERS)
def test_who_is_not_in_it_is_refused(asking_gateway: Gateway, user: str, password: str) -> None:
    with pytest.raises(TTransportException, match="Error validating the login"):
        ask(asking_gateway, user, password, "LDAP")


@WITH_DIRECTORY
def test_without_its_directory_a_gateway_lets_nobody_in_until_it_is_back(
    asking_gateway: Gateway, people: Directory
) -> None:
    with connected(asking_gateway, "ann", "secret", "LDAP") as earlier:
        people.stop()

        with pytest.raises(TTransportException, match="Error validating the login"):
            ask(asking_gateway, "ann", "secret", "LDAP")

        assert answer(earlier) == [("blue",), ("red",)]
    log = asking_gateway.log.read_text()
    (line,) = [line for line in log.splitlines() if f":{people.port}" in line]
    assert "Error validating LDAP user" in line
    assert "Connection refused" in line
    assert asking_gateway.health()[0] == 200
    people.start()
    assert ask(asking_gateway, "ann", "secret", "LDAP") == [("blue",), ("red",)]


def test_settings_with_which_nobody_could_log_in_end_it_at_once(tmp_path: Path) -> None:
    settings = {AUTHENTICATION: "CUSTOM", CHECKER_CLASS: "NoSuchClass"}
    ports = ("--port", str(free_port()), "--health-port", str(free_port()))

    done = subprocess.run(
        submit("sql_gateway.py", *ports, "--workspace", str(tmp_path)),
        env=environment() | in_a_file(settings),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )

    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        f"error: {CHECKER_CLASS} = 'NoSuchClass': "
        "no such class: put its jar or folder into SPARK_DIST_CLASSPATH"
    ]
