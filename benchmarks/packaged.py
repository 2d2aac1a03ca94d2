"""The packaged model as MLflow serves it, beside its Keras model called as it is."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.deployed import classifier, log_model, pictures
from benchmarks.featurize import ROUNDS
from benchmarks.peers import Loop, Peer
from benchmarks.results import Row
from darkroom.backbones.libraries import import_keras
from darkroom.contract import Workspace
from darkroom.contract.names import EMBEDDED
from darkroom.registry.package import ModelPackage

NETWORKS = ("ResNet50", EMBEDDED)
REQUESTS = (64, 1)
"""Pictures of a request."""


def measure() -> Iterator[Row]:
    """Yields a row for each network and request."""
    for name in NETWORKS:
        with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
            package = classifier(name, Path(folder) / "made", Workspace(Path(folder)))
            _, model = log_model(package, Path(folder))
            for count in REQUESTS:
                yield _measure(f"{name}/{count}", package, model, pictures(count))


def _measure(name: str, package: ModelPackage, model: Path, asked: Sequence[bytes]) -> Row:
    ours, theirs = Peer([PackagedLoop(model, asked)]), Peer([EagerLoop(package, asked)])
    with ours, theirs:
        runs = [(ours.run(), theirs.run()) for _ in range(ROUNDS)]
        memory = ours.peak_memory(), theirs.peak_memory()
    ratios = [second / first for first, second in runs]
    seconds = [statistics.median(each) for each in zip(*runs, strict=True)]
    return Row(
        name=f"packaged_vs_eager/{name}",
        value=round(statistics.median(ratios), 2),
        unit="x",
        samples=[round(ratio, 2) for ratio in ratios],
        note=f"{seconds[0]:.2f} s and at most {memory[0]:,.0f} MiB against {seconds[1]:.2f} s and "
        f"{memory[1]:,.0f} MiB, JPEG pictures of 500x375, decode included, in turns",
    )


@dataclass(frozen=True)
class PackagedLoop:
    """What a server of MLflow does with a request.

    Attributes:
        model: Folder of the logged model.
        pictures: Encoded pictures of the request.
    """

    model: Path
    pictures: Sequence[bytes]

    def open(self) -> Loop:
        """Loads the model; the answer is one request."""
        import mlflow.pyfunc
        import pandas as pd

        loaded = mlflow.pyfunc.load_model(str(self.model))
        frame = pd.DataFrame({"image": list(self.pictures)})

        def loop() -> None:
            loaded.predict(frame)

        return loop


@dataclass(frozen=True)
class EagerLoop:
    """The same by the Keras model itself, all pictures at once.

    Attributes:
        package: Holds the Keras model.
        pictures: Encoded pictures of the request.
    """

    package: ModelPackage
    pictures: Sequence[bytes]

    def open(self) -> Loop:
        """Loads the model; the answer is one request."""
        import numpy as np

        from darkroom.images import read_rgb

        network = import_keras().saving.load_model(self.package.model_file, compile=False)
        card = self.package.card

        def loop() -> None:
            pixels = [read_rgb(data, card.height, card.width) for data in self.pictures]
            np.asarray(network(np.stack(pixels).astype(np.float32), training=False))

        return loop
