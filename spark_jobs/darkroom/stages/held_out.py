"""The test images of a run, and what models say of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from darkroom.contract import DataError, PipelineConfig, Stage, Workspace
from darkroom.contract import columns as c
from darkroom.evaluation.facets import facets
from darkroom.evaluation.predictions import HeldOut, Predictions
from darkroom.lake import Lake
from darkroom.ml.engines import Engine, PreparedModel, prepare, ship
from darkroom.ml.inference import predict_images
from darkroom.registry.package import ModelPackage
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

PREDICTIONS_FILE: Final = "predictions.parquet"

_FACTS: Final = (c.ROOT, c.WIDTH, c.HEIGHT, c.BRIGHTNESS, c.METADATA)


@dataclass(frozen=True)
class TestSplit:
    """The test split of a run.

    Attributes:
        frame: image_id, image; persisted until `close`.
        images: Everything else that is known about them, by image id.
    """

    __test__ = False  # It is no test, whatever its name says.

    frame: DataFrame
    images: HeldOut

    @classmethod
    def of(
        cls, spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
    ) -> TestSplit:
        """Reads `images` and `splits` at the run's snapshots.

        Raises:
            ConfigError: ``gate.slices`` names a column that no image has.
        """
        from pyspark.sql import functions as f

        ingested = run.earlier(Stage.INGEST)
        lake = Lake(workspace)
        images = lake.read(spark, config.name, c.IMAGES, ingested["images_snapshot"])
        splits = lake.read(spark, config.name, c.SPLITS, ingested["splits_snapshot"])
        test = splits.where(f.col(c.SPLIT) == c.TEST).select(c.IMAGE_ID, c.GROUP_ID)
        joined = images.where(f.col(c.LABEL).isNotNull()).join(
            test.dropDuplicates([c.IMAGE_ID]), c.IMAGE_ID
        )
        wanted = (c.IMAGE_ID, c.PATH, c.LABEL, c.GROUP_ID, c.IMAGE, *_FACTS)
        frame = joined.select(*wanted).repartition(spark.sparkContext.defaultParallelism).persist()
        facts = frame.drop(c.IMAGE).toArrow().sort_by(c.IMAGE_ID).to_pydict()
        held_out = HeldOut(
            image_ids=tuple(facts[c.IMAGE_ID]),
            paths=tuple(facts[c.PATH]),
            truths=tuple(facts[c.LABEL]),
            groups=tuple(facts[c.GROUP_ID]),
            facets=facets(config.gate.slices, facts),
        )
        return cls(frame, held_out)

    def close(self) -> None:
        """Lets go of the images; nothing more can be asked quickly."""
        self.frame.unpersist()

    def encoded(self, places: Sequence[int]) -> list[bytes]:
        """The images at some places, in that order."""
        from pyspark.sql import functions as f

        wanted = [self.images.image_ids[place] for place in places]
        if not wanted:
            return []
        rows: list[Any] = (
            self.frame.where(f.col(c.IMAGE_ID).isin(*wanted)).select(c.IMAGE_ID, c.IMAGE).collect()
        )
        found = {row[c.IMAGE_ID]: bytes(row[c.IMAGE]) for row in rows}
        return [found[image_id] for image_id in wanted]


@dataclass(frozen=True)
class Model:
    """A model that can be asked.

    Attributes:
        package: Its files.
        prepared: What workers run.
    """

    package: ModelPackage
    prepared: PreparedModel

    @classmethod
    def ready(
        cls,
        spark: SparkSession,
        package: ModelPackage,
        config: PipelineConfig,
        workspace: Workspace,
    ) -> Model:
        """Prepares a package for the pipeline's engine, and has all workers get it."""
        engine = Engine(config.features.engine)
        return cls(package, ship(spark, prepare(package.model_file, workspace.engines, engine)))

    def says(self, split: TestSplit) -> Predictions:
        """Runs the model over the test images on Spark; probabilities alone come back.

        Raises:
            DataError: A test image cannot be decoded, or is answered with what is no number.
        """
        asked = split.frame.select(c.IMAGE_ID, c.PATH, c.IMAGE)
        scored = predict_images(asked, self.prepared, image_col=c.IMAGE, output_col=c.VECTOR)
        table = scored.toArrow().sort_by(c.IMAGE_ID)
        vectors = table.column(c.VECTOR)
        if vectors.null_count:
            first = table.column(c.PATH)[vectors.is_null().index(True).as_py()].as_py()
            raise DataError(
                f"{vectors.null_count} of {len(table)} test images cannot be decoded, first "
                f"{first!r}: the images table is damaged, ingest them again"
            )
        labels = self.package.card.labels
        flat = vectors.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        probabilities = np.asarray(flat, np.float32).reshape(len(table), len(labels))
        broken = ~np.isfinite(probabilities).all(axis=1)
        if broken.any():
            first = table.column(c.PATH)[int(broken.argmax())].as_py()
            raise DataError(
                f"model {self.package.digest[:12]} answers {broken.sum()} of {len(table)} test "
                f"images with NaN or infinity, first {first!r}: its network is broken, train anew"
            )
        return Predictions(images=split.images, labels=labels, probabilities=probabilities)


def store_predictions(folder: Path, candidate: Predictions, champion: Predictions | None) -> Path:
    """Writes what the models said as Parquet, one row per test image.

    Args:
        folder: Where to; made when missing.
        candidate: What the candidate said.
        champion: What the champion said, if there is one.

    Returns:
        The file: image_id, path, label, predicted, probability, probabilities (in the order of
        the labels in the file's metadata), the same of the champion, and the slices.
    """
    import pyarrow.parquet as pq

    table = _table(candidate, champion)
    folder.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=folder, prefix=f".{PREDICTIONS_FILE}.")
    os.close(handle)
    pq.write_table(table, scratch, compression="zstd")
    os.chmod(scratch, 0o644)
    os.replace(scratch, folder / PREDICTIONS_FILE)
    return folder / PREDICTIONS_FILE


def _table(candidate: Predictions, champion: Predictions | None) -> pa.Table:
    import json

    import pyarrow as pa

    images = candidate.images
    columns: dict[str, Any] = {
        c.IMAGE_ID: pa.array(images.image_ids, pa.string()),
        c.PATH: pa.array(images.paths, pa.string()),
        c.LABEL: pa.array(images.truths, pa.string()),
    }
    labels = {}
    for prefix, said in (("", candidate), ("champion_", champion)):
        if said is None:
            continue
        flat = pa.array(said.probabilities.ravel())
        starts = pa.array(np.arange(len(images) + 1, dtype=np.int32) * len(said.labels))
        columns[f"{prefix}predicted"] = pa.array(said.predicted, pa.string())
        columns[f"{prefix}{c.PROBABILITY}"] = pa.array(said.confidence.astype(np.float32))
        columns[f"{prefix}probabilities"] = pa.ListArray.from_arrays(starts, flat)
        labels[f"{prefix}{c.LABELS}"] = json.dumps(said.labels)
    for name, values in images.facets.items():
        columns[name] = pa.array(values, pa.string())
    return pa.table(columns).replace_schema_metadata(labels)
