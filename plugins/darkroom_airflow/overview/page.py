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
from darkroom.contract import MissingInputError, RunFolder, Stage, Verdict, Workspace
from darkroom_airflow.links import FILES_URL, MLFLOW_URL, file_url, mlflow_url
from darkroom_airflow.overview.local import Known, page_of
from darkroom_airflow.overview.registry import Registered, Version
from darkroom_airflow.shadow import shadow_of

TEMPLATE: Final = "overview.html.j2"
_BASE: Final = Path(contract.__file__).parents[1] / "pages"
"""The look that all pages share; a file, so that no library is imported for it."""

_WAITING: Final = "Challenger"
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
        {"known": one, "roles": _roles(one.config.name, found.get(one.config.name), place)}
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
        verdict=Verdict(version.verdict) if version.verdict in {*Verdict} else None,
        links=[Link(text=text, address=there) for text, there in addresses.items() if there],
        shadow=f"In shadow, {shadow.sentence}." if shadow else problem or "",
    )


def _report_of(run: RunFolder, stage: Stage) -> str:
    """Path of the page that a stage has left, below the workspace; empty where there is none."""
    try:
        return run.read(stage).report or ""
    except (MissingInputError, OSError, ValueError):
        return ""


def _file(place: Workspace, path: str) -> str:
    """Address of a page that is there; a path that leads elsewhere was not written by a stage."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] not in _PAGES or ".." in parts or not (place.root / path).is_file():
        return ""
    return file_url(quote(path))
