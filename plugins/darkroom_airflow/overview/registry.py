"""Asks MLflow's REST API which versions are champion and challenger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from darkroom.contract import ConfigError, one_line
from darkroom.contract.stages import (
    CANDIDATE_RUN_TAG,
    CHALLENGER,
    CHAMPION,
    MODEL_DIGEST_TAG,
    REPORT_TAG,
    VERDICT_TAG,
)
from darkroom_airflow.mlflow_server import PASSWORD, TRACKING_URI, USERNAME, rest_client

SECONDS: Final = 4.0
"""For all questions of one page together: Airflow's own pages wait for nobody."""

_CONNECTIONS: Final = 8
_ALIASES: Final = (CHAMPION, CHALLENGER)
"""In the order of `Registered`."""

_REFUSED: Final = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
_ABSENT: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""A missing model is reported as the one, a missing alias as the other."""


class RegistryError(Exception):
    """MLflow does not say; the message is one line for a person."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a registered model; every text may be anybody's who may write in MLflow.

    Attributes:
        number: The version.
        digest: SHA-256 of its model file; empty where it has none.
        verdict: What the gate said.
        run_id: The training run that made it.
        report: Path of the evaluation's report below the workspace.
    """

    number: str
    digest: str
    verdict: str
    run_id: str
    report: str


@dataclass(frozen=True)
class Registered:
    """What the registry says of one pipeline; None where an alias points nowhere."""

    champion: Version | None = None
    challenger: Version | None = None


async def registered(names: Iterable[str], seconds: float = SECONDS) -> dict[str, Registered]:
    """Champion and challenger of each pipeline.

    Args:
        names: The registered models.
        seconds: How long all of it may take.

    Returns:
        One item per name.

    Raises:
        RegistryError: There is no server, or it does not answer (in time), or not with this.
    """
    try:
        async with asyncio.timeout(seconds), rest_client(seconds) as client:
            limit = asyncio.Semaphore(_CONNECTIONS)
            names = tuple(names)
            found = await asyncio.gather(
                *(_at(client, limit, name, alias) for name in names for alias in _ALIASES)
            )
    except ConfigError:
        # Not its value: an address of another kind may hold a password.
        raise RegistryError(f"{TRACKING_URI} names no MLflow server") from None
    except TimeoutError:
        raise RegistryError(f"MLflow did not answer within {seconds:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RegistryError(f"MLflow does not answer ({type(error).__name__})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"what answers is not MLflow ({one_line(error)})") from None
    versions = iter(found)
    return {name: Registered(next(versions), next(versions)) for name in names}


async def _at(
    client: httpx.AsyncClient, limit: asyncio.Semaphore, name: str, alias: str
) -> Version | None:
    async with limit:
        answer = await client.get("registered-models/alias", params={"name": name, "alias": alias})
    if answer.status_code in _REFUSED:
        raise RegistryError(f"MLflow refuses the user of {USERNAME} and {PASSWORD}")
    if answer.is_success:
        return _version(answer.json()["model_version"])
    if answer.is_client_error and answer.json()["error_code"] in _ABSENT:
        return None
    raise RegistryError(f"MLflow answers {answer.status_code}")


def _version(values: Mapping[str, Any]) -> Version:
    tags = {tag["key"]: str(tag.get("value", "")) for tag in values.get("tags", ())}
    return Version(
        number=str(values["version"]),
        digest=tags.get(MODEL_DIGEST_TAG, ""),
        verdict=tags.get(VERDICT_TAG, ""),
        run_id=tags.get(CANDIDATE_RUN_TAG, ""),
        report=tags.get(REPORT_TAG, ""),
    )
