"""The code of every logged model: MLflow stores this file with the model and runs it to load it.

Nothing heavier than pandas is imported here: the file also runs when a model is logged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

PASS_PIXELS = 32 * 224 * 224
"""Pixels of one forward pass: more of them take more memory and are no quicker."""

PASS_IMAGES = 64
"""Most images of one forward pass, however small they are."""


class ImageClassifier(PythonModel):
    """Encoded images in, labels and probabilities out.

    Input: a data frame with the column ``image`` (bytes of a JPEG, PNG, ...).
    Output: a data frame with ``label`` (the best), ``probability`` (its, 0-1) and
    ``probabilities`` (float32, in the order of the model's labels); all three are null for an
    image that is null or cannot be decoded.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the network, once per process.

        Raises:
            ValueError: It holds code of its own, which is not run.
        """
        card = json.loads(Path(context.artifacts["model.json"]).read_text())
        self._labels: list[str] = card["labels"]
        self._height: int = card["height"]
        self._width: int = card["width"]
        pixels = self._height * self._width
        self._pass_images = min(PASS_IMAGES, max(1, PASS_PIXELS // pixels))
        network = _load(context.artifacts["model.keras"])
        self._network = _as_graph(network, (self._height, self._width, 3))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """See the class."""
        del context, params
        images = model_input["image"].tolist()
        rows: list[tuple[Any, Any, Any]] = []
        for start in range(0, len(images), self._pass_images):
            rows += self._rows(images[start : start + self._pass_images])
        return pd.DataFrame(rows, columns=["label", "probability", "probabilities"])

    def _rows(self, images: list[bytes | None]) -> Iterator[tuple[Any, Any, Any]]:
        """Answers of one forward pass."""
        decoded = [self._decode(image) for image in images]
        vectors = self._run([pixels for pixels in decoded if pixels is not None])
        return (self._row(None if pixels is None else next(vectors)) for pixels in decoded)

    def _decode(self, image: bytes | None) -> NDArray[np.uint8] | None:
        from darkroom.images import ImageRejectedError, read_rgb

        if image is None:
            return None
        try:
            return read_rgb(image, self._height, self._width)
        except ImageRejectedError:
            return None

    def _run(self, pixels: list[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        import numpy as np

        if not pixels:
            return iter(())
        return iter(self._network(np.stack(pixels).astype(np.float32)).numpy())

    def _row(self, vector: NDArray[np.float32] | None) -> tuple[Any, Any, Any]:
        if vector is None:
            return None, None, None
        best = int(vector.argmax())
        return self._labels[best], float(vector[best]), vector


def _load(file: str) -> keras.Model:
    import keras
    from keras.src.saving.serialization_lib import SafeModeScope

    try:
        # The argument alone yields to a process that has switched the safe mode off.
        with SafeModeScope(True):
            return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        # Keras' own remedy is to switch the safe mode off.
        if "enable_unsafe_deserialization" not in str(error):
            raise
        raise ValueError(
            "model.keras holds a Lambda layer, whose code is not run from a file: train a "
            "model without it"
        ) from None


def _as_graph(network: keras.Model, shape: tuple[int, int, int]) -> Any:
    """A network for batches of any size; called as it is, Keras would keep all layers' outputs."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *shape), tf.float32)]
    graph = tf.function(lambda images: network(images, training=False), input_signature=signature)
    # Traced now, so that a server's first request does not wait for it.
    graph.get_concrete_function()
    return graph


set_model(ImageClassifier())
