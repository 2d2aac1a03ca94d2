"""A small client of Airflow's public REST API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx


class ApiError(Exception):
    """Airflow refused a request; the message is one line for a person."""


@dataclass(frozen=True)
class TaskState:
    """A task of a run, as Airflow sees it.

    Attributes:
        task: The task's id.
        map_index: Number of the mapped task, or -1.
        label: What the mapped task is called, or None.
        state: Airflow's word for it; None before the scheduler has seen it.
        attempt: Number of the try, from 1.
        seconds: Wall seconds of the last try; None until it has ended.
    """

    task: str
    map_index: int
    label: str | None
    state: str | None
    attempt: int
    seconds: float | None

    @property
    def name(self) -> str:
        """The task's id with the name of the mapped task."""
        if self.map_index < 0:
            return self.task
        return f"{self.task}[{self.label or self.map_index}]"

    @property
    def ended(self) -> bool:
        """True when nothing more happens to it."""
        return self.state in {"success", "failed", "skipped", "upstream_failed", "removed"}


@dataclass(frozen=True)
class OpenRun:
    """A run of a DAG that has not ended.

    Attributes:
        run: The run's id.
        since: When it was started; None while it is queued.
    """

    run: str
    since: datetime | None


class AirflowClient:
    """Talks to one Airflow as one user.

    Args:
        url: Airflow's address.
        user: The user's name.
        password: The user's password.

    Raises:
        ApiError: Airflow does not accept the password.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self.user = user
        self._password = password
        self._http = httpx.Client(base_url=url, timeout=30)
        self._log_in()

    def __enter__(self) -> AirflowClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def dag(self, dag: str) -> Mapping[str, Any] | None:
        """What Airflow knows of a DAG; None while it does not know it."""
        return self._get(f"/api/v2/dags/{quote(dag)}", missing_ok=True)

    def import_errors(self) -> list[str]:
        """What went wrong when the DAG files were read."""
        errors = self._get_known("/api/v2/importErrors")["import_errors"]
        return [str(error["stack_trace"]).strip() for error in errors]

    def trigger(self, dag: str, params: Mapping[str, Any]) -> str:
        """Starts a run with parameters of its form; returns the run's id."""
        run = self._send(
            "POST",
            f"/api/v2/dags/{quote(dag)}/dagRuns",
            {"logical_date": None, "conf": dict(params)},
        )
        return str(run["dag_run_id"])

    def run_state(self, dag: str, run: str) -> str:
        """State of a run: queued, running, success or failed."""
        return str(self._get_known(f"{_run(dag, run)}")["state"])

    def runs(self, dag: str) -> list[str]:
        """Ids of the newest runs of a DAG, newest first."""
        path = f"/api/v2/dags/{quote(dag)}/dagRuns?order_by=-run_after&limit=20"
        return [str(run["dag_run_id"]) for run in self._get_known(path)["dag_runs"]]

    def unfinished(self, dag: str) -> list[OpenRun]:
        """The runs of a DAG that are queued or running, oldest first."""
        path = f"/api/v2/dags/{quote(dag)}/dagRuns?state=queued&state=running&order_by=run_after"
        return [
            OpenRun(
                run=run["dag_run_id"],
                since=datetime.fromisoformat(run["start_date"]) if run["start_date"] else None,
            )
            for run in self._get_known(path)["dag_runs"]
        ]

    def sources(self, dag: str, run: str) -> list[str]:
        """Ids of the runs whose asset events have started a run."""
        path = f"{_run(dag, run)}/upstreamAssetEvents"
        return [str(event["source_run_id"]) for event in self._get_known(path)["asset_events"]]

    def tasks(self, dag: str, run: str) -> list[TaskState]:
        """All tasks of a run, those that have ended in the order of their ends."""
        path = f"{_run(dag, run)}/taskInstances?limit=100&order_by=end_date"
        return [
            TaskState(
                task=item["task_id"],
                map_index=item["map_index"],
                label=item["rendered_map_index"],
                state=item["state"],
                attempt=item["try_number"],
                seconds=item["duration"],
            )
            for item in self._get_known(path)["task_instances"]
        ]

    def clear(self, dag: str, run: str, task: str) -> None:
        """Runs a task and what comes after it again, as *Clear* on Airflow's page does."""
        content = {
            "dry_run": False,
            "dag_run_id": run,
            "task_ids": [task],
            "only_failed": False,
            "include_downstream": True,
        }
        self._send("POST", f"/api/v2/dags/{quote(dag)}/clearTaskInstances", content)

    def xcom(self, dag: str, run: str, task: TaskState, key: str = "return_value") -> Any:
        """A value that a task has left; None when it left none."""
        entry = self._get(
            f"{_run(dag, run)}/taskInstances/{task.task}/xcomEntries/{key}"
            f"?map_index={task.map_index}&deserialize=true",
            missing_ok=True,
        )
        return entry["value"] if entry else None

    def question(self, dag: str, run: str, task: str) -> Mapping[str, Any]:
        """What a person is asked: subject, body, options, ..."""
        path = f"{_run(dag, run)}/taskInstances/{task}/-1/hitlDetails"
        return self._get_known(path)

    def answer(self, dag: str, run: str, task: str, option: str, reason: str) -> None:
        """Answers as a person would on Airflow's page of required actions."""
        path = f"{_run(dag, run)}/taskInstances/{task}/-1/hitlDetails"
        content = {"chosen_options": [option], "params_input": {"reason": reason}}
        self._send("PATCH", path, content)

    def _get(self, path: str, *, missing_ok: bool = False) -> Mapping[str, Any] | None:
        response = self._request("GET", path)
        if missing_ok and response.status_code == httpx.codes.NOT_FOUND:
            return None
        return _content(response)

    def _get_known(self, path: str) -> Mapping[str, Any]:
        return _content(self._request("GET", path))

    def _send(self, method: str, path: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        return _content(self._request(method, path, content))

    def _request(
        self, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        response = self._http.request(method, path, json=content)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            response = self._http.request(method, path, json=content)
        # SQLite lets one writer in at a time: a busy moment is not an error.
        for pause in (0.2, 0.5, 1.0):
            if method != "GET" or response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                break
            time.sleep(pause)
            response = self._http.request(method, path, json=content)
        return response

    def _log_in(self) -> None:
        body = {"username": self.user, "password": self._password}
        token = _content(self._http.post("/auth/token", json=body))["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"


def _run(dag: str, run: str) -> str:
    """Path of a run; its id holds a time, and a + in a path is not a +."""
    return f"/api/v2/dags/{quote(dag)}/dagRuns/{quote(run, safe='')}"


def _content(response: httpx.Response) -> Mapping[str, Any]:
    if response.is_error:
        request = response.request
        detail = " ".join(response.text.split())[:300]
        raise ApiError(
            f"{request.method} {request.url.path} answered {response.status_code}: {detail}"
        )
    content: Mapping[str, Any] = response.json()
    return content
