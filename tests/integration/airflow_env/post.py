"""A mail server for tests: takes every letter, and shows it."""

from __future__ import annotations

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Thread


class PostOffice(socketserver.ThreadingTCPServer):
    """Listens on a loopback port of its own.

    Attributes:
        letters: What has come, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.letters: list[EmailMessage] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def post_office() -> Iterator[PostOffice]:
    """Opens it, and closes it."""
    with PostOffice() as office:
        Thread(target=office.serve_forever, daemon=True).start()
        yield office
        office.shutdown()


class _Counter(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as one who sends needs: every command is fine."""

    server: PostOffice

    def handle(self) -> None:
        self._say("220 post office")
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"DATA":
                self._say("354 go on")
                self._take()
            self._say("221 bye" if command == b"QUIT" else "250 fine")

    def _take(self) -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        letter = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.server.letters.append(letter)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
