"""A real LDAP directory on a port of loopback, where OpenLDAP's server is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.integration.spark_env.ports import free_port

BASE = "cn=people"
START_SECONDS = 30
# Its only entry stands for itself: the rest of a tree would need files with the usual schemas.
SETTINGS = """\
objectclass ( 1.1.1 NAME 'account' STRUCTURAL MUST ( uid $ userPassword ) )
database ldif
directory {folder}
suffix "uid={user},{base}"
"""
ENTRY = """\
dn: uid={user},{base}
objectClass: account
uid: {user}
userPassword: {password}
"""


def program(name: str) -> str | None:
    """Path of one of the server's programs, which stand where root alone looks for some."""
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


def installed() -> bool:
    """Whether this machine has the server's programs."""
    return all(program(name) for name in ("slapd", "slapadd"))


class Directory:
    """A directory that knows one person.

    Attributes:
        port: Where it answers, on loopback.
        url: The same as LDAP clients want it.
    """

    def __init__(self, folder: Path, user: str, password: str) -> None:
        """Makes its files; `start` lets it answer."""
        entries = folder / "entries"
        entries.mkdir(parents=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = folder / "slapd.conf"
        self._settings.write_text(SETTINGS.format(folder=entries, user=user, base=BASE))
        person = folder / "person.ldif"
        person.write_text(ENTRY.format(user=user, base=BASE, password=password))
        command = [str(program("slapadd")), "-f", str(self._settings), "-l", str(person)]
        subprocess.run(command, check=True, capture_output=True)
        self.url = f"ldap://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [str(program("slapd")), "-d", "0", "-h", self.url, "-f", str(self._settings)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the directory has ended"
            assert time.monotonic() < deadline, "the directory does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._process:
            self._process.terminate()
            self._process.wait(START_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
