"""Tells programs over HTTP whether a gateway works, and what it serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

PATH: Final = "/health"

Status = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether the gateway works, and JSON values that say more."""


@contextmanager
def health_server(host: str, port: int, status: Status) -> Iterator[None]:
    """Answers ``GET /health``: 200 while the gateway works, else 503; JSON either way.

    Args:
        host: Where to listen.
        port: Where to listen.
        status: Asked at every request.
    """
    server = ThreadingHTTPServer((host, port), _handler(status))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(status: Status) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != PATH:
                self.send_error(HTTPStatus.NOT_FOUND, f"only {PATH} is here")
                return
            works, values = status()
            body = json.dumps(values, indent=2).encode() + b"\n"
            self.send_response(HTTPStatus.OK if works else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing: whoever watches asks every few seconds."""

    return Handler
