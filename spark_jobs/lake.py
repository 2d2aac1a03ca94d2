"""Housekeeping of a pipeline's tables: ``python spark_jobs/lake.py --help`` lists the commands."""

from __future__ import annotations

import datetime as dt
import getpass
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from darkroom.contract import Workspace
from darkroom.lake import Lake, housekeeping
from darkroom.lake.history import OldSnapshot
from darkroom.stages.script import one_line_errors, say, workspace_option

Command = Callable[..., Any]


def _shared(command: Command) -> Command:
    """Options that every command has."""
    pipeline = click.option("--pipeline", required=True, help="The pipeline's name.")
    return pipeline(workspace_option(command))


@click.group()
def main() -> None:
    """Keeps the tables of a pipeline tidy."""


@main.command()
@_shared
@click.option(
    "--image-id", "image_ids", multiple=True, required=True, help="SHA-256 of a picture's file."
)
def forget(pipeline: str, workspace: Path, image_ids: tuple[str, ...]) -> None:
    """Removes pictures, their features and predictions from all current tables, for good.

    Earlier snapshots hold them until `expire --image-id` removes these. Models that were trained on
    them, reports and Data Docs are not touched.
    """
    lake = Lake(Workspace(workspace))
    run_id = f"forget-{uuid.uuid4()}"
    done = housekeeping.forget(lake, pipeline, image_ids, who=getpass.getuser(), run_id=run_id)
    rows = ", ".join(f"{count:,} of {table}" for table, count in done.rows.items())
    say(f"removed {rows}" if rows else "nothing to remove from the current tables")
    _show("snapshots that still hold it; remove them with expire --image-id:", done.holders)


@main.command()
@_shared
@click.option("--image-id", "image_ids", multiple=True, help="Only snapshots that hold it.")
@click.option(
    "--days",
    type=click.IntRange(min=0),
    help="Only snapshots replaced longer ago; default 30, or 0 with --image-id.",
)
@click.option("--tagged", is_flag=True, help="Also snapshots with a tag; the tag goes as well.")
def expire(
    pipeline: str, workspace: Path, image_ids: tuple[str, ...], days: int | None, tagged: bool
) -> None:
    """Removes old snapshots, with the files that no other snapshot names."""
    age = dt.timedelta(days=days if days is not None else 0 if image_ids else 30)
    done = housekeeping.expire(
        Lake(Workspace(workspace)),
        pipeline,
        before=dt.datetime.now(dt.UTC) - age,
        image_ids=image_ids,
        tagged=tagged,
    )
    gone = [snapshot for one in done for snapshot in one.snapshots]
    files = sum(one.files for one in done)
    say(f"{len(gone):,} snapshots expired, {files:,} files deleted")
    kept = tuple(snapshot for one in done for snapshot in one.protected)
    _show("kept because of their tags; --tagged removes them:", kept)


@main.command()
@_shared
def compact(pipeline: str, workspace: Path) -> None:
    """Puts many small files of a table together into few large ones; needs Spark."""
    from darkroom.lake.compaction import compact as compact_tables
    from darkroom.stages.session import start_session

    spark = start_session(f"{pipeline} compact")
    run_id = f"compact-{uuid.uuid4()}"
    try:
        done = compact_tables(spark, Lake(Workspace(workspace)), pipeline, run_id)
    finally:
        spark.stop()
    for one in done:
        say(f"{one.table}: {one.before:,} small files became {one.after:,}")
    if not done:
        say("no table has many small files")


@main.command()
@_shared
@click.option(
    "--hours",
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help="Spares what is younger: its writer may be at work.",
)
def vacuum(pipeline: str, workspace: Path, hours: int) -> None:
    """Deletes files that no snapshot names: what writers left behind who died."""
    place = Workspace(workspace)
    done = housekeeping.vacuum(Lake(place), place, pipeline, dt.timedelta(hours=hours))
    listed = ", ".join(f"{count:,} of {what}" for what, count in done.items())
    say(f"deleted {listed}" if listed else "nothing is left behind")


def _show(title: str, snapshots: tuple[OldSnapshot, ...]) -> None:
    if snapshots:
        say(title)
    for snapshot in snapshots:
        say(str(snapshot), indent="  ")


if __name__ == "__main__":
    with one_line_errors():
        main()
