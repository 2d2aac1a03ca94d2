"""A long-running Spark application that serves functions and views over JDBC and ODBC."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any

from darkroom.contract import DarkroomError, Workspace
from darkroom.lake import Lake
from darkroom.sql.challengers import Challengers
from darkroom.sql.champions import Champions
from darkroom.sql.deployments import versions_of
from darkroom.sql.health import health_server
from darkroom.sql.login import prepare_login
from darkroom.sql.serving import Functions
from darkroom.sql.views import MappedViews, Views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HOST = "127.0.0.1"
"""No login protects the gateway, so it listens on loopback unless told otherwise."""

POLL_SECONDS = 10.0
_TICK_SECONDS = 0.5
_RETAINED = 100
"""Queries of which Spark's pages tell; a thousand, as Spark has it, take 50 MB."""

_STALE_POLLS = 4
_STALE_SECONDS = 240.0
"""Without a look at the tables for so long the gateway is not well; a load check takes a while."""

log = logging.getLogger(__name__)


def gateway_session(port: int, host: str = HOST) -> SparkSession:
    """Makes the Spark session of a gateway that will listen there.

    Raises:
        ConfigError: Nobody could log in with Hive's settings.
    """
    from pyspark.sql import SparkSession

    settings: dict[str, Any] = {
        # Without it every connection gets a session of its own, without our functions.
        "spark.sql.hive.thriftServer.singleSession": "true",
        "spark.hadoop.hive.server2.thrift.bind.host": host,
        "spark.hadoop.hive.server2.thrift.port": str(port),
        # One person's long query must not hold up everybody's short ones.
        "spark.scheduler.mode": "FAIR",
        "spark.ui.retainedJobs": _RETAINED,
        "spark.ui.retainedStages": _RETAINED,
        "spark.sql.ui.retainedExecutions": _RETAINED,
    }
    spark = SparkSession.builder.appName("sql-gateway").config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    prepare_login(spark)
    return spark


def check_port(port: int, host: str = HOST, option: str = "--port") -> None:
    """Checks that nobody listens there; ``option`` chooses another one.

    Raises:
        DarkroomError: The port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DarkroomError(
                f"the SQL gateway cannot listen on {host}:{port} ({error.strerror}): "
                f"choose another {option}"
            ) from None


class Gateway:
    """Serves one workspace until it is told to stop."""

    def __init__(
        self, spark: SparkSession, workspace: Workspace, mapped: MappedViews = dict
    ) -> None:
        """Makes a gateway that serves nothing yet.

        Args:
            spark: Made by `gateway_session`.
            workspace: Whose functions and views to serve.
            mapped: Says which views are mapped to paths; asked again and again.
        """
        self._lake = Lake(workspace)
        self._workspace = workspace
        self._spark = spark
        self._functions = Functions(spark, workspace)
        self._champions = Champions(self._functions)
        self._challengers = Challengers(self._functions, workspace)
        self._views = Views(spark, workspace, mapped)
        self._stop = threading.Event()
        self._looked_at: float | None = None
        self._poll_seconds = POLL_SECONDS

    def refresh(self) -> bool:
        """Takes up new models and tables, each by itself: one that is broken keeps none back.

        A running query keeps the model and the tables that it began with.

        Returns:
            True if something had changed.
        """
        versions = versions_of(self._lake)
        newest = {name: found[0] for name, found in versions.items()}
        changed = [
            self._champions.follow(versions),
            self._challengers.follow(newest),
            self._views.follow(),
        ]
        if any(changed):
            log.info("functions: %s; views: %s", self._served(), _listed(self._views.names))
        return any(changed)

    def status(self) -> tuple[bool, dict[str, Any]]:
        """Whether the gateway works, and what it serves, as JSON values."""
        # A copy: a request comes in a thread of its own.
        served = dict(self._functions.served)
        age = None if self._looked_at is None else time.monotonic() - self._looked_at
        works = age is not None and age < max(_STALE_POLLS * self._poll_seconds, _STALE_SECONDS)
        degraded = self._challengers.problem or any(f.refused for f in served.values())
        return works, {
            "status": _status(age, works, bool(degraded)),
            "seconds_since_last_look": None if age is None else round(age, 1),
            "functions": {name: served[name].status() for name in sorted(served)},
            "views": list(self._views.names),
            "broken_views": dict(self._views.problems),
            "registry": self._challengers.problem or "ok",
        }

    def serve(
        self,
        port: int,
        poll_seconds: float = POLL_SECONDS,
        host: str = HOST,
        health_port: int | None = None,
    ) -> None:
        """Listens until SIGTERM, SIGINT or `stop`; blocks.

        Args:
            port: Where `gateway_session` told the server to listen.
            poll_seconds: Seconds between two looks at the tables.
            host: Where `gateway_session` told the server to listen.
            health_port: Where to answer ``GET /health``; None for nowhere.
        """
        self._poll_seconds = poll_seconds
        self._refresh_or_log()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        server = self._start()
        with ExitStack() as stack:
            stack.callback(lambda: log.info("SQL gateway: stopped"))
            stack.callback(_quietly_stop, server)
            if health_port is not None:
                stack.enter_context(health_server(host, health_port, self.status))
                log.info("SQL gateway: http://%s:%d/health", host, health_port)
            log.info("SQL gateway: jdbc:hive2://%s:%d", host, port)
            self._wait(poll_seconds)

    def stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Makes `serve` return; also is its signal handler."""
        del signum, frame
        self._stop.set()

    def _start(self) -> Any:
        jvm: Any = self._spark.sparkContext._jvm
        thrift = jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
        # False: a server that cannot start raises here instead of ending the whole process.
        return thrift.startWithSparkSession(self._spark._jsparkSession, False)

    def _wait(self, poll_seconds: float) -> None:
        # spark-submit's JVM is our parent: when it is killed nobody would tell us.
        parent = os.getppid()
        due = time.monotonic() + poll_seconds
        while not self._stop.wait(_TICK_SECONDS) and os.getppid() == parent:
            if time.monotonic() >= due:
                self._refresh_or_log()
                due = time.monotonic() + poll_seconds

    def _refresh_or_log(self) -> None:
        try:
            self.refresh()
            self._looked_at = time.monotonic()
        except DarkroomError as error:
            log.error("%s", error)
        except Exception:
            # A catalog that is busy for a moment must not end everybody's connections.
            log.exception("could not look for new functions; the ones served before stay")
        if not self._served():
            log.warning("no function is served yet: this is looked at again every few seconds")

    def _served(self) -> str:
        served = self._functions.served.items()
        return ", ".join(
            f"{name} (version {function.serving.model_version})"
            for name, function in sorted(served)
            if function.serving
        )


def _status(age: float | None, works: bool, degraded: bool) -> str:
    if not works:
        return "starting" if age is None else "stuck"
    return "degraded" if degraded else "ok"


def _quietly_stop(server: Any) -> None:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]

    try:
        server.stop()
    except (Py4JError, OSError) as error:
        # Ctrl-C reaches the JVM as well: it may be gone before we are.
        log.debug("the JVM was gone first: %s", error)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
