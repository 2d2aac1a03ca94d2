"""Serves SQL over JDBC and ODBC: ``spark-submit sql_gateway.py --port 10000``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from darkroom.contract import Workspace
from darkroom.sql.gateway import HOST, POLL_SECONDS, Gateway, check_port, gateway_session
from darkroom.stages.script import one_line_errors, workspace_option


@click.command()
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    help="Address to listen on; no login protects the gateway.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=10000, show_default=True)
@workspace_option
@click.option(
    "--poll-seconds",
    type=click.FloatRange(min=0.5),
    default=POLL_SECONDS,
    show_default=True,
    help="Seconds between two looks for new models and images.",
)
def main(host: str, port: int, workspace: Path, poll_seconds: float) -> None:
    """Serves all deployed functions and views until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with one_line_errors():
        check_port(port, host)
        spark = gateway_session(port, host)
        Gateway(spark, Workspace(workspace)).serve(port, poll_seconds, host)
        spark.stop()


if __name__ == "__main__":
    main()
