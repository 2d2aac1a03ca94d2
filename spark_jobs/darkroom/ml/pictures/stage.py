"""What every stage over a column of pictures has in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.ml import Transformer

from darkroom.backbones.catalog import Backbone, resolve
from darkroom.files.cache import default_cache
from darkroom.ml.answers import ERROR, VALUE, AnswersOf, vectors
from darkroom.ml.base.attaching import Answer, attach, column
from darkroom.ml.base.params import HasColumns, HasEngine, HasErrorCol
from darkroom.ml.base.persistence import StageReadable, StageWritable
from darkroom.ml.engines import Engine, PreparedModel, prepare, ship
from darkroom.ml.inference import Read, image_function, input_shape, input_size
from darkroom.ml.pictures.column import image_kind, images_of, loaded_by
from darkroom.ml.pictures.params import HasBackbone, HasImageLoader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType


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
    def _prepare(self) -> tuple[PreparedModel, Output]:
        """The model, ready for its engine, and what its answers become; on the driver."""

    def _read(self, dataset: DataFrame, prepared: PreparedModel) -> Read:
        """How workers get pictures out of the input column, which is known to hold some."""
        del dataset
        input_size(prepared)
        return images_of

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self._require("inputCol")
        image_kind(dataset, self.getInputCol())
        model, output = self._prepare()
        prepared = ship(dataset.sparkSession, model)
        function = image_function(prepared, self._read(dataset, prepared), output.answers_of)
        return attach(
            dataset,
            column(self.getInputCol()),
            function,
            {
                VALUE: Answer("outputCol", self.getOutputCol(), output.kind, output.metadata),
                ERROR: self._error_answer(),
            },
        )


class LoaderTransformer(ImageTransformer, HasImageLoader):
    """An `ImageTransformer` whose pictures a function of the user's may read."""

    def _read(self, dataset: DataFrame, prepared: PreparedModel) -> Read:
        loader = self._loader(dataset)
        if loader is None:
            return super()._read(dataset, prepared)
        return partial(loaded_by, loader, input_shape(prepared))


class BackboneTransformer(ImageTransformer, HasBackbone):
    """An `ImageTransformer` whose network has a name or is the user's."""

    def _backbone(self, *, pooling: str = "avg", top: bool = False) -> Backbone:
        name: str = self.getOrDefault(self._either("modelName", "modelFile"))
        return resolve(name, self.getWeights(), pooling=pooling, top=top)

    def _prepare_backbone(self, backbone: Backbone) -> PreparedModel:
        file = backbone.model_file(default_cache() / "models")
        return prepare(file, engine=Engine(self.getEngine()))


def vector_output(prepared: PreparedModel) -> Output:
    """An output column of Spark ML vectors; its metadata tells their length where it is fixed."""
    from pyspark.ml.linalg import VectorUDT

    shape = prepared.outputs[0].shape
    sizes = [size for size in shape if size is not None]
    width = {"ml_attr": {"num_attrs": math.prod(sizes)}} if len(sizes) == len(shape) else {}
    return Output(VectorUDT(), vectors, width)
