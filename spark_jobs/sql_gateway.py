"""Serves SQL over JDBC and ODBC: ``spark-submit sql_gateway.py --port 10000``."""

from __future__ import annotations

from pathlib import Path

import click

from darkroom.contract import Workspace
from darkroom.sql.gateway import HOST, POLL_SECONDS, Gateway, check_port, gateway_session
from darkroom.stages.command import show_own_log
from darkroom.stages.pipeline_files import MappedViewFiles
from darkroom.stages.script import one_line_errors, workspace_option


@click.command()
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    help="Address to listen on; unless Hive's settings say so, nobody is asked for a password.",
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
@click.option(
    "--health-port",
    type=click.IntRange(1, 65535),
    default=10002,
    show_default=True,
    help="Where GET /health is answered.",
)
@click.option(
    "--pipelines",
    type=click.Path(path_type=Path),
    envvar="DARKROOM_PIPELINES",
    default="config/pipelines",
    show_default=True,
    help="Folder of the pipelines' YAML files, which map views to paths.",
)
def main(
    host: str,
    port: int,
    workspace: Path,
    poll_seconds: float,
    health_port: int,
    pipelines: Path,
) -> None:
    """Serves all deployed functions and views until it is stopped."""
    show_own_log()
    with one_line_errors():
        check_port(port, host)
        check_port(health_port, host, "--health-port")
        spark = gateway_session(port, host)
        gateway = Gateway(spark, Workspace(workspace), MappedViewFiles(pipelines))
        gateway.serve(port, poll_seconds, host, health_port)
        spark.stop()


if __name__ == "__main__":
    main()
