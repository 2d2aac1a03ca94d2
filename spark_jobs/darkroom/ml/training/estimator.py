"""Trains Keras networks on pictures, as many at a time as Spark has cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark import keyword_only
from pyspark.ml import Estimator

from darkroom.contract import ConfigError, DarkroomError, one_line
from darkroom.contract.names import MODEL_FILE_SUFFIXES
from darkroom.files.cache import default_cache
from darkroom.files.local import existing
from darkroom.ml.base.callables import find_callable
from darkroom.ml.base.persistence import StageReadable, StageWritable
from darkroom.ml.engines import Engine
from darkroom.ml.training.fit_params import parse_fit_params, parse_loss, parse_optimizer
from darkroom.ml.training.folder import new_training_folder
from darkroom.ml.training.jobs import Recipe, Trained, train_all
from darkroom.ml.training.model import KerasImageFileModel
from darkroom.ml.training.params import DROP, TrainingParams

if TYPE_CHECKING:
    from pyspark.ml.param import Param
    from pyspark.sql import DataFrame

ParamMap = Mapping["Param[Any]", Any]
Function = TypeVar("Function")


class KerasImageFileEstimator(
    Estimator[KerasImageFileModel], TrainingParams, StageWritable, StageReadable
):
    """Trains a Keras network on a column of pictures and a column of labels.

    Input: ``inputCol`` of encoded bytes, of Spark's image struct, or of paths and URIs. Pictures
    are decoded to RGB and resized to the network's input (batch, height, width, 3), float32 in
    0-255: the network holds its own preprocessing. With ``imageLoader`` a column of URIs is
    read by that function, which returns arrays of the network's input shape in its own range.

    Labels: ``labelCol`` of strings (indexed in sorted order), class indices 0 .. n-1, or one-hot
    arrays or vectors; they are brought to the form that the loss takes. The network ends in
    softmax with one unit per class, or, of two classes, in sigmoid with one unit.

    ``fit`` with several param maps, and `CrossValidator` and `TrainValidationSplit` through
    ``fitMultiple``, train one whole network per Spark task, as many at a time as there are cores.
    Every picture is decoded once and written to files that the tasks stream; neither pictures nor
    networks pass through the driver. Those files, and the trained networks until they are saved,
    lie below ``DARKROOM_CACHE``, which on a cluster must be a folder that all machines share.

    The same data and seed give the same weights, whatever the partitions and cores of the session.

    Args:
        inputCol: Column of pictures.
        outputCol: Column that the fitted model adds: a vector of probabilities, one per class.
        labelCol: Column of labels; ``label`` by default.
        modelFile: Keras file (.keras, .h5) of the network to train, its weights included.
        modelFn: Instead of modelFile, a function that returns the uncompiled network.
        imageLoader: Function from a URI to an array; not set: pictures as everywhere in Darkroom.
        kerasOptimizer: Name or dict of a Keras optimizer; ``adam`` by default.
        kerasLoss: Name or dict of a Keras loss; ``categorical_crossentropy`` by default.
        kerasFitParams: See `darkroom.ml.training.fit_params.FitParams`.
        classLabels: The labels, where the data may lack some of them.
        badImages: ``error`` (default) or ``drop``: rows without a readable picture or a label.
        predictionCol: Column that the fitted model adds besides: index of the best class.
        engine: Of the fitted model: auto (default), tensorflow, openvino or onnxruntime.
        errorCol: Of the fitted model: column for reasons; none by default.

    Example:
        >>> from darkroom import KerasImageFileEstimator
        >>> estimator = KerasImageFileEstimator(
        ...     inputCol="image",
        ...     outputCol="probabilities",
        ...     modelFn=small_network,
        ...     kerasOptimizer={"name": "adam", "learning_rate": 1e-3},
        ...     kerasFitParams={"batch_size": 100, "epochs": 5, "validation_split": 0.2},
        ... )
        >>> model = estimator.fit(images)
        >>> model.history["val_accuracy"]
        [0.61, 0.72, 0.78, 0.81, 0.83]
    """

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        labelCol: str | None = None,
        modelFile: str | Path | None = None,
        modelFn: Callable[[], Any] | str | None = None,
        imageLoader: Callable[[str], Any] | str | None = None,
        kerasOptimizer: str | Mapping[str, Any] | None = None,
        kerasLoss: str | Mapping[str, Any] | None = None,
        kerasFitParams: Mapping[str, Any] | None = None,
        classLabels: Sequence[str | int] | None = None,
        badImages: str | None = None,
        predictionCol: str | None = None,
        engine: str | None = None,
        errorCol: str | None = None,
    ) -> None:
        super().__init__()
        self._set_given(self._input_kwargs)

    def fitMultiple(
        self, dataset: DataFrame, paramMaps: Sequence[ParamMap]
    ) -> Iterator[tuple[int, KerasImageFileModel]]:
        """Trains one network per param map, at the same time; returns when all are trained.

        Args:
            dataset: Has ``inputCol`` and ``labelCol``.
            paramMaps: What each network changes of this estimator's Params.

        Returns:
            A thread-safe iterator over (index of the param map, model). Where a training failed,
            its turn raises `DarkroomError` with the param map and the reason.

        Raises:
            ConfigError: A Param cannot be used; nothing was trained.
            DataError: The rows cannot be trained on; nothing was trained.
        """
        stages = [self.copy(dict(changes)) for changes in paramMaps]
        trained = _train(dataset, stages) if stages else []
        return _Fitted(stages, trained, [_shown(changes) for changes in paramMaps])

    def _fit(self, dataset: DataFrame) -> KerasImageFileModel:
        (trained,) = _train(dataset, [self])
        if trained.error is not None:
            raise DarkroomError(f"the training failed: {trained.error}")
        return _model_of(self, trained)


class _Fitted(Iterator[tuple[int, KerasImageFileModel]]):
    """What ``fitMultiple`` returns; several threads may take from it."""

    def __init__(
        self,
        stages: Sequence[KerasImageFileEstimator],
        trained: Sequence[Trained],
        shown: Sequence[str],
    ) -> None:
        self._stages = stages
        self._trained = trained
        self._shown = shown
        self._next = iter(range(len(stages)))
        self._lock = threading.Lock()

    def __next__(self) -> tuple[int, KerasImageFileModel]:
        with self._lock:
            index = next(self._next)
        trained = self._trained[index]
        if trained.error is not None:
            raise DarkroomError(
                f"the training of param map {index + 1} of {len(self._stages)} "
                f"({self._shown[index]}) failed: {trained.error}"
            )
        return index, _model_of(self._stages[index], trained)


def _train(dataset: DataFrame, stages: Sequence[KerasImageFileEstimator]) -> list[Trained]:
    recipes = [_recipe(dataset, stage) for stage in stages]
    return train_all(dataset, recipes, new_training_folder(default_cache() / "training"))


def _model_of(stage: KerasImageFileEstimator, trained: Trained) -> KerasImageFileModel:
    assert trained.fitted is not None  # Who asks has looked for an error.
    model = KerasImageFileModel()
    # It keeps a uid of its own: CrossValidator passes the param map to `transform` too, and a
    # modelFile in it must not replace the trained one.
    stage._copyValues(model)
    return model._set(
        modelFile=str(trained.file),
        classLabels=list(trained.classes),
        trainingHistory=trained.fitted.history,
    )


def _recipe(dataset: DataFrame, stage: KerasImageFileEstimator) -> Recipe:
    stage._require("inputCol")
    return Recipe(
        image_col=stage.getInputCol(),
        label_col=stage.getLabelCol(),
        loader=_portable("imageLoader", stage._loader(dataset)),
        classes=tuple(stage.getClassLabels()) if stage.isSet(stage.classLabels) else None,
        drop_bad=stage.getBadImages() == DROP,
        **_network(stage),
        optimizer=parse_optimizer(stage.getKerasOptimizer()),
        loss=parse_loss(stage.getKerasLoss()),
        fit=parse_fit_params(stage.getKerasFitParams()),
        engine=Engine(stage.getEngine()),
    )


def _network(stage: KerasImageFileEstimator) -> dict[str, Any]:
    if stage._either("modelFile", "modelFn") == "modelFn":
        function = find_callable("modelFn", stage.getModelFn())
        return {"model_file": None, "model_fn": _portable("modelFn", function)}
    file = stage.getModelFile()
    if not file.endswith(MODEL_FILE_SUFFIXES):
        raise ConfigError("modelFile", file, "give a Keras model, a .keras or .h5 file")
    return {"model_file": existing("modelFile", file, folder=False), "model_fn": None}


def _portable(field: str, function: Function) -> Function:
    """The function, if it can be sent to workers."""
    from pyspark.cloudpickle import dumps

    try:
        dumps(function)  # type: ignore[no-untyped-call]
    except Exception as error:
        remedy = f"it cannot be sent to the workers: {one_line(error)}"
        raise ConfigError(field, function, remedy) from None
    return function


def _shown(changes: ParamMap) -> str:
    return ", ".join(f"{param.name}={value!r}" for param, value in changes.items())
