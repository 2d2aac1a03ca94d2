"""What Darkroom is measured against: plain loops without Spark, each in processes of its own.

A peer loads its model once; then it runs over all pictures as often as it is told to.
"""

from __future__ import annotations

import io
import multiprocessing
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from darkroom.backbones.libraries import import_keras, import_tensorflow
from darkroom.ml.engines import PreparedModel

TENSORFLOW_BATCH = 32
Loop = Callable[[], None]


class Loops(Protocol):
    """What a peer's process runs; travels there by pickle."""

    def open(self) -> Loop:
        """Loads the model; the answer runs over all pictures once."""


@dataclass(frozen=True)
class TensorFlowLoop:
    """tf.data decodes and resizes in parallel, a tf.function runs the network on all cores.

    Attributes:
        model_file: Keras file.
        pictures: Encoded JPEG pictures.
        size: Height and width of the input in pixels.
    """

    model_file: Path
    pictures: Sequence[bytes]
    size: int

    def open(self) -> Loop:
        """Loads the model; the answer runs over all pictures once."""
        keras, tf = import_keras(), import_tensorflow()
        model = keras.saving.load_model(self.model_file, compile=False)
        forward = tf.function(lambda pixels: model(pixels, training=False))

        def read(data: Any) -> Any:
            pixels = tf.io.decode_jpeg(data, channels=3)
            return tf.image.resize(pixels, (self.size, self.size))

        pictures = tf.data.Dataset.from_tensor_slices(list(self.pictures))
        decoded = pictures.map(read, num_parallel_calls=tf.data.AUTOTUNE)
        batches = decoded.batch(TENSORFLOW_BATCH).prefetch(tf.data.AUTOTUNE)

        def loop() -> None:
            for batch in batches:
                forward(batch).numpy()

        return loop


@dataclass(frozen=True)
class RawLoop:
    """Decode, resize, run: with the engine and the batch that Darkroom itself uses.

    Attributes:
        prepared: The model.
        pictures: Encoded JPEG pictures, this process' share.
    """

    prepared: PreparedModel
    pictures: Sequence[bytes]

    def open(self) -> Loop:
        """Loads the model; the answer runs over all pictures once."""
        from darkroom.ml.engines import load
        from darkroom.ml.inference import input_shape, pass_images

        forward = load(self.prepared)
        source, answer = self.prepared.inputs[0], self.prepared.outputs[0]
        height, width, _ = input_shape(self.prepared)
        size = pass_images(self.prepared)

        def read(data: bytes) -> NDArray[np.uint8]:
            from PIL import Image

            picture = Image.open(io.BytesIO(data)).convert("RGB")
            return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))

        def loop() -> None:
            for start in range(0, len(self.pictures), size):
                batch = np.stack([read(data) for data in self.pictures[start : start + size]])
                forward({source.name: batch.astype(source.dtype)})[answer.name]

        return loop


class Peer:
    """Loops that run at the same time, each in a fresh process; a context manager."""

    def __init__(self, loops: Sequence[Loops]) -> None:
        """Args: loops: what each process runs."""
        self._loops = loops

    def __enter__(self) -> Self:
        spawn = multiprocessing.get_context("spawn")
        pairs = [spawn.Pipe() for _ in self._loops]
        self._ours = [ours for ours, _ in pairs]
        self._processes = [
            spawn.Process(target=_serve, args=(loop, theirs))
            for loop, (_, theirs) in zip(self._loops, pairs, strict=True)
        ]
        for process in self._processes:
            process.start()
        self.run()  # Loads the models and warms them up.
        return self

    def run(self) -> float:
        """Seconds until all loops have run over their pictures once."""
        begun = time.perf_counter()
        for connection in self._ours:
            connection.send(True)
        for connection in self._ours:
            connection.recv()
        return time.perf_counter() - begun

    def peak_memory(self) -> float:
        """MiB that the processes have held at most, each."""
        texts = [Path(f"/proc/{process.pid}/status").read_text() for process in self._processes]
        return max(int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0]) / 1024 for text in texts)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._ours:
            connection.send(False)
        for process in self._processes:
            process.join()


def _serve(loop: Loops, connection: Connection) -> None:
    run = loop.open()
    while connection.recv():
        run()
        connection.send(True)
