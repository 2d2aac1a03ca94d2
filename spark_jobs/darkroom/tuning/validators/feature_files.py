"""Feature vectors kept from one search to the next, by network and picture.

As in the lake's features table a picture is the SHA-256 of its bytes and a network its key, so that
a vector is computed once, whatever the search, the folds or the rest of the rows.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from pyspark.sql.types import BinaryType, StructType

from darkroom.contract import columns as c
from darkroom.ml.base.attaching import check_new, column, column_type
from darkroom.ml.pictures.featurizer import DeepImageFeaturizer
from darkroom.tuning.matrix import matrix_bytes, matrix_limit

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import Column, DataFrame

_ID: Final = "__darkroom_image_id"

log = logging.getLogger(__name__)


def transformed(stage: Transformer, frame: DataFrame, folder: str | None) -> DataFrame:
    """What ``stage.transform`` answers; known vectors are read, and new ones are added to files.

    Rows keep their order and partitions as long as the vectors are few enough to be broadcast.

    Args:
        stage: Any; only the vectors of a `DeepImageFeaturizer` without errorCol over a column of
            bytes or of image structs are kept.
        frame: What it reads.
        folder: A folder of any Hadoop file system, or None to keep nothing.
    """
    if folder is None or not _can_keep(stage, frame):
        return stage.transform(frame)
    assert isinstance(stage, DeepImageFeaturizer)
    check_new(frame, [("outputCol", stage.getOutputCol())])
    path = f"{folder.rstrip('/')}/{stage._backbone(pooling=stage.getPooling()).key}"
    identified = frame.withColumn(_ID, _image_id(frame, stage.getInputCol()))
    _add_new(stage, identified, path)
    return _joined(stage, identified, path)


def _can_keep(stage: Transformer, frame: DataFrame) -> bool:
    if not isinstance(stage, DeepImageFeaturizer) or stage.isSet(stage.errorCol):
        return False
    kind = column_type(frame, "inputCol", stage.getInputCol())
    return isinstance(kind, BinaryType | StructType)


def _image_id(frame: DataFrame, name: str) -> Column:
    from pyspark.sql import functions as f

    image = column(name)
    if isinstance(frame.schema[name].dataType, BinaryType):
        return f.sha2(image, 256)
    # A struct's pixels say nothing without their arrangement.
    shape = f.concat_ws("x", *[image[part] for part in ("height", "width", "nChannels", "mode")])
    return f.sha2(f.concat(shape.cast("binary"), image["data"]), 256)


def _add_new(stage: DeepImageFeaturizer, identified: DataFrame, path: str) -> None:
    from pyspark.ml.functions import vector_to_array

    name, made = stage.getInputCol(), stage.getOutputCol()
    pictures = identified.select(_ID, name).where(column(name).isNotNull())
    known = _known(identified, path)
    if known is not None:
        pictures = pictures.join(known.select(c.IMAGE_ID), column(_ID) == known[c.IMAGE_ID], "anti")
    if pictures.isEmpty():
        return
    vectors = stage.transform(pictures.dropDuplicates([_ID])).where(column(made).isNotNull())
    array = vector_to_array(column(made), dtype="float32")
    vectors.select(column(_ID).alias(c.IMAGE_ID), array.alias(c.VECTOR)).write.mode(
        "append"
    ).parquet(path)


def _joined(stage: DeepImageFeaturizer, identified: DataFrame, path: str) -> DataFrame:
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as f

    known = _known(identified, path)
    if known is None:  # Not one of the pictures can be read.
        return stage.transform(identified.drop(_ID))
    # Two searches at a time may both have computed a picture's vector: they are the same.
    known = known.dropDuplicates([c.IMAGE_ID])
    (count, width) = known.agg(f.count(c.IMAGE_ID), f.max(f.size(c.VECTOR))).first() or (0, 0)
    vector = array_to_vector(f.col(c.VECTOR))
    metadata: dict[str, Any] = {"ml_attr": {"num_attrs": width}}
    named = known.select(
        f.col(c.IMAGE_ID).alias(f"{_ID}_known"),
        vector.alias(stage.getOutputCol(), metadata=metadata),
    )
    log.info("%s: %d vectors are known in %s", stage.uid, count, path)
    if matrix_bytes(count, width) <= matrix_limit(identified.sparkSession):
        named = f.broadcast(named)
    matched = identified.join(named, column(_ID) == column(f"{_ID}_known"), "left")
    return matched.drop(_ID, f"{_ID}_known")


def _known(frame: DataFrame, path: str) -> DataFrame | None:
    """The vectors of a folder; None if it is not there yet."""
    spark = frame.sparkSession
    jvm: Any = spark.sparkContext._jvm
    folder = jvm.org.apache.hadoop.fs.Path(path)
    system = folder.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    if not system.exists(folder):
        return None
    return spark.read.schema(f"{c.IMAGE_ID} string, {c.VECTOR} array<float>").parquet(path)
