"""What every stage over a column of pictures has in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.ml import Transformer

from darkroom.backbones.catalog import Backbone, resolve
from darkroom.contract import ConfigError, WeightsFile
from darkroom.ml.answers import ERROR, VALUE, AnswersOf, image_function, vectors
from darkroom.ml.attaching import Answer, attach, column
from darkroom.ml.engines import (
    Engine,
    PreparedModel,
    default_cache,
    prepare,
    prepare_saved_model,
    ship,
)
from darkroom.ml.image_column import image_kind, images_of
from darkroom.ml.inference import ImageSource, input_size
from darkroom.ml.params import HasBackbone, HasColumns, HasEngine, HasErrorCol
from darkroom.ml.persistence import StageReadable, StageWritable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

Read = Callable[[pa.Array], Iterator[ImageSource]]


@dataclass(frozen=True)
class Output:
    """What a stage's output column holds.

    Attributes:
        kind: Its Spark type.
        answers_of: Makes it from the model's outputs.
        metadata: Of the column.
    """

    kind: DataType
    answers_of: AnswersOf
    metadata: dict[str, Any] = field(default_factory=dict)


class ImageTransformer(
    Transformer, HasColumns, HasErrorCol, HasEngine, StageWritable, StageReadable
):
    """A transformer that runs a model over one column of pictures.

    Nothing that depends on a Param is kept on the instance: a copy with other Params is another
    stage, as a grid search needs it.
    """

    @abstractmethod
    def _prepare(self) -> PreparedModel:
        """The model, ready for its engine; on the driver."""

    @abstractmethod
    def _output(self, prepared: PreparedModel) -> Output:
        """What the output column holds."""

    def _read(self, dataset: DataFrame, prepared: PreparedModel) -> Read:
        """How workers get pictures out of the input column, whose type is checked here."""
        image_kind(dataset, self.getInputCol())
        input_size(prepared)
        return images_of

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.sql.types import StringType

        _require(self, "inputCol")
        image_kind(dataset, self.getInputCol())
        prepared = ship(dataset.sparkSession, self._prepare())
        output = self._output(prepared)
        function = image_function(prepared, self._read(dataset, prepared), output.answers_of)
        error_col = self.getErrorCol() if self.isSet(self.errorCol) else None
        return attach(
            dataset,
            column(self.getInputCol()),
            function,
            {
                VALUE: Answer("outputCol", self.getOutputCol(), output.kind, output.metadata),
                ERROR: Answer("errorCol", error_col, StringType()),
            },
        )


class BackboneTransformer(ImageTransformer, HasBackbone):
    """An `ImageTransformer` whose network has a name or is the user's."""

    def _backbone(self, *, pooling: str = "avg", top: bool = False) -> Backbone:
        named, own = self.isSet(self.modelName), self.isSet(self.modelFile)
        if named == own:
            raise ConfigError(
                "modelName",
                self.getModelName() if named else None,
                f"set either modelName or modelFile of {type(self).__name__}, "
                f"{'not both' if named else 'neither is set'}",
            )
        name = self.getModelName() if named else self.getModelFile()
        weights = {key: WeightsFile.of(key, given) for key, given in self.getWeights().items()}
        return resolve(name, weights, pooling=pooling, top=top)

    def _prepare_backbone(self, backbone: Backbone) -> PreparedModel:
        return prepare_file(backbone.model_file(default_cache() / "models"), self.getEngine())


def prepare_cached(model_file: Path, engine: str) -> PreparedModel:
    """Prepares a Keras file in the cache that does not need a workspace."""
    return prepare(model_file, default_cache() / "engines", Engine(engine))


def prepare_file(file: Path, engine: str) -> PreparedModel:
    """Prepares a model as it is: a Keras file, or a SavedModel's default signature."""
    return prepare_saved_model(file) if file.is_dir() else prepare_cached(file, engine)


def vector_output(prepared: PreparedModel) -> Output:
    """An output column of Spark ML vectors; its metadata tells their length where it is fixed."""
    from pyspark.ml.linalg import VectorUDT

    shape = prepared.outputs[0].shape
    sizes = [size for size in shape if size is not None]
    width = {"ml_attr": {"num_attrs": math.prod(sizes)}} if len(sizes) == len(shape) else {}
    return Output(VectorUDT(), vectors, width)


def _require(stage: ImageTransformer, param: str) -> None:
    if not stage.isDefined(param):
        raise ConfigError(param, None, f"set {param} of {type(stage).__name__}")
