"""Files by path or URI: every spelling and place, and the exact text where there is none."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from darkroom.contract import ConfigError
from darkroom.files import uris
from darkroom.files.cache import default_cache, made_once
from darkroom.files.digests import digest_of, md5_of
from darkroom.files.local import existing, local_file
from darkroom.files.uris import UnreadableFileError, local_path, read_uri, shown
from tests.unit.spark_env.web_server import serving


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our cache is empty, and nothing leaves this machine."""
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    # Port 9 (discard) is closed: a refusal as quick as an unplugged machine's.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server: its address, its folder and the requests it got."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as (address, requests):
        yield address, folder, requests


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "file://localhost{}"])
@pytest.mark.parametrize("name", ["a.bin", "a b%20c.bin", "100%.bin", "a#b?.bin"])
def test_local_files_in_every_spelling(form: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"content")

    assert read_uri(form.format(tmp_path / name)) == b"content"


def test_an_escaped_file_uri(tmp_path: Path) -> None:
    (tmp_path / "a b.bin").write_bytes(b"content")

    assert read_uri((tmp_path / "a b.bin").as_uri()) == b"content"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("a/b.png", Path("a/b.png")),
        ("FILE:/a/b.png", Path("/a/b.png")),
        ("hdfs:/a/b.png", None),
        ("s3://bucket/a.png", None),
        ("https://host/a.png", None),
    ],
)
def test_what_leads_to_this_machine(uri: str, path: Path | None) -> None:
    assert local_path(uri) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://bucket/a b%20c?.png", "bucket/a b%20c?.png"),
        ("abfs://box@account.dfs.core.windows.net/a/b.png", "box/a/b.png"),
        ("s3://bucket/a/b.png?region=eu-west-1&scheme=http", "bucket/a/b.png"),
    ],
)
def test_where_arrow_finds_a_uri(uri: str, path: str) -> None:
    found = uris._in_arrow(uri)

    assert found is not None
    assert found[1] == path


def test_a_web_address_with_blanks_and_a_user(served: tuple[str, Path, list[str]]) -> None:
    address, folder, requests = served
    (folder / "\xe4 b.bin").write_bytes(b"content")
    login = address.replace("//", "//me:w%20d@")

    assert read_uri(f"{login}/\xe4 b.bin#part") == b"content"
    assert requests == ["GET /%C3%A4%20b.bin Basic bWU6dyBk"]


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("/nowhere/a.jpg", "No such file or directory"),
        ("/", "Is a directory"),
        ("/dev/null", "not a regular file"),
        ("nonsense://host/a.jpg", "Protocol not known: nonsense"),
    ],
)
def test_an_unreadable_file_is_named_with_its_reason(uri: str, reason: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read_uri(uri)

    assert str(caught.value) == f"cannot read {uri}: {reason}"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UnreadableFileError, match=r"/pipe: not a regular file$"):
        read_uri(str(tmp_path / "pipe"))


@pytest.mark.parametrize("folder", [True, False])
def test_a_missing_file_is_named_with_the_remedy(folder: bool, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        existing("modelFile", "none/m.keras", folder=folder)

    assert str(caught.value) == (
        "modelFile = 'none/m.keras': there is no such file: put it there or correct the path"
    )
    assert existing("modelFile", tmp_path) == tmp_path
    with pytest.raises(ConfigError, match=r"^weights = 'given': there is no such file: "):
        existing("weights", tmp_path, given="given", folder=False)


def test_what_a_web_address_gives_is_checked(
    served: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    address, folder, _ = served
    (folder / "a.h5").write_bytes(b"another")
    uri = f"{address}/a.h5?signature=secret"
    with pytest.raises(ConfigError) as caught:
        local_file("weights", uri, "0" * 64)
    digest = hashlib.sha256(b"another").hexdigest()
    assert str(caught.value).startswith(f"weights = '{address}/a.h5': its SHA-256 is {digest}")
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_a_body_that_ends_early_is_refused(tmp_path: Path) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 600)

        def log_message(self, format: str, *arguments: Any) -> None:
            del format, arguments

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/a.h5"
        with pytest.raises(ConfigError, match="the server sent 400 bytes too few"):
            local_file("weights", uri)
        server.shutdown()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_any_installed_file_system_serves() -> None:
    with fsspec.open("memory://house/bare.h5", "wb") as stream:
        stream.write(b"weights")

    assert local_file("weights", "memory://house/bare.h5").read_bytes() == b"weights"
    assert read_uri("memory://house/bare.h5") == b"weights"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("https://example.invalid/a.h5", "URLError"),
        ("nosuch://bucket/a.h5", "Protocol not known"),
        ("memory://house/none.h5", "FileNotFoundError"),
    ],
)
def test_what_is_out_of_reach_is_one_line(uri: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        local_file("features.weights.ResNet50", uri)
    message = str(caught.value)
    assert message.startswith(f"features.weights.ResNet50 = '{uri}': it cannot be fetched (")
    assert reason in message
    assert message.endswith("): put the file on this machine and give its path")


def test_an_address_is_shown_without_its_secrets() -> None:
    uri = "https://me:word@host:81/a/b.h5?X-Signature=abc#part"
    assert shown(uri) == "https://host:81/a/b.h5"


def test_two_makers_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def make(folder: Path) -> None:
        (folder / "whole").write_text("x")
        both.wait()

    makers = [
        threading.Thread(target=made_once, args=(tmp_path / "target", make)) for _ in range(2)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()

    assert [path.name for path in tmp_path.rglob("*")] == ["target", "whole"]


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        made_once(tmp_path / "target", make)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_s_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = digest_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    after = digest_of(tmp_path)
    (tmp_path / "b").write_text("2")

    assert len({before, after, digest_of(tmp_path)}) == 3


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", "/somewhere")
    assert default_cache() == Path("/somewhere")

    monkeypatch.delenv("DARKROOM_CACHE")
    monkeypatch.setenv("HOME", "/home/her")
    assert default_cache() == Path("/home/her/.cache/darkroom")


def test_digests_are_those_of_the_bytes_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    for content in (b"abc" * 100_000, b"abd" * 100_001):
        file.write_bytes(content)
        assert digest_of(file) == hashlib.sha256(content).hexdigest()
        assert md5_of(file) == hashlib.md5(content).hexdigest()
