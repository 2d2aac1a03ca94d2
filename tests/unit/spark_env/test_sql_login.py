"""Hive's settings of who may connect, as a Spark application has them."""

from __future__ import annotations

import pytest

from darkroom.contract import ConfigError
from darkroom.sql.login import check_login, login_settings

METHOD = "hive.server2.authentication"
URL = "hive.server2.authentication.ldap.url"
DIRECTORY = "ldaps://directory.example.org"


def test_only_hives_settings_of_its_server_are_handed_over() -> None:
    settings = [
        (f"spark.hadoop.{METHOD}", "LDAP"),
        (f"spark.hadoop.{URL}", DIRECTORY),
        ("spark.hadoop.fs.s3a.access.key", "k"),
        ("spark.sql.hive.thriftServer.singleSession", "true"),
    ]

    assert login_settings(settings) == {METHOD: "LDAP", URL: DIRECTORY}


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({}, "NONE"),
        ({METHOD: "NOSASL"}, "NOSASL"),
        ({METHOD: "ldap", URL: DIRECTORY}, "LDAP"),
        ({METHOD: "LDAP", URL: f"{DIRECTORY}:636 ldap://127.0.0.1:389"}, "LDAP"),
        ({METHOD: "CUSTOM", "hive.server2.custom.authentication.class": "OneUser"}, "CUSTOM"),
    ],
)
def test_ways_to_log_in(settings: dict[str, str], method: str) -> None:
    assert check_login(settings.get) == method


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {METHOD: "LADP"},
            f"spark.hadoop.{METHOD} = 'LADP': "
            "give one of NONE, NOSASL, LDAP, KERBEROS, PAM, CUSTOM",
        ),
        (
            {METHOD: "LDAP"},
            f"spark.hadoop.{URL} = None: spark.hadoop.{METHOD} = LDAP needs it",
        ),
        (
            {METHOD: "LDAP", URL: "directory.example.org"},
            f"spark.hadoop.{URL} = 'directory.example.org': "
            "give the directory's URL, ldap://host:port or ldaps://host:port",
        ),
        (
            {METHOD: "KERBEROS", f"{METHOD}.kerberos.principal": "sql/_HOST@EXAMPLE.ORG"},
            f"spark.hadoop.{METHOD}.kerberos.keytab = None: "
            f"spark.hadoop.{METHOD} = KERBEROS needs it",
        ),
        (
            {METHOD: "CUSTOM"},
            "spark.hadoop.hive.server2.custom.authentication.class = None: "
            f"spark.hadoop.{METHOD} = CUSTOM needs it",
        ),
    ],
)
def test_settings_with_which_nobody_could_log_in(settings: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_login(settings.get)

    assert str(caught.value) == line
