"""Stage 9: the champion answers from SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from darkroom.contract import (
    ConfigError,
    DataError,
    GateFailedError,
    MissingInputError,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
)
from darkroom.contract import columns as c
from darkroom.contract.names import functions_of
from darkroom.contract.stages import CHAMPION
from darkroom.lake import Lake
from darkroom.ml.engines import Engine, prefer
from darkroom.ml.model_files import METADATA_FILE, MODEL_FILE
from darkroom.registry.champion import settle
from darkroom.registry.ledger import Ledger
from darkroom.registry.versions import Registry, digest_of
from darkroom.sql.deployments import Deployment, deployed, newest_of, publish
from darkroom.sql.errors import one_line
from darkroom.sql.functions import register_function
from darkroom.sql.serving import record_refusal
from darkroom.sql.views import create_view
from darkroom.stages.run import StageRun

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import Row, SparkSession

WHO = "deploy"
"""Who refuses a model here, in the ledger."""

SMOKE_ROWS = 5
TOP_OBJECTS = 3
"""How many objects per image the stage's outputs show."""


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any]:
    """What the deployment depends on: the champion, the names, the images."""
    del run
    champion = _champion(Registry(config.name), workspace)
    return {
        "function": config.function,
        "view": config.view,
        "version": champion.version,
        "model_digest": digest_of(champion),
        "engine": config.features.engine,
        "images_snapshot": Lake(workspace).snapshot(config.name, c.IMAGES),
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the function that an earlier result deployed still is the newest, with its files."""
    newest = deployed(Lake(workspace)).get(config.function)
    if newest is None:
        return False
    folder = workspace.root / newest.model_path
    return (
        newest.view == config.view
        and newest.model_version == result.outputs["version"]
        and newest.model_digest == result.outputs["model_digest"]
        and all((folder / name).is_file() for name in (MODEL_FILE, METADATA_FILE))
    )


def deploy(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Fetches the champion, tries it as a SQL function, then publishes it for every session.

    Nobody else sees a function before it has answered the smoke query.

    Args:
        spark: The session; it gets the function and the view.
        config: The pipeline; names the function and the view.
        workspace: Where the model files and the table of functions lie.
        run: The run.

    Returns:
        Outputs: function, version, model_digest, withdrawn (the function's earlier name, where it
        has another one now, else None), query, rows [{path, objects}].

    Raises:
        ConfigError: Spark SQL has a function of that name already.
        MissingInputError: The pipeline has no champion or no images.
        GateFailedError: The registry's file was changed, nobody has approved the champion, or the
            smoke query is not answered well; the ledger has a row about the latter.
    """
    registry = Registry(config.name)
    champion = _champion(registry, workspace)
    _check_free(spark, config.function)
    package = registry.fetch(champion, workspace.models)
    labels = package.card.labels
    deployment = Deployment(
        function=config.function,
        pipeline=config.name,
        view=config.view,
        model_name=config.name,
        model_version=champion.version,
        model_digest=package.digest,
        model_path=str(package.folder.relative_to(workspace.root)),
        labels=labels,
        deployed_at=dt.datetime.now(dt.UTC),
        run_id=run.run_id,
    )
    lake = Lake(workspace)
    prefer(package.model_file, workspace.engines, Engine(config.features.engine))
    create_view(spark, lake, config.name, config.view)
    query = smoke_query(config.function, config.view)
    rows = _tried(spark, workspace, deployment, query)
    withdrawn = _earlier_name(lake, config)
    published = publish(lake, deployment)
    news = "deployed" if published else "was deployed already"
    farewell = f"; function {withdrawn} is withdrawn" if withdrawn else ""
    return StageResult(
        stage=Stage.DEPLOY,
        status=StageStatus.DONE,
        summary=f"SQL function {config.function} {news}: {config.name} version "
        f"{champion.version}, {len(rows)} rows of view {config.view} answered{farewell}",
        outputs={
            "function": config.function,
            "version": champion.version,
            "model_digest": package.digest,
            "withdrawn": withdrawn,
            "query": query,
            "rows": [_shown(row) for row in rows],
        },
    )


def smoke_query(function: str, view: str) -> str:
    """SQL that calls a function on the first images by path, and on no others.

    A plain ORDER BY ... LIMIT would run the network over every image before it sorts; an ORDER BY
    around the call would run it twice, for Spark samples what it is about to sort. And only the
    paths of the whole table are sorted, not its pictures.
    """
    first = f"SELECT {c.PATH} FROM `{view}` ORDER BY {c.PATH} LIMIT {SMOKE_ROWS}"
    return (
        f"SELECT {c.PATH}, `{function}`({c.IMAGE}) AS {c.OBJECTS} FROM (\n"
        f"  SELECT {c.PATH}, {c.IMAGE} FROM `{view}`\n"
        f"  WHERE {c.PATH} IN ({first})\n"
        f"  ORDER BY {c.PATH})"
    )


def check_answers(rows: Sequence[Row], labels: Sequence[str], function: str) -> None:
    """Checks what the smoke query returned.

    Args:
        rows: Have the columns path and objects.
        labels: The model's class names.
        function: For the messages.

    Raises:
        MissingInputError: There is no row.
        GateFailedError: An accepted image has no answer, or one with unknown labels.
    """
    if not rows:
        raise MissingInputError(
            f"function {function} could not be tried: the view has no image; run ingest first"
        )
    for row in rows:
        if not row[c.OBJECTS]:
            raise GateFailedError(f"function {function} has no answer for image {row[c.PATH]}")
        unknown = {found[c.LABEL] for found in row[c.OBJECTS]} - set(labels)
        if unknown:
            raise GateFailedError(
                f"function {function} answers labels that its model does not have for image "
                f"{row[c.PATH]}: {', '.join(sorted(map(str, unknown)))}"
            )


def _tried(
    spark: SparkSession, workspace: Workspace, deployment: Deployment, query: str
) -> list[Row]:
    """Rows of the smoke query; a model that does not answer well is refused, on the record.

    Raises:
        MissingInputError: There is no image to try it on.
        GateFailedError: It does not load, or does not answer well; what was deployed stays.
    """
    from pyspark.errors import PySparkException

    try:
        register_function(spark, workspace, deployment)
        rows = spark.sql(query).collect()
        check_answers(rows, deployment.labels, deployment.function)
    except (DataError, GateFailedError, PySparkException) as error:
        reason = one_line(error, spark) if isinstance(error, PySparkException) else str(error)
        newest = newest_of(Lake(workspace), deployment.pipeline)
        serving = newest.model_version if newest else None
        record_refusal(workspace, deployment, serving, WHO, reason)
        stays = f"version {serving} goes on answering" if serving else "nothing answers yet"
        raise GateFailedError(
            f"{deployment.model_name} version {deployment.model_version} is refused, {stays}: "
            f"{reason}"
        ) from None
    return rows


def _earlier_name(lake: Lake, config: PipelineConfig) -> str | None:
    """What the pipeline's function is called until now, where that is another name."""
    newest = newest_of(lake, config.name)
    return newest.function if newest and newest.function != config.function else None


def _champion(registry: Registry, workspace: Workspace) -> ModelVersion:
    position = settle(registry, Ledger(Lake(workspace), registry.name))
    position.check()
    if position.alias is None:
        raise MissingInputError(
            f"model {registry.name} has no {CHAMPION}: approve a {registry.name} candidate first"
        )
    return registry.version(position.alias)


def _check_free(spark: SparkSession, function: str) -> None:
    # `function` is an identifier; SHOW takes a pattern, in which only * and | are special.
    pattern = "|".join(functions_of(function))
    taken = [row[0] for row in spark.sql(f"SHOW SYSTEM FUNCTIONS LIKE '{pattern}'").collect()]
    if taken:
        which = "of that name" if function in taken else taken[0]
        raise ConfigError("function", function, f"Spark SQL has a function {which}: choose another")


def _shown(row: Row) -> dict[str, Any]:
    best = row[c.OBJECTS][:TOP_OBJECTS]
    objects = [
        {c.LABEL: found[c.LABEL], c.PROBABILITY: float(found[c.PROBABILITY])} for found in best
    ]
    return {c.PATH: row[c.PATH], c.OBJECTS: objects}
