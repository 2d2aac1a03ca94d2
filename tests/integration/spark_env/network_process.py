"""Fine-tunes in a process of its own, slowly: ``network_process.py FOLDER BACKBONE``.

A test kills it.
"""

from __future__ import annotations

import io
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import DataFrame, SparkSession

from darkroom.contract import HeadKind, TuningConfig
from darkroom.contract.tuning import FineTuneConfig
from darkroom.ml.training.folder import new_training_folder
from darkroom.tuning import network_fits
from darkroom.tuning.fine_tuning import fine_tune_network
from darkroom.tuning.results import ResultStore
from darkroom.tuning.rows import Pictures, TrainRows
from darkroom.tuning.search import Found, search

SECONDS = 0.5
"""What an epoch takes."""

SIDE, IMAGES, EPOCHS = 8, 16, 4
CONFIG = TuningConfig(
    folds=2,
    metric="log_loss",
    heads=(HeadKind.FINE_TUNE.value,),
    max_iterations=5,
    fine_tune=FineTuneConfig(
        last_layers=(1,),
        learning_rates=(0.001, 0.01),
        batch_sizes=(4,),
        epochs=(EPOCHS,),
        patience=None,
    ),
)


def main(folder: str, backbone_file: str) -> None:
    """Runs the search; the trainings one after the other."""
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False)
    spark = builder.config("spark.sql.shuffle.partitions", 1).getOrCreate()
    network_fits.fine_tune_network = slow_network  # type: ignore[attr-defined,assignment]
    run(spark, Path(folder), Path(backbone_file))


def run(spark: SparkSession, folder: Path, backbone_file: Path) -> Found:
    """Searches on pictures that are always the same."""
    frame = _frame(spark)
    rows = TrainRows(
        backbone="toy",
        backbone_key="",
        labels=("dark", "light"),
        images=IMAGES,
        width=4,
        frame=frame,
        identity="always the same",
    )
    pictures = Pictures(
        frame=frame,
        backbone_file=backbone_file,
        folder=new_training_folder(folder / "training"),
    )
    return search(rows, CONFIG, ResultStore(folder / "trials"), pictures=pictures)


def save_backbone(file: Path, side: int = SIDE) -> Path:
    """Two convolutions with seeded weights, a batch normalisation between them."""
    import keras

    keras.utils.set_random_seed(5)
    layers = keras.layers
    keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(4, 3, activation="relu", name="second"),
            layers.GlobalAveragePooling2D(),
        ]
    ).save(file)
    return file


def slow_network(*arguments: Any) -> Any:
    """What is trained, but every epoch takes a while."""
    return _watched(lambda epoch: time.sleep(SECONDS), *arguments)


def diary_network(folder: Path, *arguments: Any) -> Any:
    """What is trained, with a file for each training: the epochs that it went through."""
    diary = folder / uuid.uuid4().hex

    def note(epoch: int) -> None:
        with diary.open("a") as lines:
            lines.write(f"{epoch}\n")

    return _watched(note, *arguments)


def _watched(watch: Any, *arguments: Any) -> Any:
    import keras

    class Watched(keras.Model):  # type: ignore[misc]
        def fit(self, *args: Any, callbacks: Any, **rest: Any) -> Any:
            watcher = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: watch(epoch))
            return super().fit(*args, callbacks=[watcher, *callbacks], **rest)

    model = fine_tune_network(*arguments)
    return Watched(model.inputs, model.outputs, name=model.name)


def _frame(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(1)
    rows = []
    for n in range(IMAGES):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3)) // 2 + 60 * (n % 2)
        stream = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
        rows.append((f"{n:02}", float(n % 2), n // 2 % 2, stream.getvalue()))
    return spark.createDataFrame(
        rows, "image_id string, label_index double, fold int, image binary"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
