"""A gateway as people start it, on a workspace with a deployed function ``see``."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pyspark

from darkroom.contract import Stage, Workspace
from darkroom.lake import Lake
from darkroom.ml.engines import prepare
from darkroom.ml.model_files import MODEL_FILE
from darkroom.sql.deployments import Deployment, publish
from tests.integration.spark_env.colour_model import (
    LABELS,
    colour_package,
    image_row,
    picture,
)
from tests.integration.spark_env.gateway_process import START_SECONDS, Gateway, gateway_process

SPARK_JOBS = Path(__file__).parents[3] / "spark_jobs"
BARRED = Path(__file__).parent / "barred"
SPARK_BIN = Path(pyspark.__file__).parent / "bin"
ON_ONE_CORE = (
    *(str(SPARK_BIN / "spark-submit"), "--master", "local[1,3]"),
    *("--conf", "spark.ui.enabled=false"),
)
"""It tries a task again."""


def new_workspace(root: Path) -> Workspace:
    """Two images and a deployed function."""
    made = Workspace(root)
    rows = [image_row(f"{colour}/1.jpg", picture(colour)) for colour in ("red", "blue")]
    Lake(made).append_rows(rows, "colours", "images", run_id="i", stage=Stage.INGEST)
    deploy(made, 1)
    return made


def train(workspace: Workspace, version: int) -> str:
    """Leaves the network of that number as training does, prepared; returns its digest."""
    package = colour_package(workspace.models, version)
    prepare(package.model_file, workspace.engines)
    return package.digest


def deploy(workspace: Workspace, version: int, function: str = "see", view: str = "seen") -> None:
    """Publishes the network of that number."""
    announce(workspace, version, train(workspace, version), function, view)


def deploy_broken(workspace: Workspace, version: int) -> None:
    """Publishes a version whose model file is none."""
    content = f"no Keras file {version}".encode()
    digest = hashlib.sha256(content).hexdigest()
    good = next(workspace.models.glob(f"*/{MODEL_FILE}"))
    shutil.copytree(good.parent, workspace.models / digest)
    (workspace.models / digest / MODEL_FILE).write_bytes(content)
    announce(workspace, version, digest)


def announce(
    workspace: Workspace, version: int, digest: str, function: str = "see", view: str = "seen"
) -> None:
    """Publishes a version whose files lie in the workspace."""
    deployment = Deployment(
        function=function,
        pipeline="colours",
        view=view,
        model_name="colours",
        model_version=str(version),
        model_digest=digest,
        model_path=f"models/{digest}",
        labels=LABELS,
        deployed_at=dt.datetime.now(dt.UTC),
        run_id="d",
    )
    assert publish(Lake(workspace), deployment)


def environment() -> dict[str, str]:
    """One in which neither the driver nor a worker can import TensorFlow or Keras."""
    return {
        **os.environ,
        "SPARK_HOME": str(SPARK_BIN.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(BARRED), str(SPARK_JOBS)]),
    }


def submit(script: str, *options: str) -> list[str]:
    """The command of an entrypoint on one core."""
    return [*ON_ONE_CORE, str(SPARK_JOBS / script), *options]


def beeline(gateway: Gateway, sql: str, *login: str) -> list[str]:
    """Asks over JDBC, as a BI tool would."""
    url = f"jdbc:hive2://127.0.0.1:{gateway.port}"
    done = subprocess.run(
        [
            *(str(SPARK_BIN / "beeline"), "-u", url, *login),
            *("--silent=true", "--outputformat=csv2", "-e", sql),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    # Beeline prints its prompt in front of the first line.
    lines = done.stdout.replace(f"0: {url}> ", "").splitlines()
    return [line for line in lines if line.strip()]


def running_gateway(
    workspace: Workspace, folder: Path, *options: str, **variables: str
) -> AbstractContextManager[Gateway]:
    """Starts a gateway that looks for new models every second, and ends it."""
    often = ("--poll-seconds", "1", *options)
    own = environment() | variables
    return gateway_process(ON_ONE_CORE, workspace.root, folder, *often, environment=own)
