"""What people say of a model version in MLflow's pages: two of its tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from airflow.sdk.exceptions import AirflowFailException

from darkroom.contract import ConfigError
from darkroom_airflow.mlflow_server import TRACKING_URI, rest_client

APPROVAL = "approval"
APPROVAL_REASON = "approval_reason"
APPROVED = "approved"
REJECTED = "rejected"
_SECONDS = 10.0


@dataclass(frozen=True)
class RegistryAnswer:
    """What the tags of a version say.

    Attributes:
        approval: ``approved``, ``rejected``, or whatever else somebody wrote; empty for no tag.
        reason: Why; empty for no tag.
    """

    approval: str = ""
    reason: str = ""

    @classmethod
    def of(cls, tags: list[dict[str, str]]) -> Self:
        """Reads the tags as MLflow's REST API gives them."""
        values = {tag["key"]: tag.get("value", "").strip() for tag in tags}
        return cls(values.get(APPROVAL, ""), values.get(APPROVAL_REASON, ""))


async def read_answer(model: str, version: str) -> RegistryAnswer:
    """Asks MLflow, with its own variables: address, user and password, or token.

    Args:
        model: The registered model.
        version: The version's number.

    Raises:
        AirflowFailException: There is no address to ask at.
        httpx.HTTPError: The server does not answer, or refuses.
    """
    try:
        client = rest_client(_SECONDS)
    except ConfigError:
        # Not its value: an address of another kind may hold a password.
        raise AirflowFailException(
            f"{TRACKING_URI} names no MLflow server: approval.in_registry needs one"
        ) from None
    async with client:
        wanted = {"name": model, "version": version}
        response = await client.get("model-versions/get", params=wanted)
    response.raise_for_status()
    return RegistryAnswer.of(response.json()["model_version"].get("tags", []))
