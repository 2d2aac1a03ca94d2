"""Chooses an engine for a model and makes what it opens; on the driver."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from darkroom.backbones.model_formats import (
    SERVING_SIGNATURE,
    Tensor,
    is_saved_model,
    load_saved_model,
    signatures_of,
)
from darkroom.contract import ConfigError, DataError, MissingInputError
from darkroom.contract.names import Engine
from darkroom.contract.workspace import write_atomically
from darkroom.files.cache import default_cache, made_once
from darkroom.files.digests import digest_of
from darkroom.ml.engines.choice import by_speed, has_gpu
from darkroom.ml.engines.libraries import single_thread_tensorflow
from darkroom.ml.engines.model import PreparedModel, TensorSpec

if TYPE_CHECKING:
    from darkroom.ml.engines.network import Network

EXPORT_VERSION: Final = "1"
"""Part of the cache's layout: raise it when a change of the code changes an exported file."""

CARD_FILE: Final = "prepared.json"
PREFERRED_FILE: Final = "preferred_engine"

_log = logging.getLogger(__name__)


def prepare(
    model_file: Path, cache: Path | None = None, engine: Engine = Engine.AUTO
) -> PreparedModel:
    """Makes a Keras model ready for an engine, once per model file.

    Args:
        model_file: A ``.keras`` or ``.h5`` file; or a SavedModel folder, whose signature
            ``serving_default`` TensorFlow runs.
        cache: Folder that keeps what was made, by the file's SHA-256; what is there already is
            used without importing TensorFlow. None for ``engines`` in the user's own cache.
        engine: Which one; AUTO for what was preferred last, else the quickest here.

    Returns:
        The model. Where the engine cannot run it, or answers differently from Keras, it is for
        TensorFlow; a warning in the log says so once, and the cache remembers it.

    Raises:
        MissingInputError: There is no such file.
        DataError: Keras cannot load it.
    """
    if model_file.is_dir():
        return prepare_saved_model(model_file)
    if not model_file.is_file():
        raise MissingInputError(f"there is no model file {model_file}")
    workshop = _Workshop(model_file, digest_of(model_file), cache or default_cache() / "engines")
    return workshop.made_for(workshop.preferred if engine is Engine.AUTO else engine)


def prefer(model_file: Path, cache: Path, engine: Engine) -> None:
    """Remembers in a cache which engine AUTO is to mean for a model from now on.

    Args:
        model_file: A ``.keras`` or ``.h5`` file.
        cache: As for `prepare`.
        engine: The engine; AUTO forgets it.
    """
    _Workshop(model_file, digest_of(model_file), cache).prefer(engine)


def prepare_saved_model(folder: Path, signature: str = SERVING_SIGNATURE) -> PreparedModel:
    """Describes one signature of a SavedModel; TensorFlow runs it.

    Args:
        folder: Of the SavedModel.
        signature: Which of its signatures.

    Returns:
        The model; its inputs and outputs are those of the signature.

    Raises:
        MissingInputError: There is no SavedModel.
        ConfigError: It has no such signature.
        DataError: TensorFlow cannot load it, or a tensor of the signature has no batch axis.
    """
    if not is_saved_model(folder):
        raise MissingInputError(f"{folder} is no SavedModel: it holds no saved_model.pb")
    # Once TensorFlow runs, its threads cannot be changed.
    single_thread_tensorflow()
    signatures = signatures_of(load_saved_model(folder))
    if signature not in signatures:
        known = ", ".join(signatures) or "none"
        raise ConfigError("signature", signature, f"{folder} has these: {known}")
    _, inputs, outputs = signatures[signature]
    return PreparedModel(
        Engine.TENSORFLOW,
        str(folder.absolute()),
        _specs(inputs, folder),
        _specs(outputs, folder),
        digest_of(folder),
        signature,
    )


def _specs(tensors: tuple[Tensor, ...], folder: Path) -> tuple[TensorSpec, ...]:
    for tensor in tensors:
        if not tensor.shape:
            raise DataError(f"{folder}: tensor {tensor.name} of the signature has no batch axis")
    return tuple(TensorSpec(name, shape[1:], dtype) for name, shape, dtype in tensors)


def _maker(engine: Engine) -> str:
    """The engine and the versions that an export depends on: after an upgrade it is made anew."""
    packages = {Engine.OPENVINO: ("openvino",), Engine.ONNXRUNTIME: ("onnxruntime", "tf2onnx")}
    used = ("keras", *packages.get(engine, ()))
    return "-".join([engine, EXPORT_VERSION, *map(importlib.metadata.version, used)])


@dataclass(frozen=True)
class _Workshop:
    """What is made of one model file; the folder's layout is nobody else's business."""

    model_file: Path
    digest: str
    cache: Path

    @property
    def preferred(self) -> Engine:
        """What AUTO means for this model."""
        file = self._folder / PREFERRED_FILE
        return Engine(file.read_text()) if file.exists() else Engine.AUTO

    def prefer(self, engine: Engine) -> None:
        """Changes what AUTO means for this model."""
        write_atomically(self._folder / PREFERRED_FILE, engine)

    def made_for(self, engine: Engine) -> PreparedModel:
        """What an engine opens, made on first use; with AUTO the first that can run the model."""
        if engine is not Engine.AUTO:
            return self._made(engine)
        if has_gpu():
            return self._made(Engine.TENSORFLOW)
        tried = (self._made(one) for one in by_speed(self.model_file))
        able = (made for made in tried if made.engine is not Engine.TENSORFLOW)
        return next(able, None) or self._made(Engine.TENSORFLOW)

    @property
    def _folder(self) -> Path:
        return self.cache / self.digest

    def _made(self, engine: Engine) -> PreparedModel:
        folder = self._folder / _maker(engine)
        made_once(folder, lambda scratch: self._make(engine, scratch))
        values = json.loads((folder / CARD_FILE).read_text())
        file = folder / values["name"] if values["name"] else self.model_file.absolute()
        return PreparedModel.from_json(values, str(file))

    def _make(self, engine: Engine, folder: Path) -> None:
        # Here and below: what is in the cache already is to be found without TensorFlow.
        from darkroom.ml.engines.network import read_network

        network = read_network(self.model_file)
        made = PreparedModel(Engine.TENSORFLOW, "", network.inputs, network.outputs, self.digest)
        if engine is not Engine.TENSORFLOW:
            made = self._exported(network, engine, folder) or made
        card = {**made.to_json(), "name": Path(made.file).name}
        (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")

    def _exported(self, network: Network, engine: Engine, folder: Path) -> PreparedModel | None:
        from darkroom.ml.engines.exporting import ExportError, export

        try:
            return export(network, engine, folder, self.digest)
        except ExportError as error:
            _log.warning("%s is not run by %s: %s", self.model_file, engine, error)
            for file in folder.iterdir():
                file.unlink()
            return None
