"""Makes the page's HTML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from darkroom import contract
from darkroom.contract import RunFolder, Stage, StageResult, Verdict, Workspace
from darkroom_airflow.links import FILES_URL, MLFLOW_URL, file_url, mlflow_url
from darkroom_airflow.overview.local import Known, Training, page_of
from darkroom_airflow.overview.registry import Registered, Version
from darkroom_airflow.shadow import shadow_of

TEMPLATE: Final = "overview.html.j2"
_BASE: Final = Path(contract.__file__).parents[1] / "pages"
"""The look that all pages share; a file, so that no library is imported for it."""

_WAITING: Final = "Challenger"
_STAGES: Final = tuple(Stage)[: tuple(Stage).index(Stage.REGISTER) + 1]
"""Of a training run, in order."""

_PAGES: Final = ("reports", "data_docs")
"""Folders of the workspace that the file server shows."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link to a page."""

    text: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Role:
    """A version in a role.

    Attributes:
        name: ``Champion`` or ``Challenger``.
        number: The version.
        digest: First digits of its model file's SHA-256.
        verdict: What the gate said, or None where that is not known.
        links: Where there is more about it.
        shadow: How often a challenger disagrees with the deployed version, or why that cannot be
            shown; empty where it is not known.
    """

    name: str
    number: str
    digest: str
    verdict: Verdict | None
    links: Sequence[Link]
    shadow: str = ""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A training run, and how far it has come.

    Attributes:
        run: The run.
        failed_at: The stage that failed, or empty.
        said: One line of that stage, or else of the last one that has ended; may be empty.
        verdict: What the gate said, or None where it has said nothing.
        links: Where there is more about it.
    """

    run: Training
    failed_at: str
    said: str
    verdict: Verdict | None
    links: Sequence[Link]


def render(
    known: Sequence[Known], found: Mapping[str, Registered], problem: str | None, place: Workspace
) -> str:
    """Fills in the page.

    Args:
        known: The pipelines that the user may see.
        found: What the registry says of each; empty when it says nothing.
        problem: Why it says nothing, in one line, or None.
        place: The workspace, for links to what lies there.
    """
    pipelines = [
        {
            "known": one,
            "roles": _roles(one.config.name, found.get(one.config.name), place),
            "newest": [_attempt(run, one.config.name, place) for run in one.newest],
        }
        for one in known
    ]
    values: dict[str, Any] = {
        "pipelines": pipelines,
        "problem": problem,
        "asked": problem is None,
        "links": _links(),
        "required_actions": f"{page_of('required_actions')}?response_received=false",
        "now": datetime.now(UTC),
    }
    return _environment().get_template(TEMPLATE).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, _BASE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minute"] = lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
    return environment


def _links() -> list[Link]:
    beside = (("MLflow", MLFLOW_URL), ("Reports", FILES_URL))
    return [
        Link(text="Airflow", address=page_of()),
        *(
            Link(text=text, address=os.environ[variable])
            for text, variable in beside
            if os.environ.get(variable, "").startswith("http")
        ),
    ]


def _roles(pipeline: str, found: Registered | None, place: Workspace) -> list[Role]:
    if found is None:
        return []
    roles = (("Champion", found.champion), (_WAITING, found.challenger))
    return [_role(name, one, pipeline, place) for name, one in roles if one]


def _role(name: str, version: Version, pipeline: str, place: Workspace) -> Role:
    run = place.run(pipeline, version.run_id)
    shadow, problem = None, None
    if name == _WAITING:
        shadow, problem = shadow_of(place, pipeline, version.number, version.digest)
    addresses = {
        "Report": _file(place, version.report or _report_of(run, Stage.EVALUATE)),
        "Validation": _file(place, _report_of(run, Stage.VALIDATE)),
        "In shadow": _file(place, shadow.page or "") if shadow else "",
        "MLflow": mlflow_url({"model_name": pipeline, "version": quote(version.number)}),
    }
    return Role(
        name=name,
        number=version.number,
        digest=version.digest[:12],
        verdict=_verdict(version.verdict),
        links=_there(addresses),
        shadow=f"In shadow, {shadow.sentence}." if shadow else problem or "",
    )


def _attempt(run: Training, pipeline: str, place: Workspace) -> Attempt:
    folder = place.run(pipeline, run.run_id)
    ended = {stage: result for stage in _STAGES if (result := _result_of(folder, stage))}
    failed_at = next((stage.value for stage in _STAGES if stage in run.failed), "")
    last = ended.get(Stage(failed_at)) if failed_at else next(reversed(ended.values()), None)
    evaluated = ended.get(Stage.EVALUATE)
    addresses = {
        "Report": _file(place, _report_of(folder, Stage.EVALUATE)),
        "Validation": _file(place, _report_of(folder, Stage.VALIDATE)),
        "MLflow": mlflow_url(dict(evaluated.outputs)) if evaluated else "",
    }
    return Attempt(
        run=run,
        failed_at=failed_at,
        said=last.summary if last else "",
        verdict=_verdict(str(evaluated.outputs.get("verdict"))) if evaluated else None,
        links=_there(addresses),
    )


def _verdict(said: str) -> Verdict | None:
    return Verdict(said) if said in {*Verdict} else None


def _there(addresses: Mapping[str, str]) -> list[Link]:
    return [Link(text=text, address=there) for text, there in addresses.items() if there]


def _result_of(run: RunFolder, stage: Stage) -> StageResult | None:
    """How a stage ended; None where that cannot be read."""
    try:
        return run.result(stage)
    except (OSError, ValueError):
        return None


def _report_of(run: RunFolder, stage: Stage) -> str:
    """Path of the page that a stage has left, below the workspace; empty where there is none."""
    result = _result_of(run, stage)
    return (result.report if result else None) or ""


def _file(place: Workspace, path: str) -> str:
    """Address of a page that is there; a path that leads elsewhere was not written by a stage."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] not in _PAGES or ".." in parts or not (place.root / path).is_file():
        return ""
    return file_url(quote(path))
