"""Deployed models as Spark SQL functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from darkroom.contract import ConfigError, Workspace
from darkroom.contract.names import near_matches
from darkroom.lake import Lake
from darkroom.ml.answers import ArrowFunction
from darkroom.ml.base.attaching import as_udf
from darkroom.ml.engines import PreparedModel, prepare, ship
from darkroom.ml.inference import ImageSource, encoded
from darkroom.ml.ranking import RETURN_TYPE
from darkroom.ml.recognition.recognizer import answering
from darkroom.sql.deployments import Deployment, deployed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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
    card = deployment.card(workspace)
    prepared = ship(spark, prepare(deployment.model_file(workspace), workspace.engines))
    run = recognizer(deployment.function, prepared, card.labels)
    spark.udf.register(deployment.function, as_udf(spark, run, RETURN_TYPE))


def recognizer(name: str, prepared: PreparedModel, labels: tuple[str, ...]) -> ArrowFunction:
    """Makes the function that runs in Spark's Python workers.

    Args:
        name: The SQL function's name, for messages.
        prepared: The model; loaded once per worker process, at the first picture.
        labels: Class names in the order of the model's outputs.

    Returns:
        A function from batches of encoded pictures to batches of answers of the same lengths.
    """

    def images_of(batch: pa.Array) -> Iterator[ImageSource]:
        _check_type(name, batch.type)
        return encoded(batch)

    return answering(prepared, labels, images_of)


def _check_type(name: str, kind: Any) -> None:
    usable = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)
    if not usable:
        raise TypeError(
            f"{name}(image): image must be BINARY, the bytes of an encoded picture, not {kind}"
        )


def _not_deployed(name: str, known: tuple[str, ...]) -> str:
    return f"not deployed, {near_matches(name, known)}" if known else "no function is deployed"
