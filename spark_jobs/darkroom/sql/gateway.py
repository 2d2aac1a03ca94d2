"""A long-running Spark application that serves functions and views over JDBC and ODBC."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from darkroom.contract import DarkroomError, Workspace
from darkroom.lake import Lake
from darkroom.sql.deployments import deployed
from darkroom.sql.functions import register_functions
from darkroom.sql.views import create_views, view_snapshots

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HOST = "127.0.0.1"
"""No login protects the gateway, so it listens on loopback unless told otherwise."""

POLL_SECONDS = 15.0
_TICK_SECONDS = 0.5

log = logging.getLogger(__name__)


def gateway_session(port: int, host: str = HOST) -> SparkSession:
    """Makes the Spark session of a gateway that will listen there."""
    from pyspark.sql import SparkSession

    settings: dict[str, Any] = {
        # Without it every connection gets a session of its own, without our functions.
        "spark.sql.hive.thriftServer.singleSession": "true",
        "spark.hadoop.hive.server2.thrift.bind.host": host,
        "spark.hadoop.hive.server2.thrift.port": str(port),
        # One person's long query must not hold up everybody's short ones.
        "spark.scheduler.mode": "FAIR",
    }
    spark = SparkSession.builder.appName("sql-gateway").config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    return spark


def check_port(port: int, host: str = HOST) -> None:
    """Checks that nobody listens there.

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
                "choose another --port"
            ) from None


class Gateway:
    """Serves one workspace until it is told to stop."""

    def __init__(self, spark: SparkSession, workspace: Workspace) -> None:
        """Args: spark: made by `gateway_session`; workspace: whose functions and views to serve."""
        self._spark = spark
        self._workspace = workspace
        self._lake = Lake(workspace)
        self._served: object = None
        self._stop = threading.Event()

    def refresh(self) -> bool:
        """Registers functions and views anew if a model or a table has changed.

        A running query keeps the model it began with.

        Returns:
            True if something had changed.

        Raises:
            DarkroomError: A deployment is unusable; what was served before still is.
        """
        known = deployed(self._lake)
        now = ([known[name].answers_like for name in sorted(known)], view_snapshots(self._lake))
        if now == self._served:
            return False
        functions = register_functions(self._spark, self._workspace)
        views = create_views(self._spark, self._workspace)
        self._served = now
        log.info("functions: %s; views: %s", _listed(functions), _listed(views))
        return True

    def serve(self, port: int, poll_seconds: float = POLL_SECONDS, host: str = HOST) -> None:
        """Listens until SIGTERM, SIGINT or `stop`; blocks.

        Args:
            port: Where `gateway_session` told the server to listen.
            poll_seconds: Seconds between two looks at the tables.
            host: Where `gateway_session` told the server to listen.
        """
        self._refresh_or_log()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        server = self._start()
        log.info("SQL gateway: jdbc:hive2://%s:%d", host, port)
        try:
            self._wait(poll_seconds)
        finally:
            _quietly_stop(server)
            log.info("SQL gateway: stopped")

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
        except DarkroomError as error:
            log.error("%s", error)
        except Exception:
            # A catalog that is busy for a moment must not end everybody's connections.
            log.exception("could not look for new functions; the ones served before stay")
        if self._served is None:
            log.warning("no function is served yet: this is looked at again every few seconds")


def _quietly_stop(server: Any) -> None:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]

    try:
        server.stop()
    except (Py4JError, OSError) as error:
        # Ctrl-C reaches the JVM as well: it may be gone before we are.
        log.debug("the JVM was gone first: %s", error)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
