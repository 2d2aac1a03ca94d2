"""What can be known about docker/ where no engine runs: the real files against the real project."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from airflow.configuration import retrieve_configuration_description
from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from cryptography.fernet import Fernet

from local_stack.credentials import USERS
from local_stack.layout import PROJECT, Layout

DOCKER = PROJECT / "docker"
HOME = "/opt/darkroom"
COMPOSE_TEXT = (DOCKER / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONE_SHOT = {"airflow-init"}
COMMENT = re.compile(r"\s*#")
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<kind>:[?-])?(?P<text>[^}]*)\}")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined."""
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    code = "\n".join(line for line in lines if not COMMENT.match(line)).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in code.splitlines() if line.strip())
    return [(name, argument) for name, argument in pairs]


def stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's stages, each with its FROM and what follows."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, argument in instructions():
        if name == "FROM":
            found[argument.split()[-1]] = []
        list(found.values())[-1].append((name, argument))
    return found


def whole_stage(name: str) -> list[tuple[str, str]]:
    """A stage's instructions after those of the stages it is made from."""
    own = stages()[name]
    parent = own[0][1].split()[0]
    return [*(whole_stage(parent) if parent in stages() else []), *own[1:]]


def image_environment(target: str) -> dict[str, str]:
    settings = (arg for name, arg in whole_stage(target) if name == "ENV")
    return dict(pair.split("=", 1) for arg in settings for pair in shlex.split(arg))


