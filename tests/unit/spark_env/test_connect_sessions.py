"""What is done otherwise in a Spark Connect session, as far as it needs none."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from darkroom import DeepImageFeaturizer
from darkroom.contract import ConfigError
from darkroom.ml.engines import Engine, PreparedModel, ship


class ConnectSession:
    """Takes artifacts as a Connect session does; it has no ``sparkContext``."""

    def __init__(self, *answers: str) -> None:
        self.sent: list[Path] = []
        self._answers = list(answers)

    def addArtifacts(self, path: str, *, archive: bool = False) -> None:  # noqa: N802
        assert archive
        self.sent.append(Path(path))
        if self._answers:
            raise RuntimeError(self._answers.pop(0))


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedModel:
    """A model of two files, as OpenVINO has it."""
    (tmp_path / "model.xml").write_text("layers")
    (tmp_path / "model.bin").write_text("weights")
    (tmp_path / "other.bin").write_text("not this model's")
    return PreparedModel(Engine.OPENVINO, str(tmp_path / "model.xml"), (), (), str(tmp_path))


def test_a_model_travels_as_an_artifact_named_after_its_content(prepared: PreparedModel) -> None:
    session = ConnectSession()

    shipped = ship(session, prepared)

    (archive,) = session.sent
    assert shipped.file == f"sent:{archive.name}/model.xml"
    with zipfile.ZipFile(archive) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == {
            "model.xml": b"layers",
            "model.bin": b"weights",
        }
    assert ship(session, shipped) == shipped
    assert session.sent == [archive]
    # A new session has none of the old one's artifacts.
    again = ConnectSession()
    assert ship(again, prepared) == shipped
    assert again.sent == [archive]


def test_an_artifact_that_is_there_is_not_an_error(prepared: PreparedModel) -> None:
    session = ConnectSession("[ARTIFACT_ALREADY_EXISTS] The artifact is there", "disk full")

    assert ship(session, prepared).file.startswith("sent:")
    with pytest.raises(RuntimeError, match=r"^disk full$"):
        ship(session, prepared)


@pytest.mark.parametrize(
    ("overwrite", "remedy"),
    [
        (
            False,
            "a stage with files of its own is saved and loaded by a classic Spark session only: "
            "Spark Connect cannot transfer them",
        ),
        (True, "Spark Connect cannot replace a saved stage: save it to a folder of its own"),
    ],
)
def test_what_cannot_be_saved_says_so(
    overwrite: bool, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    (tmp_path / "model.keras").write_bytes(b"a network")
    stage: Any = DeepImageFeaturizer(modelFile=tmp_path / "model.keras")
    writer = stage.write().session(ConnectSession())

    with pytest.raises(ConfigError) as caught:
        (writer.overwrite() if overwrite else writer).save("/saved")

    assert str(caught.value) == f"path = '/saved': {remedy}"
