"""Accepted images as SQL views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom.contract import Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake
from darkroom.sql.deployments import deployed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

VIEW_COLUMNS = (
    c.PATH,
    c.LABEL,
    c.IMAGE,
    c.SPLIT,
    c.IMAGE_ID,
    c.FORMAT,
    c.MODE,
    c.WIDTH,
    c.HEIGHT,
    c.LENGTH,
    c.MODIFIED_AT,
)


def create_views(spark: SparkSession, workspace: Workspace) -> tuple[str, ...]:
    """Creates the view of every deployed pipeline in a session.

    Args:
        spark: The session.
        workspace: Where the tables lie.

    Returns:
        The names of the views, sorted.

    Raises:
        DataError: A name in the table of functions is not an identifier.
    """
    lake = Lake(workspace)
    pipelines = {known.view: known.pipeline for known in deployed(lake).values()}
    for view, pipeline in pipelines.items():
        create_view(spark, lake, pipeline, view)
    return tuple(sorted(pipelines))


def create_view(spark: SparkSession, lake: Lake, pipeline: str, view: str) -> None:
    """Creates the view of one pipeline's accepted images, as they are now.

    Reads `images` and `splits` (image_id, split). The view has the columns `VIEW_COLUMNS`;
    ``split`` is null for an image that belongs to no split yet.

    Args:
        spark: The session.
        lake: The tables.
        pipeline: The pipeline's name.
        view: The view's name.
    """
    images = lake.read(spark, pipeline, c.IMAGES)
    splits = lake.read(spark, pipeline, c.SPLITS).select(c.IMAGE_ID, c.SPLIT)
    frame = images.join(splits, c.IMAGE_ID, "left").select(*VIEW_COLUMNS)
    frame.createOrReplaceTempView(view)


def view_snapshots(lake: Lake) -> dict[str, tuple[int | None, int | None]]:
    """The snapshots that each deployed pipeline's view would show now, by pipeline."""
    pipelines = {known.pipeline for known in deployed(lake).values()}
    return {
        pipeline: (lake.snapshot(pipeline, c.IMAGES), lake.snapshot(pipeline, c.SPLITS))
        for pipeline in sorted(pipelines)
    }
