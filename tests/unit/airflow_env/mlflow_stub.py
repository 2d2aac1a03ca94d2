"""A web server that answers as an MLflow server would, or as one that is in trouble."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class Stub(ThreadingHTTPServer):
    """See the module.

    Attributes:
        versions: The answer per (model, alias).
        status: Code of every answer; None for MLflow's own.
        text: Body of every answer; None for MLflow's own.
        delay: Seconds before every answer.
        seen: Headers of the requests so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.versions: dict[tuple[str, str], dict[str, Any]] = {}
        self.status: int | None = None
        self.text: str | None = None
        self.delay = 0.0
        self.seen: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_GET(self) -> None:
        stub = self.server
        stub.seen.append(dict(self.headers))
        time.sleep(stub.delay)
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        assert path == "/api/2.0/mlflow/registered-models/alias"
        found = stub.versions.get((query["name"], query["alias"]))
        body = {"model_version": found} if found else {"error_code": "RESOURCE_DOES_NOT_EXIST"}
        # Who has given up does not listen any more.
        with contextlib.suppress(ConnectionError):
            self.send_response(stub.status or (200 if found else 404))
            self.end_headers()
            self.wfile.write((json.dumps(body) if stub.text is None else stub.text).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def stub() -> Iterator[Stub]:
    """Runs the server."""
    with Stub() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
