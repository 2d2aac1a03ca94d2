"""The command line: ``python -m local_stack demo|run|rollback|up``."""

from __future__ import annotations

import sys

import click

from local_stack.layout import Layout


@click.group()
def main() -> None:
    """Runs Darkroom on this machine: Airflow, MLflow and a report server on loopback."""


@main.command()
def demo() -> None:
    """Generates photographs, trains, approves, deploys, and asks in SQL."""
    from local_stack.demo import run_demo

    sys.exit(run_demo(Layout.from_environment()))


@main.command()
@click.option("--pipeline", required=True, help="The pipeline's name: a-z, 0-9 and _.")
@click.option("--source", help="Image folder with one sub-folder per class.")
@click.option(
    "--approve",
    is_flag=False,
    flag_value="yes",
    metavar="[yes|no]",
    help="Approve what the gate lets pass; without it the run stops at the question.",
)
def run(pipeline: str, source: str | None, approve: str | None) -> None:
    """Runs one pipeline headless."""
    from local_stack.run import run_pipeline

    sys.exit(run_pipeline(Layout.from_environment(), pipeline, source or None, approve or "no"))


@main.command()
@click.option("--pipeline", required=True, help="The pipeline's name.")
@click.option("--reason", required=True, help="Why the champion has to go.")
@click.option("--version", help="Which version; by default the champion before this one.")
def rollback(pipeline: str, reason: str, version: str | None) -> None:
    """Makes an earlier champion answer again."""
    from local_stack.rollback import run_rollback

    sys.exit(run_rollback(Layout.from_environment(), pipeline, reason, version or None))


@main.command()
def up() -> None:
    """Runs the stack for people until Ctrl-C."""
    from local_stack.up import run_up

    sys.exit(run_up(Layout.from_environment()))


if __name__ == "__main__":
    main(prog_name="local_stack")
