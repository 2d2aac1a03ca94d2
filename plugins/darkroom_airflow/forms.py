"""The typed trigger forms, and how their values become command-line options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from airflow.sdk import Param

from darkroom.contract import PipelineConfig
from darkroom.contract.names import BACKBONES, MODEL_FILE_SUFFIXES

FORCE = "force"
BACKFILL = "backfill"
UNFINISHED = "unfinished"
BACKBONE_CHOICE = "backbones"
KEEP_DAYS = "keep_days"
VERSION = "version"
REASON = "reason"
REASON_LENGTH = 1000
_FIELDS = {
    "source": "source.path",
    BACKBONE_CHOICE: "features.backbones",
    "folds": "tuning.folds",
}
"""Field of the configuration that each parameter of the form replaces, for this run only."""


def training_form(config: PipelineConfig) -> dict[str, Param]:
    """The trigger form of a training run; its defaults are what the pipeline's file says."""
    model_file = "|".join(suffix.removeprefix(".") for suffix in MODEL_FILE_SUFFIXES)
    return {
        "source": _source(config),
        BACKBONE_CHOICE: Param(
            list(config.features.backbones),
            type="array",
            minItems=1,
            uniqueItems=True,
            items={
                "type": "string",
                "anyOf": [{"enum": list(BACKBONES)}, {"pattern": rf"\.({model_file})$"}],
            },
            title="Backbones",
            description="Networks that turn images into features; the best one wins. All but "
            "'embedded' need their weights downloaded once.",
            examples=[*dict.fromkeys((*config.features.backbones, *BACKBONES))],
        ),
        "folds": Param(
            config.tuning.folds,
            type="integer",
            minimum=2,
            maximum=20,
            title="Cross-validation folds",
            description="More folds: a steadier estimate, a longer run. No more than the smallest "
            "class has images.",
            examples=[3, 5, 10],
        ),
        FORCE: Param(
            False,
            type="boolean",
            title="Work even when nothing has changed",
            description="Without this, a stage whose inputs are the same as before returns its "
            "earlier result at once.",
        ),
    }


# A run that an asset started has no data interval: it takes what is there.
_INTERVAL: Final = {"until": "{{ data_interval_end | default('now', true) }}"}

SCORING_OPTIONS: Final = {BACKFILL: f"{{{{ params.{BACKFILL} | string | lower }}}}", **_INTERVAL}
"""Options of the stage score, as templates of its run."""


def scoring_form() -> dict[str, Param]:
    """The trigger form of a scoring run."""
    return {
        BACKFILL: Param(
            False,
            type="boolean",
            title="Score old images again",
            description="Without this, only images that no version has scored get predictions. "
            "With it, the deployed version also scores those that only earlier versions have.",
        ),
        FORCE: Param(
            False,
            type="boolean",
            title="Look even when nothing has changed",
            description="Without this, a run with the same images and the same model returns its "
            "earlier result at once. No image is scored twice either way.",
        ),
    }


MONITORING_OPTIONS: Final = {
    UNFINISHED: f"{{{{ params.{UNFINISHED} | string | lower }}}}",
    **_INTERVAL,
}
"""Options of the stage monitor, as templates of its run."""


def monitoring_form() -> dict[str, Param]:
    """The trigger form of a monitoring run."""
    return {
        UNFINISHED: Param(
            False,
            type="boolean",
            title="Judge the window that is not over yet",
            description="Without this, only windows to which no image comes any more are judged. "
            "Later runs replace what is said of it now.",
        ),
        FORCE: Param(
            False,
            type="boolean",
            title="Judge even when nothing has changed",
            description="Without this, a run without new images or labels is skipped. With it, the "
            "latest window is judged again.",
        ),
    }


def maintenance_form(config: PipelineConfig) -> dict[str, Param]:
    """The trigger form of a maintenance run; its default is what the pipeline's file says."""
    return {
        KEEP_DAYS: Param(
            config.maintenance.keep_days,
            type="integer",
            minimum=1,
            title="Days that a replaced snapshot is kept",
            description="What was replaced before that can be read no more, unless a registered "
            "model was trained on it.",
            examples=[7, 30, 90],
        )
    }


def rollback_form() -> dict[str, Param]:
    """The trigger form of a rollback."""
    return {
        VERSION: Param(
            None,
            type=["null", "string"],
            pattern=r"^\s*[0-9]*\s*$",
            title="Version",
            description="Number of the version to go back to, one that was champion; empty: the "
            "champion before this one.",
        ),
        # No default: Airflow does not start a run without one.
        REASON: Param(
            type="string",
            pattern=r"\S",
            maxLength=REASON_LENGTH,
            title="Reason",
            description="Why the champion has to go. It goes to the ledger.",
        ),
    }


def _source(config: PipelineConfig) -> Param:
    """One path as a text; several as a list, for a form cannot turn one into the other."""
    paths = config.source.paths
    several = not isinstance(config.source.path, str)
    kind: dict[str, Any] = {"type": "string", "minLength": 1}
    if several:
        kind = {"type": "array", "minItems": 1, "uniqueItems": True, "items": kind}
    return Param(
        list(paths) if several else paths[0],
        **kind,
        title="Image folders" if several else "Image folder",
        description="A folder with one sub-folder per class, a manifest, or a URI of either. A "
        "relative path starts at the project's folder.",
        examples=[*paths, "/data/my_photographs"],
    )


def stage_arguments(params: Mapping[str, Any]) -> list[str]:
    """Turns a run's parameters into the options that every entrypoint understands.

    Args:
        params: The run's parameters; those that are not of the training form are left alone.

    Returns:
        ``--set field=value`` for each field (the value as JSON, which is YAML), and ``--force``.
    """
    arguments = []
    for name, field in _FIELDS.items():
        if name in params:
            value = json.dumps(params[name], ensure_ascii=False)
            arguments += ["--set", f"{field}={value}"]
    if params.get(FORCE):
        arguments.append("--force")
    return arguments
