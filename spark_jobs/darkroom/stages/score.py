"""Stage 10: predictions of the deployed model for images that have none."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from darkroom.contract import (
    ConfigError,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.lake import Lake, Rows
from darkroom.ml.base.attaching import as_udf
from darkroom.ml.engines import PreparedModel, prepare, ship
from darkroom.ml.recognition.recognizer import DETAIL_TYPE, detailing
from darkroom.sql.deployments import Deployment, deployed
from darkroom.sql.functions import checked_file
from darkroom.stages.run import StageRun
from darkroom.stages.session import spread

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation, SparkSession

NOW: Final = "now"
OPTIONS: Final = {"backfill": "false", "until": NOW}
"""The command line's own options: whether images that an earlier version has scored are scored
again, and the moment (`NOW`, or ISO 8601 with a time zone) whose images are scored."""

COMMIT_IMAGES: Final = 50_000
"""About so many images are scored between two commits: no more is lost with a killed process."""

_FILE: Final = "file"
_ANSWER: Final = "answer"


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any] | None:
    """What the predictions depend on: which images, which model; None while none is deployed."""
    lake = Lake(workspace)
    deployment = deployed(lake).get(config.function)
    if deployment is None:
        return None
    return {
        "images_snapshot": lake.snapshot(config.name, c.IMAGES),
        "eligible_snapshot": _eligible_snapshot(lake, config, run),
        "version": deployment.model_version,
        "model_digest": deployment.model_digest,
        "backfill": _backfill(run),
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the predictions that an earlier result speaks of can still be read."""
    snapshot = result.outputs["predictions_snapshot"]
    return snapshot is None or Lake(workspace).has_snapshot(config.name, c.PREDICTIONS, snapshot)


