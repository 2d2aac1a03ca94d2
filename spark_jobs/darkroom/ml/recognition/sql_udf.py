"""Keras models as SQL functions of a session."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.backbones.catalog import resolve
from darkroom.contract import ConfigError
from darkroom.contract.names import BACKBONES
from darkroom.files.cache import default_cache, made_once
from darkroom.files.digests import digest_of
from darkroom.files.local import existing
from darkroom.ml.base.attaching import as_udf
from darkroom.ml.base.callables import check_callable, find_callable
from darkroom.ml.base.params import to_engine
from darkroom.ml.engines import Engine, PreparedModel, prepare, ship
from darkroom.ml.inference import input_size
from darkroom.ml.model_files import METADATA_FILE, MODEL_FILE, ModelCard, normalise
from darkroom.ml.pictures.params import to_weights
from darkroom.ml.ranking import RETURN_TYPE
from darkroom.ml.recognition.recognizer import Preprocessor, recognizer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def registerKerasImageUDF(
    name: str,
    model_or_path: Any,
    preprocessor: Preprocessor | str | None = None,
    spark: SparkSession | None = None,
    labels: Sequence[str] | None = None,
    *,
    weights: Mapping[str, Any] | None = None,
    engine: str = "auto",
) -> Any:
    """Registers a classifier as a SQL function on a column of pictures.

    The function takes encoded bytes, Spark's image struct, or a path or URI, and answers
    ``ARRAY<STRUCT<label: STRING, probability: FLOAT>>``, every class, best first; NULL for NULL and
    for a picture that cannot be used.

    Args:
        name: Of the function: letters, digits and underscores.
        model_or_path: A ``keras.Model``, the path of a Keras file or SavedModel folder, or the name
            of a classifier of keras.applications; from one picture to one score per class.
        preprocessor: A function, or ``module:function``, from RGB pixels (height, width, 3) uint8
            to an array of the model's input shape. Without it pictures are resized to the model's
            input and given to it as RGB in 0-255.
        spark: The session; the active one by default.
        labels: Names of the classes in the order of the outputs. By default those in the
            ``model.json`` beside a ``model.keras``, ImageNet's for keras.applications, else the
            outputs' numbers.
        weights: Weights file or URI by model name, where Keras' own are not wanted.
        engine: auto, tensorflow, openvino or onnxruntime.

    Returns:
        The function; it can be called on columns, too.

    Raises:
        ConfigError: An argument cannot be used.

    Example:
        >>> from darkroom import registerKerasImageUDF
        >>> registerKerasImageUDF("my_object_recognition_function", "signs.keras")
        >>> spark.sql("SELECT image, my_object_recognition_function(image) AS objects FROM t")
    """
    from pyspark.sql import SparkSession

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError("name", name, "give letters, digits and underscores")
    session = SparkSession.active() if spark is None else spark
    given = list(labels) if labels is not None else None
    chosen = Engine(to_engine(engine))
    file, known = _file_and_labels(model_or_path, given, weights or {})
    prepared = ship(session, prepare(file, engine=chosen))
    checked = _check_labels(given or known, prepared)
    function = None
    if preprocessor is not None:
        function = find_callable("preprocessor", check_callable("preprocessor")(preprocessor))
    else:
        input_size(prepared)
    run = recognizer(name, prepared, checked, function)
    return session.udf.register(name, as_udf(session, run, RETURN_TYPE))


def _file_and_labels(
    model: Any, labels: Sequence[str] | None, weights: Mapping[str, Any]
) -> tuple[Path, Sequence[str] | None]:
    if not isinstance(model, str | Path):
        return _saved(model), None
    if str(model) in BACKBONES:
        backbone = resolve(str(model), to_weights(weights), top=True)
        names = backbone.class_names(default_cache() / "models", labels)
        return backbone.model_file(default_cache() / "models"), [text for _, text in names]
    file = existing("model_or_path", model)
    card = file.parent / METADATA_FILE
    if file.name == MODEL_FILE and card.is_file():
        return file, ModelCard.read(card).labels
    return file, None


def _saved(model: Any) -> Path:
    """A file of a model in memory, in the cache; equal weights make an equal file."""
    if not hasattr(model, "save"):
        raise ConfigError(
            "model_or_path", model, "give a keras.Model, the path of one, or a model's name"
        )
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / MODEL_FILE
        model.save(file)
        normalise(file)
        folder = default_cache() / "registered" / digest_of(file)
        return made_once(folder, lambda made: _copy(file, made)) / MODEL_FILE


def _copy(file: Path, folder: Path) -> None:
    shutil.copy(file, folder)


def _check_labels(labels: Sequence[str] | None, prepared: PreparedModel) -> tuple[str, ...]:
    shape = prepared.outputs[0].shape
    if len(shape) != 1 or shape[0] is None:
        raise ConfigError(
            "model_or_path", prepared.file, f"its output has shape {shape}: it needs (classes,)"
        )
    if labels is None:
        return tuple(str(number) for number in range(shape[0]))
    if len(labels) != shape[0]:
        raise ConfigError(
            "labels", list(labels), f"the model has {shape[0]} outputs: name each once"
        )
    return tuple(labels)
