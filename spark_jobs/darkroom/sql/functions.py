"""Deployed models as Spark SQL functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from darkroom.contract import ConfigError, Workspace
from darkroom.contract.names import near_matches
from darkroom.lake import Lake
from darkroom.ml.engines import PreparedModel, prepare, ship
from darkroom.ml.inference import image_predictor
from darkroom.ml.ranking import RETURN_TYPE, rank
from darkroom.sql.deployments import Deployment, deployed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
    prepared = ship(spark, prepare(deployment.model_file(workspace), workspace.engines))
    run = recognizer(deployment.function, prepared, card.labels)
    # PySpark warns of the very argument that its stubs demand: the annotations say it better.
    function = arrow_udf(run, RETURN_TYPE)  # type: ignore[call-overload]
    spark.udf.register(deployment.function, function)


def recognizer(name: str, prepared: PreparedModel, labels: tuple[str, ...]) -> Recognizer:
    """Makes the function that runs in Spark's Python workers.

    Args:
        name: The SQL function's name, for messages.
        prepared: The model; loaded once per worker process, at the first picture.
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
                found = image_predictor(prepared)(images)
                yield rank([prediction.value for prediction in found], labels)

    return recognize


def _check_type(name: str, kind: Any) -> None:
    usable = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)
    if not usable:
        raise TypeError(
            f"{name}(image): image must be BINARY, the bytes of an encoded picture, not {kind}"
        )


def _not_deployed(name: str, known: tuple[str, ...]) -> str:
    return f"not deployed, {near_matches(name, known)}" if known else "no function is deployed"
