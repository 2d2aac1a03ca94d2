"""A gateway that asks who connects, by Hive's own settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyhive import hive
from pyspark.sql import SparkSession
from thrift.transport.TTransport import TTransportException  # type: ignore[import-untyped]

from tests.integration.spark_env.gateway_house import Gateway, new_workspace, running_gateway

pytestmark = [pytest.mark.integration, pytest.mark.long]

CHECKER = "OneUser"
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
LOGIN = {
    "spark.hadoop.hive.server2.authentication": "CUSTOM",
    "spark.hadoop.hive.server2.custom.authentication.class": CHECKER,
}


@pytest.fixture(scope="module")
def gateway(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It lets ann in with her password, and nobody else."""
    folder = tmp_path_factory.mktemp("login")
    compile_java(spark, SOURCE, folder / "classes")
    # As scripts/env.sh hands over the settings of a file.
    options = " ".join(f"-D{name}={value}" for name, value in LOGIN.items())
    variables = {
        "SPARK_SUBMIT_OPTS": f"{os.environ.get('SPARK_SUBMIT_OPTS', '')} {options}",
        "SPARK_DIST_CLASSPATH": str(folder / "classes"),
    }
    with running_gateway(new_workspace(folder / "workspace"), folder, **variables) as gateway:
        yield gateway


def compile_java(spark: SparkSession, source: str, folder: Path) -> None:
    """Writes class files, with the compiler that Spark brings: a JRE has none."""
    jvm: Any = spark.sparkContext._jvm
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(source)
    folder.mkdir()
    for name, code in compiler.getBytecodes().items():
        (folder / f"{name}.class").write_bytes(code)


def ask(gateway: Gateway, user: str, password: str) -> list[Any]:
    connection = hive.connect(
        "127.0.0.1", gateway.port, username=user, password=password, auth="CUSTOM"
    )
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT see(image)[0].label FROM seen")
        return sorted(cursor.fetchall())
    finally:
        connection.close()


def test_who_has_the_password_is_answered(gateway: Gateway) -> None:
    assert ask(gateway, "ann", "secret") == [("blue",), ("red",)]
    sql = "SELECT see(image)[0].label AS label FROM seen ORDER BY path"
    assert gateway.beeline(sql, "-n", "ann", "-p", "secret") == ["label", "blue", "red"]


@pytest.mark.parametrize(("user", "password"), [("ann", "guessed"), ("bob", "secret")])
def test_who_has_not_is_refused(gateway: Gateway, user: str, password: str) -> None:
    with pytest.raises(TTransportException, match="Error validating the login"):
        ask(gateway, user, password)


def test_beeline_without_a_password_is_refused(gateway: Gateway) -> None:
    with pytest.raises(AssertionError, match="Could not open client transport"):
        gateway.beeline("SELECT 1")