def score(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Scores each image once, or once per version on request; safe to repeat at any point.

    Reads `images` (image_id, image) and `predictions`; appends to `predictions`. Only files that
    hold an image without prediction are opened, so that a run costs what is new.

    Args:
        spark: The session.
        config: The pipeline; its SQL function says which model is deployed.
        workspace: Where tables and models lie.
        run: Its options are `OPTIONS`.

    Returns:
        Outputs: version, model_digest, scored, unusable, known, files, images_per_second,
        core_seconds, predictions_snapshot. Status UNCHANGED while no model is deployed.

    Raises:
        ConfigError: An option is not usable.
        ConflictError: Another run scored the same pipeline meanwhile; a retry may succeed.
        MissingInputError: The deployed model's file is missing.
        DataError: The deployed model's file is another one.
    """
    lake = Lake(workspace)
    deployment = deployed(lake).get(config.function)
    if deployment is None:
        return _nothing_deployed(config)
    begun = time.perf_counter()
    scoring = _Scoring(spark, lake, config, deployment, run.run_id)
    todo, total = scoring.unscored(_eligible_snapshot(lake, config, run), _backfill(run))
    if todo:
        prepared = prepare(checked_file(workspace, deployment), workspace.engines)
        scoring.score(ship(spark, prepared), todo)
    cores = spark.sparkContext.defaultParallelism
    return scoring.result(total, time.perf_counter() - begun, cores)


@dataclass
class _Scoring:
    """One run's work on one pipeline's tables.

    Attributes:
        spark: The session.
        lake: The tables.
        config: The pipeline.
        deployment: The model.
        run_id: The run.
        images: The snapshot of the images that is worked from.
        base: The snapshot of the predictions that was looked at.
        scored: Images that got a prediction.
        unusable: Those among them that the model could not be given.
        files: Data files with images that were opened.
    """

    spark: SparkSession
    lake: Lake
    config: PipelineConfig
    deployment: Deployment
    run_id: str
    images: int | None = field(init=False)
    base: int | None = field(init=False)
    scored: int = 0
    unusable: int = 0
    files: int = 0

    def __post_init__(self) -> None:
        self.images = self.lake.snapshot(self.config.name, c.IMAGES)
        self.base = self.lake.snapshot(self.config.name, c.PREDICTIONS)

    def unscored(self, eligible: int | None, backfill: bool) -> tuple[dict[str, list[str]], int]:
        """Finds the images without prediction; reads no picture.

        Args:
            eligible: Only images of this snapshot count.
            backfill: Whether an image counts that only other versions have scored.

        Returns:
            Their ids by the data file that holds them, and how many images there are in all.
        """
        from pyspark.sql import functions as f

        name = self.config.name
        if self.images is None or eligible is None:
            return {}, 0
        images = self.lake.read(self.spark, name, c.IMAGES, self.images).select(
            c.IMAGE_ID, f.col("_metadata.file_path").alias(_FILE)
        )
        if eligible != self.images:
            # Not the old snapshot itself: what was deleted since must not come back.
            then = self.lake.read(self.spark, name, c.IMAGES, eligible)
            images = images.join(then.select(c.IMAGE_ID), c.IMAGE_ID, "left_semi")
        known = self.lake.read(self.spark, name, c.PREDICTIONS, self.base)
        if backfill:
            known = known.where(self._is_own())
        rows = images.join(known.select(c.IMAGE_ID), c.IMAGE_ID, "left_anti").collect()
        todo: dict[str, list[str]] = {}
        for row in rows:
            todo.setdefault(row[_FILE], []).append(row[c.IMAGE_ID])
        return todo, images.count()

    def _is_own(self) -> Column:
        """Whether a prediction is the deployed version's; versions count anew in a new registry."""
        from pyspark.sql import functions as f

        model = self.deployment
        same_version = f.col(c.MODEL_VERSION) == model.model_version
        return same_version & (f.col(c.MODEL_DIGEST) == model.model_digest)

    def score(self, prepared: PreparedModel, todo: Mapping[str, Sequence[str]]) -> None:
        """Scores images and commits their predictions, some files at a time.

        Raises:
            ConflictError: Another process changed the predictions meanwhile.
        """
        from pyspark.sql import Observation

        locations = {_tail(location): location for location in self._locations()}
        for part in _parts(todo):
            observed = Observation()
            files = [locations[_tail(file)] for file in part]
            ids = [image_id for file in part for image_id in todo[file]]
            change = self.lake.change(
                self.spark,
                self.config.name,
                c.PREDICTIONS,
                Rows(add=[self._predicted(prepared, files, ids, observed)], growth=len(ids)),
                base=self.base,
                run_id=self.run_id,
                stage=Stage.SCORE,
            )
            self.base = change.snapshot_id
            self.scored += len(ids)
            self.unusable += len(ids) - observed.get[c.LABEL]
            self.files += len(files)

    def result(self, total: int, seconds: float, cores: int) -> StageResult:
        """What the run did, how quickly and at what cost."""
        core_seconds = seconds * cores
        return StageResult(
            stage=Stage.SCORE,
            status=StageStatus.DONE,
            summary=self._summary(total, seconds, cores),
            outputs={
                "version": self.deployment.model_version,
                "model_digest": self.deployment.model_digest,
                "scored": self.scored,
                "unusable": self.unusable,
                "known": total - self.scored,
                "files": self.files,
                "images_per_second": round(self.scored / seconds, 2),
                "core_seconds": round(core_seconds, 2),
                "predictions_snapshot": self.base,
            },
        )

    def _summary(self, total: int, seconds: float, cores: int) -> str:
        model = f"{self.deployment.model_name} version {self.deployment.model_version}"
        if not total:
            return (
                f"nothing to score: {self.config.name} has no images of that time; ingest some, or "
                "name a time whose snapshots are kept"
            )
        if not self.scored:
            return f"nothing new for {model}: all {total:,} images have predictions"
        each = seconds * cores / self.scored
        unusable = f", {self.unusable:,} of them unusable" if self.unusable else ""
        return (
            f"{self.scored:,} images scored with {model} in {seconds:.1f} s{unusable}: "
            f"{self.scored / seconds:,.1f} a second, {each:.3f} core-seconds each; "
            f"{total - self.scored:,} had predictions"
        )

    def _locations(self) -> list[str]:
        from darkroom.lake import files

        table = self.lake.find(self.config.name, c.IMAGES)
        return files.of_snapshot(table, self.images) if table else []

    def _predicted(
        self,
        prepared: PreparedModel,
        files: Sequence[str],
        ids: Sequence[str],
        observed: Observation,
    ) -> DataFrame:
        """Predictions for some images of some files, with the columns of the table."""
        from pyspark.sql import functions as f

        wanted = self.spark.createDataFrame([(each,) for each in ids], f"{c.IMAGE_ID} string")
        images = self.lake.read_files(self.spark, c.IMAGES, files).select(c.IMAGE_ID, c.IMAGE)
        # Broadcast: otherwise the pictures would travel, and not the ids.
        pictures = spread(images.join(f.broadcast(wanted), c.IMAGE_ID, "left_semi"))
        model = self.deployment
        run = detailing(model.function, prepared, model.labels, model.model_version, top=1)
        # Otherwise the network would run once for every field that is read of its answer.
        predict = as_udf(self.spark, run, DETAIL_TYPE).asNondeterministic()
        answered = pictures.select(c.IMAGE_ID, predict(c.IMAGE).alias(_ANSWER))
        best = f.col(_ANSWER)[c.OBJECTS][0]
        return answered.select(
            c.IMAGE_ID,
            f.lit(model.model_name).alias(c.MODEL_NAME),
            f.lit(model.model_version).alias(c.MODEL_VERSION),
            f.lit(model.model_digest).alias(c.MODEL_DIGEST),
            best[c.LABEL].alias(c.LABEL),
            best[c.PROBABILITY].cast("double").alias(c.PROBABILITY),
            f.col(_ANSWER)[c.ERROR].alias(c.ERROR),
            f.lit(dt.datetime.now(dt.UTC)).alias(c.SCORED_AT),
        ).observe(observed, f.count(c.LABEL).alias(c.LABEL))


def _nothing_deployed(config: PipelineConfig) -> StageResult:
    return StageResult(
        stage=Stage.SCORE,
        status=StageStatus.UNCHANGED,
        summary=f"nothing to score with: function {config.function} is not deployed; approve a "
        f"candidate of {config.name} first",
        outputs={"scored": 0, "predictions_snapshot": None},
    )


def _eligible_snapshot(lake: Lake, config: PipelineConfig, run: StageRun) -> int | None:
    """The snapshot of the images at the end of the run's data interval; the current one without."""
    until = run.options.get("until", NOW)
    if until == NOW:
        return lake.snapshot(config.name, c.IMAGES)
    moment = _moment(until)
    table = lake.find(config.name, c.IMAGES)
    found = table.snapshot_as_of_timestamp(int(moment.timestamp() * 1000)) if table else None
    return found.snapshot_id if found else None


def _moment(text: str) -> dt.datetime:
    remedy = "give now, or a moment with a time zone such as 2026-01-31T00:00:00+00:00"
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError("--until", text, remedy) from None
    if moment.tzinfo is None:
        raise ConfigError("--until", text, remedy)
    return moment


def _backfill(run: StageRun) -> bool:
    given = run.options.get("backfill", "false").lower()
    if given not in {"true", "false"}:
        raise ConfigError("--backfill", given, "give true or false")
    return given == "true"


def _parts(todo: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Cuts files into parts of about `COMMIT_IMAGES` images."""
    part: list[str] = []
    images = 0
    for file in sorted(todo):
        part.append(file)
        images += len(todo[file])
        if images >= COMMIT_IMAGES:
            yield part
            part, images = [], 0
    if part:
        yield part


def _tail(location: str) -> str:
    """Folder and name of a file: Spark encodes what lies before, and both hold a random id."""
    return "/".join(location.rsplit("/", 2)[-2:])
