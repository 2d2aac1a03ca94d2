"""What fine-tuning brings beside heads on frozen features, on photographs.

The photographs are the negatives of CIFAR-10's training set, at their own size: the embedded
backbone was trained on that set, so there is nothing to win on it as it is, and negatives look like
nothing that the backbone knows. Both sides choose by cross-validation on the same folds and answer
the same pictures, none of which the backbone has seen in any form.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.featurize import session
from benchmarks.ingest import IMAGES_VARIABLE
from benchmarks.results import Row
from benchmarks.tuning import timed
from darkroom.backbones import embedded
from darkroom.backbones.pretrain_embedded import Recipe, held_out, labelled_files
from darkroom.contract import HeadKind, TuningConfig
from darkroom.contract import columns as c
from darkroom.contract.names import EMBEDDED
from darkroom.contract.tuning import FineTuneConfig
from darkroom.evaluation.paired import interval, mcnemar
from darkroom.images import decode_rgb
from darkroom.ml.engines import prepare
from darkroom.ml.inference import Predictor, image_predictor
from darkroom.ml.training.folder import new_training_folder
from darkroom.tuning.folds import FOLD, TRUTH
from darkroom.tuning.head import Head, TunedNetwork
from darkroom.tuning.results import ResultStore
from darkroom.tuning.rows import Pictures, TrainRows
from darkroom.tuning.search import search

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME: Final = "fine_tune_vs_frozen"

TRAIN, TEST = 10_000, 1_500
"""Pictures: to train on, most of which the backbone has seen as positives, and to judge by."""

SEED = 7
CONFIDENCE = 0.95
FOLDS = 2
FROZEN = TuningConfig(
    folds=FOLDS,
    heads=(HeadKind.LOGISTIC_REGRESSION.value, HeadKind.MLP.value),
    reg_params=(0.003, 0.01, 0.03, 0.1),
    hidden_units=(128,),
    seed=SEED,
)
"""Linear or not: what is compared with is the best that frozen features give."""

TUNED = TuningConfig(
    folds=FOLDS,
    heads=(HeadKind.FINE_TUNE.value,),
    fine_tune=FineTuneConfig(
        last_layers=(6,),
        learning_rates=(0.0003, 0.0006),
        batch_sizes=(64,),
        epochs=(5,),
        patience=None,
    ),
    seed=SEED,
)
"""All layers: what is to be learnt anew is how edges look."""


@dataclass(frozen=True)
class Photographs:
    """Encoded pictures in an order drawn by the seed.

    Attributes:
        encoded: PNG files.
        truths: Class numbers (n,).
        classes: Names of the classes.
    """

    encoded: Sequence[bytes]
    truths: NDArray[np.intp]
    classes: tuple[str, ...]

    def part(self, first: int, last: int) -> Photographs:
        """Some of them."""
        return replace(self, encoded=self.encoded[first:last], truths=self.truths[first:last])


def measure(share: float = 1.0) -> Iterator[Row]:
    """Yields the row; none without the photographs.

    Args:
        share: Of the pictures; less to try the benchmark out.
    """
    given = os.environ.get(IMAGES_VARIABLE)
    if not given:
        click.echo(
            f"{NAME} is left out: {IMAGES_VARIABLE} names no folder with CIFAR-10's "
            "training pictures",
            err=True,
        )
        return
    train, test = (max(60, round(count * share)) for count in (TRAIN, TEST))
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        yield _measure(*negatives(Path(given), train, test), Path(folder))


def negatives(root: Path, train: int, test: int) -> tuple[Photographs, Photographs]:
    """Pictures to train on, and to judge by; of the latter the backbone's pre-training saw none.

    Args:
        root: The tree that it was pre-trained on, or any other.
        train: Number of pictures to train on.
        test: Number of the others.
    """
    files, numbers, classes = labelled_files(root)
    random = np.random.default_rng(SEED)
    unseen = held_out(numbers, len(classes), Recipe())
    new, seen = (random.permutation(np.flatnonzero(part)) for part in (unseen, ~unseen))
    order = np.concatenate([new, seen])[: test + train]
    encoded = [_png(255 - decode_rgb(files[n].read_bytes())) for n in order]
    photographs = Photographs(encoded, numbers[order].astype(np.intp), classes)
    return photographs.part(test, test + train), photographs.part(0, test)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _measure(train: Photographs, test: Photographs, folder: Path) -> Row:
    embed = image_predictor(prepare(embedded.MODEL_FILE, folder / "engines"))
    spark = session()
    try:
        rows, pictures = _training_rows(spark, train, embed, folder)
        store = ResultStore(folder / "trials")
        frozen_seconds, frozen = timed(lambda: search(rows, FROZEN, store))
        tuned_seconds, tuned = timed(lambda: search(rows, TUNED, store, pictures=pictures))
    finally:
        spark.stop()
    assert isinstance(frozen.head, Head)
    assert isinstance(tuned.head, TunedNetwork)
    probabilities = frozen.head.probabilities(_vectors(embed, test.encoded))
    ask = image_predictor(prepare(tuned.head.file, folder / "engines"))
    was_right = probabilities.argmax(axis=1) == test.truths
    is_right = _vectors(ask, test.encoded).argmax(axis=1) == test.truths
    return _row(
        int((is_right & ~was_right).sum()),
        int((was_right & ~is_right).sum()),
        f"{len(train.truths):,} pictures of {len(train.classes)} classes to train on, "
        f"{len(test.truths):,} held out: {is_right.mean():.4f} by {tuned.best.point} "
        f"({tuned_seconds:.0f} s), {was_right.mean():.4f} by {frozen.best.point} "
        f"({frozen_seconds:.0f} s)",
        len(test.truths),
    )


def _row(gained: int, lost: int, note: str, images: int) -> Row:
    """The difference of two accuracies on the same pictures; reached if chance cannot explain it.

    Args:
        gained: Pictures that only the fine-tuned network gets right.
        lost: Pictures that only the head on frozen features gets right.
        note: What was compared.
        images: Number of pictures.
    """
    low, high = (float(end) for end in interval(images, gained, lost, CONFIDENCE))
    margin = round((gained - lost) / images, 4)
    return Row(
        name=NAME,
        value=margin,
        unit="acc",
        goal="> 0",
        met=low > 0,
        samples=[margin],
        note=f"{note}; {CONFIDENCE:.0%} interval {low:+.4f} to {high:+.4f}, McNemar's "
        f"p {mcnemar(gained, lost):.2g}",
    )


def _training_rows(
    spark: SparkSession, train: Photographs, embed: Predictor, folder: Path
) -> tuple[TrainRows, Pictures]:
    """The same frame for both sides: vectors and pictures, labels and folds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = len(train.encoded)
    vectors = _vectors(embed, train.encoded)
    table = pa.table(
        {
            c.IMAGE_ID: [f"{n:08}" for n in range(count)],
            TRUTH: train.truths.astype(np.float64),
            FOLD: np.arange(count, dtype=np.int32) % FOLDS,
            c.VECTOR: list(vectors),
            c.IMAGE: pa.array(train.encoded, pa.binary()),
        }
    )
    (folder / "rows").mkdir()
    pq.write_table(table, folder / "rows" / "0.parquet")
    frame = spark.read.parquet(str(folder / "rows"))
    rows = TrainRows(
        backbone=EMBEDDED,
        backbone_key="",
        labels=train.classes,
        images=count,
        width=vectors.shape[1],
        frame=frame,
        identity="",
    )
    pictures = Pictures(
        frame=frame,
        backbone_file=embedded.MODEL_FILE,
        folder=new_training_folder(folder / "training"),
    )
    return rows, pictures


def _vectors(predict: Predictor, encoded: Sequence[bytes]) -> NDArray[np.float32]:
    """What a network answers, (n, width)."""
    return np.array([answer.value for answer in predict(encoded)], np.float32)
