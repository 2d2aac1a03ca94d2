"""Deployed models as Spark SQL functions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from darkroom.contract import ConfigError, DataError, Workspace
from darkroom.contract.names import near_matches, with_companions
from darkroom.contract.stages import CHALLENGER, CHAMPION
from darkroom.files.digests import digest_of
from darkroom.lake import Lake
from darkroom.ml.base.attaching import as_udf, as_udf_of_two
from darkroom.ml.engines import PreparedModel, prepare, ship
from darkroom.ml.ranking import RETURN_TYPE
from darkroom.ml.recognition.recognizer import DETAIL_TYPE, detailing, recognizer, topping
from darkroom.sql.deployments import Deployment, deployed, deployed_version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ALIASES: Final = (CHAMPION, CHALLENGER)
"""Which versions can be asked for by name: the deployed one, and the one that waits."""


def register_functions(
    spark: SparkSession,
    workspace: Workspace,
    names: Iterable[str] | None = None,
    *,
    alias: str = CHAMPION,
    version: str | None = None,
) -> tuple[str, ...]:
    """Registers deployed models as SQL functions of a session, classic or Connect.

    A function takes a picture: BINARY (an encoded picture), Spark's image struct, or STRING (the
    path or URI of a picture). Of a function ``f`` there are three:

    * ``f(image)``: ``ARRAY<STRUCT<label: STRING, probability: FLOAT>>``, best first. NULL for NULL
      and for a picture that cannot be used.
    * ``f_detail(image)``: ``STRUCT<objects, model_version: STRING, error: STRING>``; the error says
      why there are no objects. NULL for NULL.
    * ``f_top(image, k)``: the first k objects; NULL if either is NULL, an error for k below 1.

    A function that is registered again answers from the newer model; a query that runs already
    keeps the model it began with.

    Args:
        spark: The session.
        workspace: Where the models are deployed.
        names: Which functions; None for all.
        alias: ``champion``, the deployed version; or ``challenger``, the version that waits for
            approval in the MLflow registry, as ``f_challenger`` and its two companions.
        version: A version that was deployed before, under the function's own name.

    Returns:
        The names of the registered functions, sorted, without their companions.

    Raises:
        ConfigError: A function of that name, alias or version is not deployed.
        MissingInputError: A deployed model's file is missing.
        DataError: A deployed model's description or file is unusable.
        DarkroomError: The registry does not answer, for the alias ``challenger``.

    Example:
        >>> register_functions(spark, Workspace(Path("workspace")))
        ('my_object_recognition_function',)
    """
    if alias not in ALIASES:
        raise ConfigError(
            "alias", alias, f"there is no such choice, {near_matches(alias, ALIASES)}"
        )
    if version is not None and alias != CHAMPION:
        raise ConfigError("version", version, "give an alias or a version, not both")
    lake = Lake(workspace)
    known = deployed(lake)
    wanted = sorted(known if names is None else set(names))
    for name in wanted:
        if name not in known:
            raise ConfigError("function", name, _not_deployed(name, tuple(known)))
    if alias == CHALLENGER:
        return _register_challengers(spark, workspace, known, wanted, required=names is not None)
    for name in wanted:
        chosen = known[name] if version is None else deployed_version(lake, name, version)
        register_function(spark, workspace, chosen)
    return tuple(wanted)


def register_function(
    spark: SparkSession, workspace: Workspace, deployment: Deployment
) -> PreparedModel:
    """Registers one deployment and its companions; see `register_functions`.

    Returns:
        The model as this machine's engine runs it.
    """
    name, detail, top = with_companions(deployment.function)
    labels = deployment.card(workspace).labels
    prepared = prepare(checked_file(workspace, deployment), workspace.engines)
    shipped = ship(spark, prepared)
    version = deployment.model_version
    functions = {
        name: as_udf(spark, recognizer(name, shipped, labels), RETURN_TYPE),
        detail: as_udf(spark, detailing(detail, shipped, labels, version), DETAIL_TYPE),
        top: as_udf_of_two(spark, topping(top, shipped, labels), RETURN_TYPE),
    }
    # All that takes time is done: the three change hands within milliseconds.
    for function, made in functions.items():
        spark.udf.register(function, made)
    return prepared


def checked_file(workspace: Workspace, deployment: Deployment) -> Path:
    """The deployment's model file, which is the one that was deployed.

    Raises:
        MissingInputError: It is not there.
        DataError: It is another one.
    """
    file = deployment.model_file(workspace)
    found = digest_of(file)
    if found != deployment.model_digest:
        raise DataError(
            f"function {deployment.function}: its model file is {found[:12]}, but "
            f"{deployment.model_digest[:12]} was deployed: deploy pipeline {deployment.pipeline} "
            "again"
        )
    return file


def _register_challengers(
    spark: SparkSession,
    workspace: Workspace,
    known: dict[str, Deployment],
    wanted: list[str],
    *,
    required: bool,
) -> tuple[str, ...]:
    from darkroom.sql.challengers import challenger_of

    registered = []
    for name in wanted:
        found = challenger_of(known[name], workspace)
        if found is None and required:
            model = known[name].model_name
            raise ConfigError(
                "alias", CHALLENGER, f"no version of model {model} waits for approval"
            )
        if found is not None:
            register_function(spark, workspace, found)
            registered.append(found.function)
    return tuple(registered)


def _not_deployed(name: str, known: tuple[str, ...]) -> str:
    return f"not deployed, {near_matches(name, known)}" if known else "no function is deployed"
