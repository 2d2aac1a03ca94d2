"""Stage 11: is the world still what the deployed model was trained on?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from darkroom.backbones.catalog import Backbone, resolve
from darkroom.contract import PipelineConfig, Stage, StageResult, StageStatus, Workspace
from darkroom.contract import columns as c
from darkroom.contract.workspace import safe_name
from darkroom.evaluation.resampling import share_interval
from darkroom.files.digests import digest_of_json
from darkroom.lake import Lake
from darkroom.monitoring.delayed_labels import fingerprint, read_labels
from darkroom.monitoring.history import Alarm, History, Judgement, WindowResult, alarm, to_judge
from darkroom.monitoring.page import PageData, Shown, write_page
from darkroom.monitoring.reading import Reader
from darkroom.monitoring.sampling import Sample
from darkroom.monitoring.signals import Compared, Limits, compare_all
from darkroom.monitoring.windows import Window, last_ones, number_at
from darkroom.registry.lineage import trained_on
from darkroom.registry.package import ModelPackage
from darkroom.sql.deployments import Deployment, deployed
from darkroom.stages.options import NOW, flag_of, moment_of
from darkroom.stages.run import StageRun
from darkroom.validation.pictures import show_images

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPTIONS: Final = {"unfinished": "false", "until": NOW}
"""The command line's own options: whether a window is judged that is not over yet, and the moment
(`NOW`, or ISO 8601 with a time zone) that is looked back from."""

MONITORING_VERSION: Final = "1"
"""Part of the inputs: raise it when a change of the code changes what is found."""

FOLDER: Final = "monitoring"
"""Name of the folder of its reports: runs of other DAGs can have the same id."""

_PICTURES: Final = 12


def nothing_to_do(
    config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult | None:
    """Why there is nothing to compare; None where there is."""
    del run
    lake = Lake(workspace)
    if config.function not in deployed(lake):
        return _idle(
            f"nothing to monitor: function {config.function} is not deployed; approve a candidate "
            f"of {config.name} first"
        )
    if lake.snapshot(config.name, c.PREDICTIONS) is None:
        return _idle(
            f"nothing to monitor: no image of {config.name} has a prediction; run "
            f"{config.name}_scoring first"
        )
    return None


def inputs(config: PipelineConfig, workspace: Workspace, run: StageRun) -> Mapping[str, Any] | None:
    """What the judgement depends on; None where only Spark can tell whether labels changed.

    Raises:
        ConfigError: The file of delayed labels is missing, or an option is not usable.
    """
    lake, settings = Lake(workspace), config.monitoring
    deployment = deployed(lake)[config.function]
    labels = fingerprint(settings.labels) if settings.labels else ""
    if labels is None:
        return None
    until = _until(run)
    return {
        "version": deployment.model_version,
        "model_digest": deployment.model_digest,
        "images_snapshot": lake.snapshot(config.name, c.IMAGES),
        "rejected_snapshot": lake.snapshot(config.name, c.REJECTED_IMAGES),
        "predictions_snapshot": lake.snapshot_at(config.name, c.PREDICTIONS, until),
        "window": number_at(until, settings.span),
        "unfinished": flag_of(run, "unfinished"),
        "settings": {**asdict(settings), "schedule": None, "labels": labels},
        "code": MONITORING_VERSION,
    }


def still_there(result: StageResult, config: PipelineConfig, workspace: Workspace) -> bool:
    """Whether the report of an earlier result, and what it said of the windows, exist."""
    del config
    if not result.outputs["judged"]:
        return True
    left = (result.report, result.outputs.get("history"))
    return all(path is not None and (workspace.root / path).exists() for path in left)


def monitor(
    spark: SparkSession, config: PipelineConfig, workspace: Workspace, run: StageRun
) -> StageResult:
    """Judges the last windows of recent images, and says whether drift persists.

    Reads `images`, `splits`, `predictions`, `features` and `rejected_images`; writes none of them.
    A window's result replaces what an earlier run said of the same window.

    Args:
        spark: The session.
        config: The pipeline; its group ``monitoring`` says what counts as drift.
        workspace: Where tables and models lie; holds the history, and gets the report.
        run: Its options are `OPTIONS`; with ``force`` the latest window is judged in any case.

    Returns:
        Outputs: version, model_digest, window, window_number, judged, images, labelled, judgement,
        drifted, signals, accuracy, alarm, reason, history; of these judged alone, which is 0 then,
        while there is no window to judge.

    Raises:
        ConfigError: An option, or the backbone, is not usable.
        DataError: The delayed labels, or the model's file, are not usable.
        MissingInputError: Nothing says what trained the model.
    """
    lake = Lake(workspace)
    deployment = deployed(lake)[config.function]
    settings = config.monitoring
    reader = Reader(
        spark=spark,
        workspace=workspace,
        config=config,
        deployment=deployment,
        lineage=trained_on(
            lake, config.name, deployment.model_version, deployment.model_digest[:12]
        ),
        until=_until(run),
        labels=read_labels(spark, settings.labels) if settings.labels else None,
    )
    try:
        known = reader.windows()
        unfinished = flag_of(run, "unfinished")
        windows = last_ones(known, settings.of_windows, unfinished=unfinished)
        monitoring = _Monitoring(reader, run)
        todo = to_judge(
            windows, monitoring.history.results(), basis=monitoring.basis, force=run.force
        )
        if not todo:
            return _idle(_why_idle(known, windows, config), StageStatus.DONE)
        monitoring.judge(todo)
        return monitoring.result(windows[-1], len(todo))
    finally:
        reader.close()


@dataclass(frozen=True)
class _Monitoring:
    """One run's judging.

    Attributes:
        reader: Reads the images.
        run: The run.
    """

    reader: Reader
    run: StageRun

    @property
    def config(self) -> PipelineConfig:
        return self.reader.config

    @property
    def deployment(self) -> Deployment:
        return self.reader.deployment

    @cached_property
    def history(self) -> History:
        model = self.deployment
        return History.of(
            self.reader.workspace.drift(self.config.name),
            model.model_version,
            model.model_digest,
            self.config.monitoring.span,
        )

    @cached_property
    def basis(self) -> str:
        """What tells results apart that the same images may have."""
        settings = self.config.monitoring
        labels = fingerprint(settings.labels) if settings.labels else None
        judged_by = [asdict(self._limits), labels, MONITORING_VERSION]
        return digest_of_json(judged_by)

    @cached_property
    def backbone(self) -> Backbone | None:
        """The deployed model's; None where the model does not say which."""
        folder = self.reader.workspace.root / self.deployment.model_path
        package = ModelPackage(folder=folder, digest=self.deployment.model_digest)
        name = package.metadata.get("backbone")
        return resolve(name, self.config.features.weights) if name else None

    @cached_property
    def reference(self) -> Sample:
        return self.reader.reference(self.backbone)

    @cached_property
    def compared(self) -> dict[int, tuple[Sample, Compared]]:
        """What this run compared, by the window's number."""
        return {}

    def judge(self, windows: Sequence[Window]) -> None:
        """Judges windows and keeps the results."""
        for window in windows:
            self.history.put(self._judged(window))

    def result(self, latest: Window, judged: int) -> StageResult:
        """What the history says now, with its report.

        Args:
            latest: The last window that counts for this run.
            judged: How many windows this run judged.
        """
        root = self.reader.workspace.root
        results = [one for one in self.history.results() if one.window.number <= latest.number]
        said = alarm(results, self.config.monitoring.alarm_after, self.config.monitoring.of_windows)
        file = write_page(self._page(results, said), self._report_folder)
        last = results[-1]
        return StageResult(
            stage=Stage.MONITOR,
            status=StageStatus.DONE,
            summary=f"{'DRIFT' if said.raised else 'no alarm'}: {said.reason}; "
            f"{last.window.images:,} images with {self._model}",
            outputs={
                "version": self.deployment.model_version,
                "model_digest": self.deployment.model_digest,
                "window": last.window.shown,
                "window_number": last.window.number,
                "judged": judged,
                "images": last.window.images,
                "labelled": last.window.labelled,
                "judgement": last.judgement,
                "drifted": list(last.drifted),
                "signals": [asdict(signal) for signal in last.signals],
                "accuracy": last.accuracy,
                "alarm": said.raised,
                "reason": said.reason,
                "history": self.history.folder.relative_to(root).as_posix(),
            },
            report=file.relative_to(root).as_posix(),
        )

    @property
    def _model(self) -> str:
        return f"{self.deployment.model_name} version {self.deployment.model_version}"

    def _judged(self, window: Window) -> WindowResult:
        least = self.config.monitoring.min_images
        if window.images < least:
            return self._too_few(window, f"{window.images:,} images, it takes {least:,}")
        if len(self.reference) < least:
            images = len(self.reference)
            return self._too_few(window, f"{images:,} held-out images, it takes {least:,}")
        now = self.reader.window(window, self.backbone)
        files = self.reader.files(window)
        compared = compare_all(now, self.reference, files, self._limits)
        self.compared[window.number] = now, compared
        return WindowResult.of(window, compared, self._accuracy(now), self.basis, self.run.run_id)

    def _too_few(self, window: Window, reason: str) -> WindowResult:
        return WindowResult(
            window=window,
            judgement=Judgement.TOO_FEW,
            reason=reason,
            unmeasured={},
            basis=self.basis,
            run_id=self.run.run_id,
        )

    @property
    def _limits(self) -> Limits:
        settings = self.config.monitoring
        return Limits(
            tolerated=settings.tolerated,
            false_alarms=settings.false_alarms,
            min_images=settings.min_images,
        )

    def _accuracy(self, now: Sample) -> dict[str, float] | None:
        images = len(now.right)
        low, high = share_interval(int(now.right.sum()), images, self.config.gate.confidence)
        if low is None or high is None:
            return None
        was = self.reference.right
        return {
            "value": float(now.right.mean()),
            "low": low,
            "high": high,
            "images": images,
            **({"reference": float(was.mean())} if len(was) else {}),
        }

    @property
    def _report_folder(self) -> Path:
        reports = self.reader.workspace.reports
        return reports / self.config.name / FOLDER / safe_name(self.run.run_id)

    def _page(self, results: Sequence[WindowResult], said: Alarm) -> PageData:
        now, compared = self.compared.get(results[-1].window.number, (None, None))
        odd = compared.unusual if compared else ()
        reference: Sequence[Shown] = ()
        recent: Sequence[Shown] = ()
        if now is not None:
            chosen = self.reference.ids[:_PICTURES], (odd or now.ids)[:_PICTURES]
            reference, recent = self._shown(chosen, now)
        return PageData(
            pipeline=self.config.name,
            run_id=self.run.run_id,
            model=self._model,
            settings=self.config.monitoring,
            confidence=self.config.gate.confidence,
            alarm=said,
            results=results,
            reference_images=len(self.reference) if reference else 0,
            reference=reference,
            recent=recent,
            unusual=bool(odd),
        )

    def _shown(
        self, chosen: tuple[Sequence[str], Sequence[str]], now: Sample
    ) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
        """Some images of the reference, and of the window, with what the model says of them."""
        said = dict(zip(now.ids, now.labels, strict=True))
        said |= dict(zip(self.reference.ids, self.reference.labels, strict=True))
        shown = show_images(self.reader.pictures(), (), {*chosen[0], *chosen[1]})
        found = {one.image_id: Shown(one, said[one.image_id]) for one in shown}
        first, second = (tuple(found[one] for one in ids if one in found) for ids in chosen)
        return first, second


def _until(run: StageRun) -> dt.datetime:
    return moment_of(run, "until") or dt.datetime.now(dt.UTC)


def _idle(reason: str, status: StageStatus = StageStatus.UNCHANGED) -> StageResult:
    return StageResult(stage=Stage.MONITOR, status=status, summary=reason, outputs={"judged": 0})


def _why_idle(known: Sequence[Window], windows: Sequence[Window], config: PipelineConfig) -> str:
    if windows:
        return f"nothing new since the window {windows[-1].shown} was judged"
    if not known:
        return (
            f"nothing to monitor: no image that {config.name} got since its model was trained has "
            "a prediction of that model"
        )
    return (
        f"nothing to judge yet: no window of {config.monitoring.span} is over, the first one has "
        f"{known[0].images:,} images"
    )
