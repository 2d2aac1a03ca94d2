"""The command line that all entrypoints share: parse, call the stage, report, exit."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from darkroom.contract import (
    ConfigError,
    DarkroomError,
    ExitCode,
    PipelineConfig,
    Stage,
    StageResult,
    StageStatus,
    Workspace,
    one_line,
)
from darkroom.contract.config import with_overrides
from darkroom.registry.client import in_one_line
from darkroom.stages.run import StageRun, input_key, recall, remember
from darkroom.stages.session import process_age, start_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SparkWork = Callable[["SparkSession", PipelineConfig, Workspace, StageRun], StageResult]
PlainWork = Callable[[PipelineConfig, Workspace, StageRun], StageResult]
Inputs = Callable[[PipelineConfig, Workspace, StageRun], Mapping[str, Any] | None]
NothingToDo = Callable[[PipelineConfig, Workspace, StageRun], StageResult | None]
StillThere = Callable[[StageResult, PipelineConfig, Workspace], bool]
Addition = Callable[[StageResult, PipelineConfig, Workspace, StageRun], StageResult]


@dataclass(frozen=True, kw_only=True)
class StageCommand:
    """An entrypoint's declaration.

    Attributes:
        stage: Which stage it runs.
        work: The stage's function; it gets a Spark session first unless it is ``plain``.
        inputs: Everything the result depends on (JSON values), or None for a stage that must
            always run. Called before a Spark session exists; may answer None where only a
            session could tell.
        nothing_to_do: The result of a run that has no work, None for one that has; called before
            a Spark session exists.
        still_there: Whether what an earlier result points to still exists; None when a result
            can not go stale.
        addition: What is added to the result of this run alone, an earlier one's too; None for
            nothing.
        options: Names of the stage's own required text options.
        defaults: Names of its other text options, and what they are unless they are given.
        key_option: The option that tells mapped tasks of one stage apart.
        plain: True for a stage that needs no Spark session.
    """

    stage: Stage
    work: SparkWork | PlainWork
    inputs: Inputs | None = None
    nothing_to_do: NothingToDo | None = None
    still_there: StillThere | None = None
    addition: Addition | None = None
    options: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    key_option: str | None = None
    plain: bool = False

    def main(self) -> None:
        """Runs the stage as the process's command line says, then exits."""
        show_own_log()
        command = click.Command(
            self.stage.entrypoint,
            params=[
                *_shared_options(),
                *(_option(name) for name in self.options),
                *(_option(name, default) for name, default in self.defaults.items()),
            ],
            callback=self._run,
            help=f"Runs the stage {self.stage} of a pipeline.",
        )
        command.main(prog_name=self.stage.entrypoint)

    def _run(
        self,
        config: Path,
        workspace: Path,
        run_id: str,
        overrides: tuple[str, ...],
        force: bool,
        **options: str,
    ) -> None:
        pipeline = None
        place = Workspace(workspace)
        key = options.get(self.key_option) if self.key_option else None
        # The file's name stands in until the configuration has been read.
        folder = place.run(config.stem, run_id)
        try:
            pipeline = load_config(config, overrides)
            folder = place.run(pipeline.name, run_id)
            run = StageRun(folder=folder, options=options, force=force)
            result = self._execute(pipeline, place, run)
            if self.addition:
                result = self.addition(result, pipeline, place, run)
        except Exception as raised:
            error = in_one_line(raised) or raised
            result = _failure(self.stage, error)
            code = error.exit_code if isinstance(error, DarkroomError) else ExitCode.INTERNAL
        else:
            code = ExitCode.GATE if result.status is StageStatus.FAILED else ExitCode.OK
        folder.write(result, key)
        _announce(result, key)
        sys.stdout.flush()
        sys.exit(code)

    def _execute(self, config: PipelineConfig, workspace: Workspace, run: StageRun) -> StageResult:
        started_up = process_age()
        idle = self.nothing_to_do(config, workspace, run) if self.nothing_to_do else None
        if idle is not None:
            return replace(idle, started_up_seconds=started_up)
        known = self.inputs(config, workspace, run) if self.inputs else None
        key = input_key(known) if known is not None else None
        if key and not run.force:
            earlier = recall(workspace, config.name, self.stage, key)
            if earlier and (not self.still_there or self.still_there(earlier, config, workspace)):
                return replace(earlier, started_up_seconds=started_up)
        result, seconds, started_up = self._work(config, workspace, run, started_up)
        result = replace(result, seconds=seconds, started_up_seconds=started_up)
        if key:
            remember(workspace, config.name, key, result)
        return result

    def _work(
        self, config: PipelineConfig, workspace: Workspace, run: StageRun, started_up: float
    ) -> tuple[StageResult, float, float]:
        """Returns the result, the seconds of the work and those of the start-up before it."""
        if self.plain:
            begun = time.perf_counter()
            result = self.work(config, workspace, run)  # type: ignore[call-arg,arg-type]
            return result, time.perf_counter() - begun, started_up
        spark = start_session(f"{config.name} {self.stage} {run.run_id}")
        started_up = process_age()
        begun = time.perf_counter()
        try:
            result = self.work(spark, config, workspace, run)  # type: ignore[call-arg,arg-type]
            return result, time.perf_counter() - begun, started_up
        finally:
            spark.stop()


