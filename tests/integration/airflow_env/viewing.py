"""Looks at Airflow as a person with a browser does, and as one who may only look."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import httpx

from local_stack import credentials
from tests.standing import Up

PAGE = "/darkroom/"
BROWSER = {"Accept": "text/html"}


class Visitor:
    """A user of Airflow's, signed in."""

    def __init__(self, up: Up, user: str) -> None:
        """Args: up: the stack; user: who visits."""
        self._base = up.url("Airflow")
        password = credentials.passwords(up.layout)[user]
        signed_in = httpx.post(
            f"{self._base}/auth/token", json={"username": user, "password": password}
        )
        self._token = signed_in.raise_for_status().json()["access_token"]

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def page(self) -> str:
        """The page of all pipelines, with the cookie that a browser has after signing in."""
        answer = httpx.get(
            f"{self._base}{PAGE}", headers=BROWSER, cookies={"_token": self._token}, timeout=30
        )
        return answer.raise_for_status().text

    def read(self, path: str, **query: str) -> dict[str, Any]:
        """What Airflow's REST API says of something."""
        answer = httpx.get(
            f"{self._base}/api/v2/{path}", params=query, headers=self._headers, timeout=30
        )
        content: dict[str, Any] = answer.raise_for_status().json()
        return content

    def links(self, dag: str, run: str, task: str) -> dict[str, str | None]:
        """The links of a task, by their names."""
        path = f"{run_path(dag, run)}/taskInstances/{task}/links"
        links: dict[str, str | None] = self.read(path)["extra_links"]
        return links

    def create_event(self, asset: str, extra: dict[str, Any]) -> None:
        """Updates an asset, as the button *Create Asset Event* on its page does."""
        (found,) = self.read("assets", uri_pattern=asset)["assets"]
        event = {"asset_id": found["id"], "extra": extra}
        assert self.call("POST", "assets/events", event) == httpx.codes.OK

    def call(self, method: str, path: str, body: dict[str, Any]) -> int:
        """Asks Airflow's REST API to do something; returns its code."""
        answer = httpx.request(
            method, f"{self._base}/api/v2/{path}", json=body, headers=self._headers, timeout=30
        )
        return answer.status_code


def links_of(page: httpx.Response) -> list[str]:
    """Where the links of a page lead, but for those that stay on it."""
    found = re.findall(r'<a [^>]*?href="([^"#]+)"', page.text)
    return [str(page.url.join(link)) for link in found]


def dead_links(page: httpx.Response) -> list[str]:
    """The links of a page, and of the pages that they lead to, that do not lead to a page."""
    dead = []
    for link in links_of(page):
        found = httpx.get(link)
        if found.status_code == httpx.codes.OK:
            dead += [one for one in links_of(found) if httpx.get(one).is_error]
        else:
            dead.append(link)
    return dead


def register(up: Up, name: str, alias: str) -> None:
    """Makes a version in the stack's MLflow, with an alias and a verdict nobody should trust."""
    api = f"{up.url('MLflow')}/api/2.0/mlflow"
    tags = [{"key": "darkroom.verdict", "value": "PASS"}]
    version = {"name": name, "source": "s3://bucket/model", "tags": tags}
    httpx.post(f"{api}/registered-models/create", json={"name": name})
    made = httpx.post(f"{api}/model-versions/create", json=version).raise_for_status()
    pointed = {"name": name, "alias": alias, "version": made.json()["model_version"]["version"]}
    httpx.post(f"{api}/registered-models/alias", json=pointed).raise_for_status()


def run_path(dag: str, run: str) -> str:
    """Of the REST API: a run."""
    return f"dags/{dag}/dagRuns/{quote(run, safe='')}"


def answer_path(dag: str, run: str) -> str:
    """Of the REST API: where the question of a run is answered."""
    return f"{run_path(dag, run)}/taskInstances/approve/-1/hitlDetails"


def question_page(dag: str, run: str) -> str:
    """Of Airflow's pages: where a person answers it."""
    return f"/dags/{dag}/runs/{quote(run, safe='')}/tasks/approve/required_actions"
