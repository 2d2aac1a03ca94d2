"""A training that goes on from its checkpoint ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from darkroom.contract import DarkroomError, DataError
from darkroom.ml.training.fit_params import FitParams, KerasObject
from darkroom.ml.training.rows import TrainingRows
from darkroom.ml.training.trial import Fitted, ModelSource, Trial, train

SIDE, ROWS = 4, 40


class Killed(BaseException):
    """Stands for a process that ends: nobody catches it."""


def written(folder: Path) -> TrainingRows:
    """Noise that is a little brighter for class 1; folds 0 and 1; the last row is of no use."""
    random = np.random.default_rng(4)
    labels = np.arange(ROWS) % 2
    pixels = random.integers(0, 200, (ROWS, SIDE, SIDE, 3)) + 40 * labels[:, None, None, None]
    table = pa.table(
        {
            "row_order": [bytes([n]) for n in range(ROWS)],
            "label": labels,
            "tensor": [one.astype(np.uint8).tobytes() for one in pixels],
            "problem": pa.array([None] * (ROWS - 1) + ["broken"], pa.string()),
            "fold": pa.array((np.arange(ROWS) // 2 % 2).astype(np.int32)),
        }
    )
    folder.mkdir()
    for n, start in enumerate(range(0, ROWS, 15)):
        pq.write_table(table.slice(start, 15), folder / f"{n}.parquet", row_group_size=4)
    return TrainingRows(str(folder), {0: 20, 1: 19}, (SIDE, SIDE, 3), "uint8")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> TrainingRows:
    return written(tmp_path_factory.mktemp("rows") / "0")


class Diary:
    """Makes networks that note where each training begins and are killed in a given epoch."""

    def __init__(self, killed_in: int | None = None) -> None:
        self.begun: list[int] = []
        self.killed_in = killed_in

    def network(self) -> Any:
        import keras

        diary = self

        class Watched(keras.Sequential):  # type: ignore[misc]
            def fit(self, *args: Any, callbacks: Any, initial_epoch: int, **rest: Any) -> Any:
                diary.begun.append(initial_epoch)
                watcher = keras.callbacks.LambdaCallback(on_epoch_begin=diary.live)
                return super().fit(
                    *args, callbacks=[watcher, *callbacks], initial_epoch=initial_epoch, **rest
                )

        layers = keras.layers
        return Watched(
            [
                keras.Input((SIDE, SIDE, 3)),
                layers.Rescaling(1 / 255),
                layers.Flatten(),
                layers.Dense(8, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.4),
                layers.Dense(2, activation="softmax"),
            ]
        )

    def live(self, epoch: int, logs: object) -> None:
        del logs
        if epoch == self.killed_in:
            self.killed_in = None
            raise Killed


def trial(diary: Diary, decay_epochs: int | None = None, **fit: Any) -> Trial:
    return Trial(
        ModelSource(function=diary.network, shown="network"),
        KerasObject("adam", {"learning_rate": 0.05}),
        KerasObject("categorical_crossentropy"),
        FitParams(batch_size=6, seed=3, **fit),
        classes=2,
        hold_out=1,
        judge=lambda truths, found: {"right": float((found.argmax(1) == truths).mean())},
        decay_epochs=decay_epochs,
    )


def weights(file: Path) -> Any:
    import keras

    return keras.saving.load_model(file, compile=False).get_weights()


PATIENT = {"monitor": "val_loss", "patience": 3, "restore_best_weights": True, "min_delta": 0.3}
SLOWER = KerasObject("ReduceLROnPlateau", {"monitor": "loss", "patience": 1, "min_delta": 9.0})


def test_a_training_goes_on_at_the_epoch_after_the_last(rows: TrainingRows, tmp_path: Path) -> None:
    fit: dict[str, Any] = {"epochs": 9, "early_stopping": PATIENT, "callbacks": (SLOWER,)}
    straight, killed = Diary(), Diary(killed_in=2)
    whole = train(trial(straight, **fit), rows, tmp_path / "whole.keras", 1)
    # The best epoch was before it was killed, and its weights are those that have to come out.
    assert (len(whole.history["loss"]), whole.epochs) == (4, 1)
    checkpoint = tmp_path / "checkpoints" / "one.npz"
    with pytest.raises(Killed):
        train(trial(killed, **fit), rows, tmp_path / "parts.keras", 1, checkpoint)
    # Once more after it has stopped early: there is nothing left to train.
    for begun in (2, 4):
        parts = train(trial(killed, **fit), rows, tmp_path / "parts.keras", 1, checkpoint)
        assert killed.begun[-1] == begun
        assert timeless(parts) == timeless(whole)
        for ours, theirs in zip(
            weights(tmp_path / "parts.keras"), weights(tmp_path / "whole.keras"), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    assert [file.name for file in checkpoint.parent.iterdir()] == ["one.npz"]


def timeless(fitted: Fitted) -> Any:
    return fitted.history, fitted.epochs, fitted.scores


@pytest.mark.long
@pytest.mark.parametrize("decay", [None, 5])
def test_more_epochs_cost_only_themselves(
    rows: TrainingRows, tmp_path: Path, decay: int | None
) -> None:
    diary = Diary()
    few = train(trial(diary, decay, epochs=2), rows, None, 1, tmp_path / "one.npz")
    more = train(trial(diary, decay, epochs=5), rows, None, 1, tmp_path / "one.npz")
    assert diary.begun == [0, 2]
    assert timeless(more) == timeless(train(trial(Diary(), decay, epochs=5), rows, None, 1))
    assert more.history["loss"][:2] == few.history["loss"]
    # What has gone too far already is of no use to whoever wants less.
    again = train(trial(diary, decay, epochs=2), rows, None, 1, tmp_path / "one.npz")
    assert diary.begun == [0, 2, 0]
    assert timeless(again) == timeless(few)


def test_a_loss_that_is_no_number_ends_the_training_at_once(rows: TrainingRows) -> None:
    diary = Diary(killed_in=1)
    hot = KerasObject("sgd", {"learning_rate": float("inf")})
    bad = Trial(
        ModelSource(function=diary.network),
        hot,
        KerasObject("mean_squared_error"),
        FitParams(epochs=9),
        classes=2,
    )
    with pytest.raises(DarkroomError, match=r"^the loss is nan after epoch 1: lower the learning"):
        train(bad, rows, None, 1)


def test_parts_of_the_rows(rows: TrainingRows) -> None:
    training, held_out = rows.without(1)
    assert (training.rows, held_out.rows) == (20, 19)
    in_order = [label for _, labels in rows.batches(training, 7) for label in labels]
    assert in_order == [0, 1] * 10
    sizes = [len(labels) for _, labels in rows.batches(held_out, 7, (1, 2))]
    assert sizes == [7, 7, 5]
    every = {image.tobytes() for images, _ in rows.batches(rows.split(0)[0], 7) for image in images}
    assert len(every) == ROWS - 1
    for part in (training, held_out):
        own = {image.tobytes() for images, _ in rows.batches(part, 5, (0,)) for image in images}
        assert len(own) == part.rows
        every -= own
    assert not every
    first, second = (
        [
            image.tobytes()
            for images, _ in rows.batches(training, 20, (3, epoch))
            for image in images
        ]
        for epoch in (0, 1)
    )
    assert first != second
    assert sorted(first) == sorted(second)


def test_a_fold_must_leave_something() -> None:
    rows = TrainingRows("", {0: 5}, (1, 1, 3), "uint8")
    for fold, held_out in ((0, 5), (1, 0)):
        with pytest.raises(DataError) as refused:
            rows.without(fold)
        assert str(refused.value) == (
            f"fold {fold} has {held_out} of 5 images: there must be some in it, and some in others"
        )
