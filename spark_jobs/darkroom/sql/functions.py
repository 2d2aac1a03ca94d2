"""Deployed models as Spark SQL functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.contract import ConfigError, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import near_matches
from darkroom.lake import Lake
from darkroom.ml.inference import predictor
from darkroom.sql.deployments import Deployment, deployed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RETURN_TYPE: Final = f"array<struct<{c.LABEL}: string, {c.PROBABILITY}: float>>"
"""What every function answers, best first."""

Recognizer = Callable[[Iterator[pa.Array]], Iterator[pa.Array]]


def register_functions(
    spark: SparkSession, workspace: Workspace, names: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Registers deployed models as SQL functions of a session.

    A function takes one BINARY column, an encoded picture, and answers
    ``ARRAY<STRUCT<label: STRING, probability: FLOAT>>``, best first. NULL and bytes that are no
    readable picture give NULL. A function that is registered again answers from its newest model.

    Args:
        spark: The session.
        workspace: Where the models are deployed.
        names: Which functions; None for all.

    Returns:
        The names of the registered functions, sorted.

    Raises:
        ConfigError: A function of that name is not deployed.
        MissingInputError: A deployed model's file is missing.
        DataError: A deployed model's description is unusable.

    Example:
        >>> register_functions(spark, Workspace(Path("workspace")))
        ('my_object_recognition_function',)
    """
    known = deployed(Lake(workspace))
    wanted = sorted(known if names is None else set(names))
    for name in wanted:
        if name not in known:
            raise ConfigError("function", name, _not_deployed(name, tuple(known)))
    for name in wanted:
        register_function(spark, workspace, known[name])
    return tuple(wanted)


def register_function(spark: SparkSession, workspace: Workspace, deployment: Deployment) -> None:
    """Registers one deployment as a SQL function; see `register_functions`."""
    from pyspark.sql.pandas.functions import arrow_udf

    card = deployment.card(workspace)
    model_file = str(deployment.model_file(workspace))
    run = recognizer(deployment.function, model_file, card.height, card.width, card.labels)
    # PySpark warns of the very argument that its stubs demand: the annotations say it better.
    function = arrow_udf(run, RETURN_TYPE)  # type: ignore[call-overload]
    spark.udf.register(deployment.function, function)


def recognizer(
    name: str, model_file: str, height: int, width: int, labels: tuple[str, ...]
) -> Recognizer:
    """Makes the function that runs in Spark's Python workers.

    Args:
        name: The SQL function's name, for messages.
        model_file: Keras file; loaded once per worker process, at the first picture.
        height: Input height in pixels.
        width: Input width in pixels.
        labels: Class names in the order of the model's outputs.

    Returns:
        A function from batches of encoded pictures to batches of answers of the same lengths.
    """

    def recognize(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for batch in batches:
            _check_type(name, batch.type)
            images = batch.to_pylist()
            if batch.null_count == len(batch):
                yield rank([None] * len(batch), labels)
            else:
                yield rank(predictor(model_file, height, width)(images), labels)

    return recognize


def rank(scores: list[NDArray[np.float32] | None], labels: tuple[str, ...]) -> pa.Array:
    """Turns a model's outputs into answers, best first; of equals, the first label comes first.

    Args:
        scores: Per image one probability (0..1) per label, or None.
        labels: Class names in the order of the scores.

    Returns:
        Arrow list of structs (label, probability); null where the scores are None.

    Raises:
        ValueError: A model answers with another number of scores than there are labels.
    """
    known = [row for row in scores if row is not None]
    if any(row.shape != (len(labels),) for row in known):
        raise ValueError(f"the model answers {known[0].shape[0]} scores for {len(labels)} labels")
    table = np.array(known, dtype=np.float32).reshape(len(known), len(labels))
    order = np.argsort(-table, axis=1, kind="stable")
    objects = pa.StructArray.from_arrays(
        [
            pa.array(labels, type=pa.string()).take(pa.array(order.ravel())),
            pa.array(np.take_along_axis(table, order, axis=1).ravel()),
        ],
        names=[c.LABEL, c.PROBABILITY],
    )
    absent = np.array([row is None for row in scores], dtype=bool)
    ends = np.cumsum(np.where(absent, 0, len(labels)))
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), objects, mask=pa.array(absent))


def _check_type(name: str, kind: Any) -> None:
    usable = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)
    if not usable:
        raise TypeError(
            f"{name}(image): image must be BINARY, the bytes of an encoded picture, not {kind}"
        )


def _not_deployed(name: str, known: tuple[str, ...]) -> str:
    return f"not deployed, {near_matches(name, known)}" if known else "no function is deployed"
