"""An MLflow server that is killed amid a request of the test's choice, and can be started again.

A relay stands before the server: to a client it is the server, at an address that stays the same.
"""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

from tests.integration.spark_env import mlflow_server
from tests.integration.spark_env.ports import free_port
from tests.integration.spark_env.process_groups import kill, stop

ANSWER_SECONDS = 60
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


def end_to_end(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that a relay hands on."""
    return {name: value for name, value in headers if name.lower() not in HOP_BY_HOP}


@dataclass(frozen=True, kw_only=True)
class Death:
    """When the server is killed.

    Attributes:
        write: At which request that changes something, counted from 0.
        answer_lost: Whether it has carried the request out; its answer never arrives.
        revived: Whether it is there again when the client asks once more.
    """

    write: int
    answer_lost: bool = False
    revived: bool = False


class MortalServer:
    """A real MLflow server behind a relay; a context that ends both.

    Attributes:
        uri: The relay's address.
        writes: How many requests that change something have come since the death was fixed.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._death: Death | None = None
        self.writes = 0
        self._relay = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.uri = f"http://127.0.0.1:{self._relay.server_address[1]}"

    def __enter__(self) -> Self:
        self.revive()
        Thread(target=self._relay.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._relay.shutdown()
        self._relay.server_close()
        if self._process:
            stop(self._process)

    @property
    def is_alive(self) -> bool:
        return self._process is not None

    def dies(self, death: Death) -> None:
        """Fixes the server's death; requests are counted from now on."""
        self._death, self.writes = death, 0

    def revive(self) -> None:
        """Starts the server at its old address, if it is not there."""
        if self._process is None:
            self._process = mlflow_server.start(self._home, self._port)

    def carry_out(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes] | None:
        """Hands a request on; None where the client gets no answer."""
        death = self._is_due(method, path)
        answer = None
        if self._process and (death is None or death.answer_lost):
            answer = self._asked(method, path, body, headers)
        if death is None:
            return answer
        self._die(death)
        return None

    def _is_due(self, method: str, path: str) -> Death | None:
        if method == "GET" or path.endswith("/search"):
            return None
        self.writes += 1
        due = self._death is not None and self._death.write == self.writes - 1
        return self._death if due else None

    def _die(self, death: Death) -> None:
        assert self._process is not None
        kill(self._process)
        self._process = None
        if death.revived:
            self.revive()

    def _asked(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        server = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        try:
            server.request(method, path, body, headers)
            answer = server.getresponse()
            return answer.status, end_to_end(answer.getheaders()), answer.read()
        finally:
            server.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        mortal = self

        class Relay(BaseHTTPRequestHandler):
            def _hand_on(self) -> None:
                body, headers = self._body(), end_to_end(self.headers.items())
                answer = mortal.carry_out(self.command, self.path, body, headers)
                if answer is None:
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _body(self) -> bytes:
                if "Transfer-Encoding" in self.headers:
                    # So comes an empty file: as no chunk at all.
                    assert self.rfile.readline() + self.rfile.readline() == b"0\r\n\r\n"
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _hand_on  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                """Says nothing."""

        return Relay
