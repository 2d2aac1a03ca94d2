"""``python -m local_stack rollback``: back to an earlier champion, deployed."""

from __future__ import annotations

from datetime import UTC, datetime

from darkroom.contract import ConfigError, ExitCode, Stage
from darkroom_airflow.forms import REASON, VERSION
from darkroom_airflow.pipelines import read_pipeline
from local_stack import console, credentials, show
from local_stack.chain import Chain, ChainError, Ended
from local_stack.client import AirflowClient, ApiError
from local_stack.drive import drive
from local_stack.layout import Layout
from local_stack.stack import Running, running_airflow

_EVER = datetime.min.replace(tzinfo=UTC)


def run_rollback(layout: Layout, pipeline: str, reason: str, version: str | None) -> int:
    """Runs the rollback DAG of a pipeline, in the stack that runs or in one of its own.

    Args:
        layout: Where everything is.
        pipeline: The pipeline's name.
        reason: Why the champion has to go.
        version: The version to go back to; None for the champion before this one.

    Returns:
        The exit code: 2 for input that can not be used, before anything is started.
    """
    try:
        _check(layout, pipeline, reason)
    except ConfigError as error:
        console.error(str(error))
        return ExitCode.CONFIG
    console.title(f"Darkroom: {pipeline} goes back to an earlier model")

    def work(running: Running | None, chain: Chain) -> int:
        del running
        return _roll_back(chain, reason, version)

    url = running_airflow(layout)
    if url is None:
        return drive(layout, pipeline, work)
    console.line(f"Airflow {url}")
    try:
        password = credentials.passwords(layout)[credentials.DEMO]
        with AirflowClient(url, credentials.DEMO, password) as client:
            return work(None, Chain(client, layout, pipeline))
    except (ChainError, ApiError) as error:
        console.error(str(error))
        return 1


def _check(layout: Layout, pipeline: str, reason: str) -> None:
    file = layout.pipelines / f"{pipeline}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(one.stem for one in layout.pipelines.glob("*.yaml"))) or "none"
        raise ConfigError("PIPELINE", pipeline, f"there is no such pipeline, known are: {known}")
    read_pipeline(file)
    if not reason.strip():
        raise ConfigError("REASON", reason, "say in a few words why the champion has to go")


def _roll_back(chain: Chain, reason: str, version: str | None) -> int:
    chain.wait_for_dags(_EVER, [chain.rollback])
    deployed: list[Ended] = []

    def on_end(task: Ended) -> None:
        show.ended(task)
        if task.task.task == Stage.DEPLOY:
            deployed.append(task)

    console.step(1, f"Run of {chain.rollback}, as user {chain.client.user}")
    run = chain.client.trigger(chain.rollback, {REASON: reason, VERSION: version})
    chain.follow(chain.rollback, run, on_end)
    console.step(2, "The answer from SQL")
    outputs = deployed[-1].outputs
    show.rows(outputs["query"], outputs["rows"])
    return 0
