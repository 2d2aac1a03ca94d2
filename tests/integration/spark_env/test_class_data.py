"""The class-data archive helps a driver to start, and never keeps one from starting."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
ARCHIVE = REPOSITORY / ".venv/spark/jvm/driver.jsa"

pytestmark = pytest.mark.integration


def driver(script: Path, options: str) -> subprocess.CompletedProcess[str]:
    """Runs a script under spark-submit with set-up's options for the JVM changed."""
    unset = ("SPARK_SUBMIT_OPTS", "DARKROOM_SPARK_DEFAULTS")
    return subprocess.run(
        ["bash", "-c", f'. scripts/env.sh; {options}; spark-submit "$0"', str(script)],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name not in unset},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A script that asks the driver's JVM where its SparkContext class came from."""
    path = tmp_path / "job.py"
    path.write_text(
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "print(spark.range(3).count(), spark.conf.get('spark.sql.session.timeZone'))\n"
    )
    return path


def test_the_driver_takes_its_classes_from_the_archive(job: Path, tmp_path: Path) -> None:
    log = tmp_path / "classes.log"
    result = driver(job, f'SPARK_SUBMIT_OPTS+=" -Xlog:class+load:file={log}"')
    assert (result.returncode, result.stdout) == (0, "3 UTC\n")
    lines = log.read_text().splitlines()
    shared = [line for line in lines if line.endswith("shared objects file (top)")]
    from_jars = [line for line in lines if "/jars/spark-" in line]
    assert len(shared) > 20 * len(from_jars)


def older_java(archive: bytes) -> bytes:
    """The archive as another release of Java would have written it: its head names the JVM."""
    head, rest = archive[:8192], archive[8192:]
    changed = re.sub(rb"\(\d+\.[0-9.]+\+", lambda m: b"(9" + m[0][2:], head)
    assert changed != head
    return changed + rest


@pytest.mark.parametrize(
    "misfit", [older_java, lambda archive: b"", lambda archive: b"not an archive" * 1000]
)
def test_an_archive_that_does_not_fit_changes_nothing_and_says_nothing(
    job: Path, tmp_path: Path, misfit: Callable[[bytes], bytes]
) -> None:
    other = tmp_path / "driver.jsa"
    other.write_bytes(misfit(ARCHIVE.read_bytes()))
    result = driver(job, f'SPARK_SUBMIT_OPTS="${{SPARK_SUBMIT_OPTS/"{ARCHIVE}"/{other}}}"')
    other.unlink()
    assert (result.returncode, result.stdout) == (0, "3 UTC\n")
    assert "archive" not in result.stderr
    assert "[cds" not in result.stderr


@pytest.mark.parametrize(
    "options",
    ['SPARK_SUBMIT_OPTS+=" -XX:-UseCompressedOops"', "export SPARK_CONF_DIR=$PWD/config/spark"],
)
def test_a_driver_of_another_kind_starts_without_the_archive_and_silently(
    job: Path, options: str
) -> None:
    result = driver(job, options)
    assert (result.returncode, result.stdout) == (0, "3 UTC\n")
    assert "archive" not in result.stderr
    assert "[cds" not in result.stderr
