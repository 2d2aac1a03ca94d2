"""What the gateway checks before Spark is started."""

from __future__ import annotations

import socket

import pytest

from darkroom.contract import DarkroomError
from darkroom.sql.gateway import check_port


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(DarkroomError) as caught:
            check_port(port)

    assert str(caught.value) == (
        f"the SQL gateway cannot listen on 127.0.0.1:{port} (Address already in use): "
        "choose another --port"
    )


def test_a_free_port_is_accepted_and_left_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    check_port(port)
    check_port(port)
