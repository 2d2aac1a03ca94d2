"""The gateway's health endpoint, over real HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from darkroom.sql.health import health_server
from tests.integration.spark_env.ports import free_port

# Whatever proxy the environment names: it is on this machine.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(port: int, path: str = "/health") -> tuple[int, str]:
    try:
        with DIRECTLY.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize(("works", "code"), [(True, 200), (False, 503)])
def test_the_code_says_whether_it_works_and_the_body_what(works: bool, code: int) -> None:
    values: dict[str, Any] = {"status": "any", "functions": {"see": {"version": "2"}}}
    port = free_port()

    with health_server("127.0.0.1", port, lambda: (works, values)):
        found, body = get(port)

        assert (found, json.loads(body)) == (code, values)
        assert get(port, "/")[0] == 404
    with pytest.raises(urllib.error.URLError):
        get(port)
