"""A small Airflow world: a home of its own, one pipeline, and a stand-in for spark-submit."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import Workspace
from local_stack.layout import Layout

# Airflow reads its home when it is imported, and makes it.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="darkroom-airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

PIPELINE = """\
name: signs
description: Recognises signs
function: recognize_signs
view: signs_imgs
source: {path: photographs}
features: {backbones: [embedded, MobileNetV2]}
gate: {thresholds: {accuracy: 0.85}}
"""
FAKE = Path(__file__).with_name("fake_spark_submit.py")


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one pipeline, ``signs``."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "signs.yaml").write_text(PIPELINE)
    monkeypatch.setenv("DARKROOM_PIPELINES", str(folder))
    return folder


@pytest.fixture
def layout(tmp_path: Path, pipelines: Path) -> Layout:
    return Layout(
        workspace=Workspace(tmp_path / "workspace"),
        airflow_venv=tmp_path,
        spark_venv=tmp_path,
        pipelines=pipelines,
    )


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for label, count in (("cat", 40), ("dog", 20), ("owl", 12), ("yak", 8)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            (folder / label / f"{number}.jpg").touch()
    return folder


class FakeSpark:
    """The stand-in for spark-submit: what it shall do, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.scenario = folder / "scenario.json"
        self.bin.mkdir(parents=True)
        script = self.bin / "spark-submit"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
        script.chmod(0o755)
        self.play({})

    def play(self, scenario: Mapping[str, Any]) -> None:
        """Says what the stages shall do from now on."""
        self.scenario.write_text(json.dumps(scenario))

    def calls(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The calls so far, of one stage or of all."""
        file = self.scenario.with_suffix(".calls")
        lines = file.read_text().splitlines() if file.exists() else []
        every = [json.loads(line) for line in lines]
        return [call for call in every if stage is None or call["stage"] == stage]


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSpark:
    """spark-submit on PATH, a workspace, and the connection spark_default."""
    fake = FakeSpark(tmp_path / "fake")
    monkeypatch.setenv("PATH", f"{fake.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SCENARIO", str(fake.scenario))
    monkeypatch.setenv("DARKROOM_WORKSPACE", str(tmp_path / "workspace"))
    connection = {"conn_type": "spark", "host": "local[*]"}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    return fake
