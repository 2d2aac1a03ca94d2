"""Who may connect to a gateway: Hive's own settings, checked before anybody can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_HADOOP: Final = "spark.hadoop."
_METHOD: Final = "hive.server2.authentication"
_LDAP_URL: Final = "hive.server2.authentication.ldap.url"
_CLASS: Final = "hive.server2.custom.authentication.class"
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "NONE": (),
    "NOSASL": (),
    "LDAP": (_LDAP_URL,),
    "KERBEROS": (f"{_METHOD}.kerberos.principal", f"{_METHOD}.kerberos.keytab"),
    "PAM": (f"{_METHOD}.pam.services",),
    "CUSTOM": (_CLASS,),
}
"""What Hive calls the ways to log in, and the settings that each cannot do without."""


def prepare_login(spark: SparkSession) -> None:
    """Hands the settings of a Spark application to Hive's server, and checks them.

    Raises:
        ConfigError: Nobody could log in with them.
    """
    jvm: Any = spark.sparkContext._jvm
    # Hive's login providers read Hive's settings anew: Spark's they see as properties only.
    for name, value in login_settings(spark.sparkContext.getConf().getAll()).items():
        jvm.System.setProperty(name, value)
    hive = jvm.org.apache.hadoop.hive.conf.HiveConf()
    if check_login(hive.get) == "CUSTOM":
        _check_class(hive)


def login_settings(settings: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Hive's settings of its server, by Hive's names, among the settings of a Spark application."""
    return {
        name.removeprefix(_HADOOP): value
        for name, value in settings
        if name.startswith(f"{_HADOOP}hive.server2.")
    }


def check_login(setting: Callable[[str], str | None]) -> str:
    """Checks that people can log in; Hive itself would only refuse each of them.

    Args:
        setting: Tells the value of one of Hive's settings.

    Returns:
        How they do: a key of the table above.

    Raises:
        ConfigError: The way to log in is unknown, or lacks what it needs.
    """
    given = setting(_METHOD) or "NONE"
    method = given.upper()
    if method not in _NEEDED:
        raise ConfigError(f"{_HADOOP}{_METHOD}", given, f"give one of {', '.join(_NEEDED)}")
    for name in _NEEDED[method]:
        if not setting(name):
            remedy = f"{_HADOOP}{_METHOD} = {method} needs it"
            raise ConfigError(f"{_HADOOP}{name}", setting(name), remedy)
    if method == "LDAP":
        _check_urls(setting(_LDAP_URL) or "")
    return method


def _check_urls(urls: str) -> None:
    for url in urls.split():
        if not url.startswith(("ldap://", "ldaps://")):
            remedy = "give the directory's URL, ldap://host:port or ldaps://host:port"
            raise ConfigError(f"{_HADOOP}{_LDAP_URL}", url, remedy)


def _check_class(hive: Any) -> None:
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]

    name = hive.get(_CLASS)
    try:
        hive.getClassByName(name)
    except Py4JJavaError:
        remedy = "no such class: put its jar or folder into SPARK_DIST_CLASSPATH"
        raise ConfigError(f"{_HADOOP}{_CLASS}", name, remedy) from None
