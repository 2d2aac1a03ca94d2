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


def spark_submit(what: str, changes: str) -> subprocess.CompletedProcess[str]:
    """Runs spark-submit with set-up's options for the JVM changed by shell commands."""
    unset = ("SPARK_SUBMIT_OPTS", "DARKROOM_SPARK_DEFAULTS")
    return subprocess.run(
        ["bash", "-c", f'. scripts/env.sh; {changes}; spark-submit "$0"', what],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name not in unset},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_driver_takes_its_classes_from_the_archive(tmp_path: Path) -> None:
    job, log = tmp_path / "job.py", tmp_path / "classes.log"
    job.write_text(
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "print(spark.range(3).count(), spark.conf.get('spark.sql.session.timeZone'))\n"
    )
    result = spark_submit(str(job), f'SPARK_SUBMIT_OPTS+=" -Xlog:class+load:file={log}"')
    assert (result.returncode, result.stdout) == (0, "3 UTC\n")
    lines = log.read_text().splitlines()
    shared = [line for line in lines if line.endswith("shared objects file (top)")]
    from_jars = [line for line in lines if "/jars/spark-" in line]
    assert len(shared) > 20 * len(from_jars)


def version(changes: str) -> tuple[int, str, str]:
    """Exit code and all that Spark's JVM says when it only tells its version.

    A JVM judges its archive before it runs anything, so this is all that a job would show.
    """
    result = spark_submit("--version", changes)
    return result.returncode, result.stdout, result.stderr


@pytest.fixture(scope="module")
def said_with_a_fitting_archive() -> tuple[int, str, str]:
    code, out, err = version(":")
    assert (code, out) == (0, "")
    assert "Welcome to" in err
    return code, out, err


def older_java(archive: bytes) -> bytes:
    """The archive as another release of Java would have written it: its head names the JVM."""
    head, rest = archive[:8192], archive[8192:]
    changed = re.sub(rb"\(\d+\.[0-9.]+\+", lambda m: b"(9" + m[0][2:], head)
    assert changed != head
    return changed + rest


@pytest.mark.parametrize(
    "misfit",
    [
        older_java,
        pytest.param(lambda archive: b"", marks=pytest.mark.long, id="empty"),
        pytest.param(lambda archive: b"words" * 1000, marks=pytest.mark.long, id="no archive"),
    ],
)
def test_an_archive_that_does_not_fit_changes_nothing_and_says_nothing(
    said_with_a_fitting_archive: tuple[int, str, str],
    tmp_path: Path,
    misfit: Callable[[bytes], bytes],
) -> None:
    other = tmp_path / "driver.jsa"
    other.write_bytes(misfit(ARCHIVE.read_bytes()))
    change = f'SPARK_SUBMIT_OPTS="${{SPARK_SUBMIT_OPTS/"{ARCHIVE}"/{other}}}"'
    assert version(change) == said_with_a_fitting_archive
    other.unlink()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param('SPARK_SUBMIT_OPTS+=" -XX:-UseCompressedOops"', marks=pytest.mark.long),
        "export SPARK_CONF_DIR=$PWD/config/spark",
    ],
)
def test_a_driver_of_another_kind_starts_without_the_archive_and_silently(
    said_with_a_fitting_archive: tuple[int, str, str], change: str
) -> None:
    assert version(change) == said_with_a_fitting_archive
