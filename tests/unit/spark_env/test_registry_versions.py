"""One version per model, though MLflow's client asks again for what it may have been given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from darkroom.registry.versions import MODEL_DIGEST_TAG, Registry

DIGEST = "a" * 64


class Client:
    """Holds versions; each request for a new one arrives as often as it says."""

    def __init__(self, arrives: int) -> None:
        self.arrives = arrives
        self.versions: list[Any] = []

    def create_registered_model(self, name: str) -> None:
        assert name == "signs"

    def create_model_version(self, name: str, tags: dict[str, str], **details: Any) -> Any:
        for _ in range(self.arrives):
            number = str(len(self.versions) + 1)
            self.versions.append(SimpleNamespace(name=name, version=number, tags=tags))
        return self.versions[-1]

    def search_model_versions(self, wanted: str) -> list[Any]:
        assert wanted == f"name = 'signs' and tags.`{MODEL_DIGEST_TAG}` = '{DIGEST}'"
        return list(self.versions)

    def delete_model_version(self, name: str, version: str) -> None:
        self.versions = [one for one in self.versions if one.version != version]


@pytest.mark.parametrize("arrives", [1, 2])
def test_a_request_whose_answer_was_lost_makes_one_version(arrives: int) -> None:
    client: Any = Client(arrives)

    made = Registry("signs", client).create("models:/m-1", "run", {MODEL_DIGEST_TAG: DIGEST})

    assert made.version == "1"
    assert client.versions == [made]
