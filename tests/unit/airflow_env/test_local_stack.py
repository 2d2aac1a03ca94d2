"""The parts of the local stack that need no server."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
import yaml

from darkroom.contract import ConfigError, Workspace
from local_stack import console, credentials, drive, processes, show
from local_stack import ports as port_choice
from local_stack.client import ApiError, OpenRun
from local_stack.layout import PROJECT, Layout
from local_stack.pipeline_file import SourceFolder, existing_or_new
from local_stack.ports import ANY_PORTS, HOST, PortError, choose_ports
from local_stack.run import run_pipeline
from local_stack.stack import Running
from tests.unit.airflow_env.conftest import PIPELINE


@pytest.fixture(autouse=True)
def _no_given_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW_PORT", "MLFLOW_PORT", "FILES_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_free_ports_are_distinct_and_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, any_port in ANY_PORTS.items():
        monkeypatch.setenv(name, any_port)

    ports = choose_ports()

    chosen = {ports.airflow, ports.mlflow, ports.files}
    assert len(chosen) == 3
    for port in chosen:
        with socket.socket() as probe:
            probe.bind((HOST, port))


def test_a_given_port_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        free = probe.getsockname()[1]
    monkeypatch.setenv("AIRFLOW_PORT", str(free))

    assert choose_ports().airflow == free


def test_the_usual_ports_are_taken_where_they_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        busy = other.getsockname()[1]
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            free = probe.getsockname()[1]
        usual = {"airflow": ("AIRFLOW_PORT", free), "mlflow": ("MLFLOW_PORT", busy)}
        monkeypatch.setattr(port_choice, "_WANTED", port_choice._WANTED | usual)

        chosen = choose_ports()

    assert chosen.airflow == free
    assert chosen.mlflow not in {busy, free}


def test_a_given_port_that_is_taken_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("MLFLOW_PORT", str(port))

        with pytest.raises(PortError) as raised:
            choose_ports()

    assert str(raised.value) == (
        f"MLFLOW_PORT = '{port}': something else listens there, give another port"
    )


@pytest.mark.parametrize("text", ["65536", "http", "-1", "80.5"])
def test_what_is_no_port_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FILES_PORT", text)

    with pytest.raises(PortError, match="give a port number up to 65535, or 0 for any"):
        choose_ports()


def test_secrets_are_made_once_and_are_their_owners_alone(layout: Layout) -> None:
    old = os.umask(0)
    try:
        words, keys = credentials.passwords(layout), credentials.keys(layout)
    finally:
        os.umask(old)

    assert set(words) == {"admin", "demo", "viewer"}
    assert min(map(len, words.values())) >= 16
    assert len({*words.values(), *keys.values()}) == 6
    for file in layout.workspace.airflow.iterdir():
        assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert credentials.passwords(layout) == words
    assert credentials.keys(layout) == keys


def test_a_new_pipeline_gets_thresholds_that_fit_its_images(
    pipelines: Path, photographs: Path
) -> None:
    config = existing_or_new(pipelines, "pets", SourceFolder.look_at(str(photographs)))

    text = (pipelines / "pets.yaml").read_text()
    assert yaml.safe_load(text)["function"] == "recognize_pets"
    assert config.view == "pets_imgs"
    assert config.source.path == str(photographs)
    assert config.validation.min_images_per_class == 4  # half of the smallest class, 8
    assert config.gate.thresholds == {"accuracy": 0.62, "macro_f1": 0.56}  # chance is 0.25
    assert config.gate.min_test_images == 8  # half of a fifth of 80
    assert config.gate.min_class_images == 1  # half of a fifth of 8 is less than one
    assert "# The thresholds were derived from 80 files in 4 classes" in text


def test_an_existing_pipeline_is_left_as_it_is(pipelines: Path, photographs: Path) -> None:
    before = (pipelines / "signs.yaml").read_text()

    config = existing_or_new(pipelines, "signs", SourceFolder.look_at(str(photographs)))

    assert config.gate.thresholds == {"accuracy": 0.85}
    assert (pipelines / "signs.yaml").read_text() == before


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("My Signs", "PIPELINE = 'My Signs': use lower-case letters, digits and _, starting with"),
        ("../signs", "PIPELINE = '../signs': use lower-case letters, digits and _, starting with"),
        ("1st", "PIPELINE = '1st': use lower-case letters, digits and _, starting with a letter"),
    ],
)
def test_a_bad_name_is_refused_before_anything_is_written(
    pipelines: Path, photographs: Path, name: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        existing_or_new(pipelines, name, SourceFolder.look_at(str(photographs)))

    assert str(raised.value).startswith(problem)
    assert [file.name for file in pipelines.iterdir()] == ["signs.yaml"]


def bad_inputs(tmp: Path) -> dict[str, tuple[str, str | None, str]]:
    return {
        "missing": (
            "pets",
            str(tmp / "nowhere"),
            f"error: SOURCE = '{tmp}/nowhere': there is no such folder: give one with a "
            "sub-folder per class\n",
        ),
        "file": (
            "pets",
            str(tmp / "a.jpg"),
            f"error: SOURCE = '{tmp}/a.jpg': is a file: give one with a sub-folder per class\n",
        ),
        "one class": (
            "pets",
            str(tmp / "one"),
            f"error: SOURCE = '{tmp}/one': needs at least two sub-folders, one per class; found: "
            "cat\n",
        ),
        "no files": (
            "pets",
            str(tmp / "bare"),
            f"error: SOURCE = '{tmp}/bare': no file is in its 2 sub-folders: put each class's "
            "images there\n",
        ),
        "no source": (
            "pets",
            None,
            "error: SOURCE = None: there is no pets.yaml yet: name the image folder\n",
        ),
        "name": (
            "Pets",
            None,
            "error: PIPELINE = 'Pets': use lower-case letters, digits and _, starting with a "
            "letter\n",
        ),
        "clash": (
            "signs",
            None,
            "error: function = 'recognize_signs': used by 2 pipelines (copy, signs): rename one\n",
        ),
    }


@pytest.mark.parametrize(
    "case", ["missing", "file", "one class", "no files", "no source", "name", "clash"]
)
def test_unusable_input_is_one_line_and_nothing_is_started(
    case: str, layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one/cat", "bare/cat", "bare/dog"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a.jpg").touch()
    if case == "clash":
        clash = PIPELINE.replace("name: signs", "name: copy").replace("signs_imgs", "copy_imgs")
        (layout.pipelines / "copy.yaml").write_text(clash)
    name, source, message = bad_inputs(tmp_path)[case]

    code = run_pipeline(layout, name, source, approve="no")

    assert code == 2
    assert capsys.readouterr() == ("", message)
    assert not layout.workspace.root.exists()
    assert not (layout.pipelines / "pets.yaml").exists()


def test_only_yes_approves(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_pipeline(layout, "signs", None, approve="Yes, please") == 2

    problem = "only yes approves; leave it out to be asked"
    assert capsys.readouterr() == ("", f"error: APPROVE = 'Yes, please': {problem}\n")
    assert not layout.workspace.root.exists()


def test_a_stage_takes_80_columns_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    console.stage("featurize", 12.34, "embedded: " + "1,200 vectors of width 128 " * 5)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("  featurize    12.3 s  embedded: 1,200 vectors")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80


def test_markdown_is_wrapped_between_words_and_its_tables_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.markdown(
        f"PASS: {'accuracy 0.9551, ' * 5}fine\n\n| a | {'b' * 90} |\n* Model version 1, digest of "
        f"the file `{'0123-4567' * 7}`, which is its name\n* [Report](http://{'r' * 80})"
    )

    assert capsys.readouterr().out.splitlines() == [
        "  PASS: accuracy 0.9551, accuracy 0.9551, accuracy 0.9551, accuracy 0.9551,",
        "  accuracy 0.9551, fine",
        "",
        f"  | a | {'b' * 90} |",
        "  * Model version 1, digest of the file",
        f"    `{'0123-4567' * 7}`, which is",
        "    its name",
        f"  * [Report](http://{'r' * 80})",
    ]


def test_a_table_cuts_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(("file", "detail"), [("a.jpg", "x" * 100), ("longer.jpg", "short")])

    assert capsys.readouterr().out.splitlines() == [
        "  file        detail",
        "  a.jpg       " + "x" * 63 + "...",
        "  longer.jpg  short",
    ]


def test_a_run_in_the_way_is_told_with_its_id_its_age_and_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    since = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    show.in_the_way("signs_training", OpenRun("manual__1", since))
    show.in_the_way("signs_training", OpenRun("manual__2", None))
    show.in_the_way("signs_training", None)

    told = [
        f"  Waiting for an earlier run of signs_training to end: {run}. To drop it, press Ctrl-C, "
        "start `make up`, mark that run as failed on Airflow's page, and try again."
        for run in ("manual__1, since 2026-03-04 05:06 UTC", "manual__2, not yet started")
    ]
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(line.strip() for line in lines) == " ".join(line.strip() for line in told)


class Refused:
    """Stands for a client whose Airflow refuses everything."""

    def __init__(self, *_: str) -> None:
        raise ApiError("POST /auth/token answered 401: no")


def test_what_stops_a_chain_is_one_line_on_the_error_stream(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running(layout, choose_ports(), {})
    monkeypatch.setattr(drive, "run_stack", lambda layout, driver, **_: driver(running))
    monkeypatch.setattr(drive, "AirflowClient", Refused)

    assert drive.drive(layout, "signs", lambda running, chain: 0) == 1

    assert capsys.readouterr() == ("", "error: POST /auth/token answered 401: no\n")


def test_the_file_server_has_an_index_and_two_folders(tmp_path: Path) -> None:
    from local_stack.files import application

    workspace = Workspace(tmp_path)
    page = workspace.reports / "signs" / "<run>" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("report")
    (tmp_path / "secret.json").write_text("secret")
    paths = ("/", "/reports/signs/%3Crun%3E/", "/secret.json", "/reports/%2e%2e/secret.json")

    async def get_all() -> list[httpx.Response]:
        transport = httpx.ASGITransport(application(workspace))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get(path) for path in paths]

    index, report, secret, beside = asyncio.run(get_all())
    assert 'href="/reports/signs/&lt;run&gt;/"' in index.text
    assert report.text == "report"
    assert secret.status_code == beside.status_code == 404


def test_leftovers_of_a_killed_stack_are_ended_but_no_stranger_with_the_same_id() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    left, stranger = (psutil.Popen(command) for _ in range(2))
    try:
        ended = processes.end_leftovers(
            [(left.pid, left.create_time()), (stranger.pid, stranger.create_time() - 100)]
        )

        assert ended == 1
        assert not psutil.pid_exists(left.pid)
        assert stranger.poll() is None
    finally:
        for process in (left, stranger):
            if process.poll() is None:
                process.kill()
            process.wait()


def test_orphans_are_adopted_and_ended(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    note = tmp_path / "pid"
    # A grandchild in a session of its own, whose parent has gone: as Airflow's tasks may be.
    script.write_text(
        "import subprocess, sys, time\n"
        "from local_stack import processes\n"
        "processes.adopt_orphans()\n"
        'child = \'import subprocess; print(subprocess.Popen(["sleep", "60"], '
        "start_new_session=True, stdout=subprocess.DEVNULL).pid)'\n"
        "pid = subprocess.check_output([sys.executable, '-c', child], text=True)\n"
        f"open({str(note)!r}, 'w').write(pid)\n"
        "processes.end(processes.descendants(), grace=0.2)\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, env={**os.environ, **PATHS})

    pid = int(note.read_text())
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


PATHS = {"PYTHONPATH": f"{PROJECT}/scripts:{PROJECT}/spark_jobs:{PROJECT}/plugins"}


def test_the_environment_has_the_connection_and_hides_airflow_from_mlflow(layout: Layout) -> None:
    from local_stack.environment import airflow_environment, mlflow_environment

    ports = choose_ports()
    environment = airflow_environment(layout, ports, quick=True, extra={"EXTRA": "1"})

    connection = json.loads(environment["AIRFLOW_CONN_SPARK_DEFAULT"])
    assert connection == {"conn_type": "spark", "host": "local[*]"}
    assert environment["DARKROOM_WORKSPACE"] == str(layout.workspace.root)
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{ports.mlflow}"
    assert environment["SPARK_HOME"].endswith("pyspark")
    assert environment["EXTRA"] == "1"
    hidden = mlflow_environment(layout, environment)
    assert not [n for n in hidden if n.startswith("AIRFLOW__") or n == "PYTHONPATH"]