def load_config(file: Path, overrides: tuple[str, ...] = ()) -> PipelineConfig:
    """Reads and validates a pipeline's YAML file.

    Args:
        file: The YAML file.
        overrides: ``dotted.name=value`` each; the value is read as YAML.

    Returns:
        The validated configuration.

    Raises:
        ConfigError: The file is missing, is not YAML, or a field is wrong.
    """
    try:
        values = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise ConfigError("--config", str(file), "there is no such file") from None
    except yaml.YAMLError as error:
        reason = one_line(error, limit=None)
        raise ConfigError("--config", str(file), f"not valid YAML: {reason}") from None
    if not isinstance(values, dict):
        raise ConfigError("--config", str(file), "the file must hold a mapping of fields")
    return PipelineConfig.from_mapping(with_overrides(values, _parse_overrides(overrides)))


def _parse_overrides(overrides: tuple[str, ...]) -> dict[str, Any]:
    parsed = {}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not name:
            raise ConfigError("--set", override, "write it as dotted.name=value")
        try:
            parsed[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError("--set", override, "the value is not valid YAML") from None
    return parsed


def _failure(stage: Stage, error: Exception) -> StageResult:
    known = isinstance(error, DarkroomError)
    if not known:
        traceback.print_exception(error)
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    summary = first_line if known else f"unexpected {type(error).__name__}: {first_line}"
    return StageResult(
        stage=stage,
        status=StageStatus.FAILED,
        summary=summary,
        permanent=known and error.permanent,  # type: ignore[attr-defined]
    )


def show_own_log() -> None:
    """Sends what this library reports of its progress, and no other library, to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    own = logging.getLogger("darkroom")
    own.addHandler(handler)
    own.setLevel(logging.INFO)
    own.propagate = False


def _announce(result: StageResult, key: str | None) -> None:
    name = result.stage if key is None else f"{result.stage}[{key}]"
    stream = sys.stderr if result.status is StageStatus.FAILED else sys.stdout
    label = "error: " if result.status is StageStatus.FAILED else ""
    click.echo(f"{name}: {label}{result.summary} ({result.seconds:.1f} s)", file=stream)


def _shared_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            required=True,
            help="The pipeline's YAML file.",
        ),
        click.Option(
            ["--workspace"],
            type=click.Path(path_type=Path),
            default=os.environ.get("DARKROOM_WORKSPACE", "workspace"),
            show_default=True,
            help="Folder of all tables, models and reports.",
        ),
        click.Option(["--run-id"], required=True, help="The run that this stage belongs to."),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="NAME=VALUE",
            help="Replaces a field of the configuration, for example source.path=photos.",
        ),
        click.Option(["--force"], is_flag=True, help="Work even when nothing has changed."),
    ]


def _option(name: str, default: str | None = None) -> click.Option:
    return click.Option([f"--{name.replace('_', '-')}"], required=default is None, default=default)