def example() -> dict[str, str]:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not COMMENT.match(line))


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command and health check of our own containers."""
    for name, service in OURS.items():
        yield name, service["command"]
        if "healthcheck" in service:
            yield name, service["healthcheck"]["test"][1:]


def here(path: str) -> Path:
    """The place, on this machine, of a path in a container."""
    relative = Path(path.removeprefix(f"{HOME}/"))
    if relative.is_relative_to(".venv/airflow"):
        return Path(sys.prefix) / relative.relative_to(".venv/airflow")
    if relative.is_relative_to(".venv/spark"):
        return Layout.from_environment().spark_venv / relative.relative_to(".venv/spark")
    return PROJECT / relative


def spark_home() -> Path:
    return next(here(".venv/spark").glob("lib/python3.*/site-packages/pyspark"))


def made_env(folder: Path) -> Path:
    """Runs the line that .env.example gives, in a copy."""
    (folder / "docker").mkdir()
    shutil.copy(DOCKER / ".env.example", folder / "docker")
    text = (DOCKER / ".env.example").read_text()
    (line,) = re.findall(r"^# +(\(umask .*)$", text, re.MULTILINE)
    subprocess.run(["bash", "-euc", line], cwd=folder, check=True)
    return folder / "docker" / ".env"


# ---- variables and secrets


def test_every_variable_is_in_the_example_and_every_name_there_is_used() -> None:
    assert {match["name"] for match in VARIABLE.finditer(COMPOSE_TEXT)} == set(example())


def test_a_variable_is_either_required_with_a_message_or_has_the_default_of_the_example() -> None:
    for match in VARIABLE.finditer(COMPOSE_TEXT):
        if match["kind"] == ":?":
            assert "docker/.env" in match["text"], match[0]
        else:
            assert (match["kind"], match["text"]) == (":-", example()[match["name"]]), match[0]


def test_the_example_holds_no_secret_and_its_line_makes_one_for_each(tmp_path: Path) -> None:
    empty = {name for name, value in example().items() if not value}
    assert empty == {name for name in example() if re.search("PASSWORD|KEY|SECRET", name)}

    file = made_env(tmp_path)
    made = dict(line.split("=", 1) for line in file.read_text().splitlines() if line[:1].isupper())
    assert {name: value for name, value in made.items() if name not in empty} == {
        name: value for name, value in example().items() if value
    }
    secrets = [made[name] for name in empty]
    assert len(set(secrets)) == len(empty)
    assert all(re.fullmatch(r"[\w-]{43}=", secret) for secret in secrets)
    Fernet(made["AIRFLOW_FERNET_KEY"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_secret_is_written_into_the_files() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD$|KEY$|SECRET$", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name
    passwords = re.findall(r"://\w+:(.+?)@", COMPOSE_TEXT)
    assert len(passwords) == 3
    assert all(re.fullmatch(r"\$\{\w+_DB_PASSWORD:\?[^}]+\}", password) for password in passwords)
    git = ["git", "check-ignore", "--no-index", "--quiet"]
    assert subprocess.run([*git, "docker/.env"], cwd=PROJECT, check=False).returncode == 0
    assert subprocess.run([*git, "docker/.env.example"], cwd=PROJECT, check=False).returncode == 1


def test_every_variable_of_ours_is_read_somewhere() -> None:
    names = {name for service in SERVICES.values() for name in service.get("environment", {})}
    names |= set(image_environment("airflow"))
    folders = ("spark_jobs", "plugins", "scripts")
    files = [p for folder in folders for p in (PROJECT / folder).rglob("*.[ps][yh]")]
    code = "\n".join(file.read_text() for file in files)
    ours = {name for name in names if name.startswith("DARKROOM_")}
    assert len(ours) == 5
    assert {name for name in ours if name not in code} == set()


# ---- services


def test_the_client_accepts_the_file_and_names_what_is_missing(tmp_path: Path) -> None:
    compose = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*compose, "version"], check=False).returncode:
        pytest.skip("docker has no compose plugin here")
    config = [*compose, "--file", str(DOCKER / "compose.yaml"), "config", "--quiet"]
    complete = [*config[:2], "--env-file", str(made_env(tmp_path)), *config[2:]]
    subprocess.run(complete, check=True)
    empty = [*config[:2], "--env-file", str(DOCKER / ".env.example"), *config[2:]]
    refused = subprocess.run(empty, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "is missing a value: see docker/.env.example" in refused.stderr


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert [
        port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port)
    ] == []


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_starts_again_and_says_whether_it_works(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert ("healthcheck" in service) == (name not in ONE_SHOT)
    if name in OURS:
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_a_service_waits_for_can_happen() -> None:
    waits = [
        (target, wait["condition"])
        for service in SERVICES.values()
        for target, wait in service.get("depends_on", {}).items()
    ]
    assert waits
    for target, condition in waits:
        possible = "service_completed_successfully" if target in ONE_SHOT else "service_healthy"
        assert (target in SERVICES, condition) == (True, possible)


def test_volumes_are_declared_and_mounted_files_exist() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    short = [mount.split(":") for mount in mounts if isinstance(mount, str)]
    named = {parts[0] for parts in short if not parts[0].startswith(".")}
    assert named == set(COMPOSE["volumes"])
    for source, _, mode in (parts for parts in short if parts[0].startswith(".")):
        assert ((DOCKER / source).exists(), mode) == (True, "ro"), source


# ---- what the containers run


def test_every_path_of_a_command_exists() -> None:
    words = [word for _, command in commands() for word in command]
    paths = [w for w in words if re.match(r"(/opt/darkroom|\.venv|docker|spark_jobs)/", w)]
    assert len(paths) > 8
    missing = [path for path in paths if path != f"{HOME}/workspace" and not here(path).exists()]
    assert missing == []


def test_every_program_exists() -> None:
    for name, (program, *arguments) in commands():
        if program.startswith("spark-"):
            assert (spark_home() / "bin" / program).exists(), name
        elif "/" not in program:
            assert program == "python3", name  # the base image's own
        if arguments[:1] == ["-m"]:
            assert importlib.util.find_spec(arguments[1]), name
        if arguments[:1] == ["-c"]:
            compile(arguments[1], name, "exec")


def test_spark_has_the_classes_of_its_daemons() -> None:
    classes = [c[1].replace(".", "/") for _, c in commands() if c[0] == "spark-class"]
    assert len(classes) == 2
    (jar,) = (spark_home() / "jars").glob("spark-core_*.jar")
    with zipfile.ZipFile(jar) as archive:
        assert {f"{name}.class" for name in classes} <= set(archive.namelist())


def test_airflow_understands_its_commands_and_settings() -> None:
    parser = get_parser()
    airflow = [c[1:] for _, c in commands() if c[0].endswith("/airflow")]
    assert len(airflow) == 6
    for arguments in airflow:
        parser.parse_args(arguments)
    known = retrieve_configuration_description(include_providers=False)
    settings = [n for n in SERVICES["airflow-api"]["environment"] if n.startswith("AIRFLOW__")]
    for _, section, option in (name.lower().split("__") for name in settings):
        assert option in known[section]["options"]


def test_the_servers_understand_their_options() -> None:
    for name, program in (
        ("mlflow", [str(here(".venv/spark/bin/mlflow")), "server"]),
        ("sql-gateway", [str(here(".venv/spark/bin/python")), "spark_jobs/sql_gateway.py"]),
    ):
        environment = {**os.environ, "PYTHONPATH": str(PROJECT / "spark_jobs")}
        shown = subprocess.run(
            [*program, "--help"], cwd=PROJECT, env=environment, capture_output=True, check=True
        ).stdout.decode()
        command = SERVICES[name]["command"]
        first = 0 if name == "mlflow" else command.index("spark_jobs/sql_gateway.py")
        options = [w.partition("=")[0] for w in command[first:] if w.startswith("--")]
        assert options
        assert [option for option in options if option not in shown] == [], name


def test_the_report_server_listens_where_it_is_told(tmp_path: Path) -> None:
    program, *arguments = SERVICES["files"]["command"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = str(probe.getsockname()[1])
    real = {f"{HOME}/workspace": str(tmp_path), "8090": port, "0.0.0.0": "127.0.0.2"}
    assert set(real) < set(arguments)
    folders = SERVICES["files"]["environment"]["PYTHONPATH"].replace(HOME, str(PROJECT))
    server = subprocess.Popen(
        [here(program), *(real.get(word, word) for word in arguments)],
        env={**os.environ, "PYTHONPATH": folders},
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.2", int(port))):
                return
            assert server.poll() is None, "the server has ended"
            time.sleep(0.1)
        pytest.fail("the server does not listen at the address it was given")
    finally:
        server.terminate()
        server.wait()


def test_the_connection_is_the_master(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES["airflow-scheduler"]["environment"]
    name = "AIRFLOW_CONN_SPARK_DEFAULT"
    monkeypatch.setenv(name, environment[name])
    master = SERVICES["spark-master"]["command"]
    port = master[master.index("--port") + 1]
    assert SparkSubmitHook()._connection["master"] == f"spark://spark-master:{port}"
    assert f"spark://spark-master:{port}" in SERVICES["spark-worker"]["command"]
    assert f"--master=spark://spark-master:{port}" in SERVICES["sql-gateway"]["command"]


def test_the_users_are_those_of_the_local_stack() -> None:
    users = SERVICES["airflow-init"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    assert dict(user.split(":") for user in users.split(",")) == USERS


def test_each_database_has_its_user() -> None:
    script = (DOCKER / "create_databases.sh").read_text()
    made = dict(re.findall(r'^create_database (\w+) "\$(\w+)"$', script, re.MULTILINE))
    asked = re.findall(
        r"postgresql\+psycopg://(\w+):\$\{(\w+):\?[^}]+\}@postgres:5432/(\w+)", COMPOSE_TEXT
    )
    assert made == {user: password for user, password, _ in asked}
    assert all(user == database for user, _, database in asked)
    assert {"POSTGRES_USER", "POSTGRES_DB", *made.values()} < set(
        SERVICES["postgres"]["environment"]
    )


# ---- images


def test_image_tags_are_pinned() -> None:
    bases = [argument.split()[0] for name, argument in instructions() if name == "FROM"]
    foreign = [base for base in bases if base not in stages()]
    foreign += [service["image"] for name, service in SERVICES.items() if name not in OURS]
    assert len(foreign) == 2
    assert [tag for tag in foreign if not re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?-[\w-]+", tag)] == []


def test_every_built_service_names_a_target_and_the_context() -> None:
    for service in OURS.values():
        build = service["build"]
        assert service["image"] == f"darkroom-{build['target']}:local"
        assert build["target"] in stages()
        assert (DOCKER / build["context"] / build["dockerfile"]).samefile(DOCKER / "Dockerfile")


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    admitted = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    copied = [argument.split() for name, argument in instructions() if name == "COPY"]
    for words in copied:
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages()
            continue
        for source in words[:-1]:
            assert list(PROJECT.glob(source)), source
            parents = [source, *map(str, Path(source).parents)]
            assert any(Path(p).match(a) for p in parents for a in admitted if p != "."), source


def test_run_steps_are_good_shell_and_leave_no_package_lists() -> None:
    steps = [argument for name, argument in instructions() if name == "RUN"]
    assert len(steps) == 4
    for step in steps:
        code = re.sub(r"^(--\S+\s+)+", "", step)
        subprocess.run(["bash", "-n", "-c", code], check=True)
        if "apt-get install" in code:
            assert "--no-install-recommends" in code
            assert code.endswith("rm -rf /var/lib/apt/lists/*")
    assert (PROJECT / "scripts/setup.sh").exists()
    assert any(step.endswith(" scripts/setup.sh") for step in steps)


@pytest.mark.parametrize("target", ["spark", "airflow"])
def test_a_container_runs_as_nobody_in_particular_through_our_entrypoint(target: str) -> None:
    settings = dict(whole_stage(target))  # the last of each kind counts
    assert settings["USER"] == "10001:10001"
    assert json.loads(settings["ENTRYPOINT"]) == [f"{HOME}/docker/entrypoint.sh"]
    assert settings["WORKDIR"] == HOME
    environment = image_environment(target)
    assert environment["PYSPARK_PYTHON"] == f"{HOME}/.venv/spark/bin/python"
    for path in [environment["DARKROOM_SPARK_DEFAULTS"], *environment["PYTHONPATH"].split(":")]:
        assert here(path).exists(), path
