"""Tables, folders and files as SQL views."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from darkroom.contract import DataError, ViewConfig, ViewKind, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import predictions_view, shadow_view
from darkroom.lake import Lake
from darkroom.sql.deployments import deployed
from darkroom.sql.errors import one_line

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MappedViews = Callable[[], Mapping[str, ViewConfig]]
"""Says which views are mapped to paths, by name."""

MAPPED_SECONDS: Final = 60.0
"""After so long a mapped path is listed again, for its files have changed unseen."""

log = logging.getLogger(__name__)

PREDICTED: Final = {c.PREDICTIONS: predictions_view, c.SHADOW_PREDICTIONS: shadow_view}
"""Tables that have a view as they are, and its name for a pipeline."""

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
    """Creates the views of every deployed pipeline in a session: its images, its predictions.

    What versions answered that were not deployed is a view of its own.

    Args:
        spark: The session.
        workspace: Where the tables lie.

    Returns:
        The names of the views, sorted.

    Raises:
        DataError: A name in the table of functions is not an identifier.
    """
    lake = Lake(workspace)
    made = []
    for known in deployed(lake).values():
        create_view(spark, lake, known.pipeline, known.view)
        made.append(known.view)
        for table, view_of in PREDICTED.items():
            view = view_of(known.pipeline)
            lake.read(spark, known.pipeline, table).createOrReplaceTempView(view)
            made.append(view)
    return tuple(sorted(made))


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


def create_mapped_view(spark: SparkSession, name: str, view: ViewConfig) -> None:
    """Creates a view that a pipeline's file maps to a path, with the files there now.

    A folder of pictures has the columns path (STRING), image (BINARY, encoded), length (LONG) and
    modified_at (TIMESTAMP); Parquet has its own.

    Args:
        spark: The session.
        name: The view's name.
        view: What it shows.

    Raises:
        DataError: The path cannot be read.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as f

    try:
        if view.shows is ViewKind.PARQUET:
            frame = spark.read.parquet(view.path)
        else:
            files = spark.read.format("binaryFile").option("recursiveFileLookup", True)
            frame = files.load(view.path).select(
                c.PATH,
                f.col("content").alias(c.IMAGE),
                c.LENGTH,
                f.col("modificationTime").alias(c.MODIFIED_AT),
            )
        frame.createOrReplaceTempView(name)
    except PySparkException as error:
        reason = one_line(error, spark)
        raise DataError(f"view {name}: {view.path} cannot be read: {reason}") from None


def view_snapshots(lake: Lake) -> dict[tuple[str, str], tuple[int | None, ...]]:
    """The snapshots that the views of deployed pipelines would show now, by pipeline and view."""
    views = {(known.pipeline, known.view) for known in deployed(lake).values()}
    tables = (c.IMAGES, c.SPLITS, *PREDICTED)
    return {
        (pipeline, view): tuple(lake.snapshot(pipeline, table) for table in tables)
        for pipeline, view in sorted(views)
    }


class Views:
    """The views of a gateway, made anew when what they show has changed."""

    def __init__(self, spark: SparkSession, workspace: Workspace, mapped: MappedViews) -> None:
        """Args: spark: the session; workspace: whose tables; mapped: the mapped views by name."""
        self._spark = spark
        self._workspace = workspace
        self._mapped = mapped
        self._snapshots: object = None
        self._own: tuple[str, ...] = ()
        self._made: dict[str, ViewConfig] = {}
        self._looked_at = -MAPPED_SECONDS
        self.problems: dict[str, str] = {}
        """Why a mapped view cannot be shown, by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """All views there are, sorted."""
        return tuple(sorted({*self._own, *self._made}))

    def follow(self) -> bool:
        """Makes views anew where a table or the mapping has changed; a path, now and then.

        Returns:
            True if a table's view or the list of views is another one.
        """
        before = self.names
        snapshots = view_snapshots(Lake(self._workspace))
        changed = snapshots != self._snapshots
        if changed:
            own = create_views(self._spark, self._workspace)
            for renamed in set(self._own) - set(own):
                self._spark.catalog.dropTempView(renamed)
            self._own = own
            self._snapshots = snapshots
        self._follow_mapped()
        return changed or self.names != before

    def _follow_mapped(self) -> None:
        wanted = {n: view for n, view in self._mapped().items() if n not in self._own}
        for name in set(self._made) - set(wanted):
            if name not in self._own:
                self._spark.catalog.dropTempView(name)
            del self._made[name]
        self.problems = {n: problem for n, problem in self.problems.items() if n in wanted}
        due = time.monotonic() - self._looked_at >= MAPPED_SECONDS
        if due:
            self._looked_at = time.monotonic()
        for name, view in wanted.items():
            if due or (self._made.get(name) != view and name not in self.problems):
                self._make(name, view)

    def _make(self, name: str, view: ViewConfig) -> None:
        try:
            create_mapped_view(self._spark, name, view)
        except DataError as error:
            if self.problems.get(name) != str(error):
                log.error("%s", error)
            self.problems[name] = str(error)
        else:
            self.problems.pop(name, None)
            self._made[name] = view
