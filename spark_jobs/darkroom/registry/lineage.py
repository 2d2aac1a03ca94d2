"""Which images trained a model: the snapshots carry the version's tag, so no server is asked."""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from darkroom.contract import ConfigError, DataError, MissingInputError
from darkroom.contract import columns as c
from darkroom.lake import Lake

TAGGED: Final = (c.IMAGES, c.SPLITS)
"""Tables whose snapshots carry the tag: the images, and which of them were for training."""

_DIGITS: Final = 12
"""Digits of the model's digest in a tag: a registry that starts anew counts from 1 again."""

_BATCH_ROWS: Final = 50_000
_LISTED: Final = (c.IMAGE_ID, c.LABEL, c.ROOT, c.PATH)


@dataclass(frozen=True)
class TrainedOn:
    """An image that a model was trained on.

    Attributes:
        image_id: Its id.
        label: Its class, as it was then.
        root: The source; None where the table has none.
        path: Below the source.
    """

    image_id: str
    label: str
    root: str | None
    path: str


@dataclass(frozen=True)
class Lineage:
    """What one model version was trained on.

    Attributes:
        lake: Where the tables are.
        pipeline: Their namespace, and the registered model's name.
        version: The model's version.
        model: First digits of the model file's SHA-256.
        snapshots: Snapshot per table of `TAGGED`.
    """

    lake: Lake
    pipeline: str
    version: str
    model: str
    snapshots: Mapping[str, int]

    def images(self) -> Iterator[TrainedOn]:
        """The images of the train split, as the table has them; read anew each time."""
        train = self._train_ids
        for batch in self.lake.batches(
            self.pipeline, c.IMAGES, self.snapshots[c.IMAGES], _LISTED, _BATCH_ROWS
        ):
            for row in batch.to_pylist():
                if row[c.IMAGE_ID] in train:
                    yield TrainedOn(**row)

    @cached_property
    def classes(self) -> Mapping[str, int]:
        """Number of images per class, the classes in order."""
        return dict(sorted(Counter(image.label for image in self.images()).items()))

    @property
    def total(self) -> int:
        """Number of images."""
        return sum(self.classes.values())

    def committed_at(self, table: str) -> dt.datetime:
        """When a snapshot was made, UTC."""
        found = self.lake.find(self.pipeline, table)
        snapshot = found.snapshot_by_id(self.snapshots[table]) if found else None
        assert snapshot is not None
        return dt.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, dt.UTC)

    def write(self, file: Path) -> None:
        """Writes image_id, label, root and path of every image as CSV.

        Raises:
            ConfigError: The file cannot be written.
        """
        try:
            with file.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(_LISTED)
                writer.writerows(
                    (one.image_id, one.label, one.root, one.path) for one in self.images()
                )
        except OSError as error:
            remedy = f"it cannot be written ({error.strerror}): give another file"
            raise ConfigError("--output", str(file), remedy) from None

    @cached_property
    def _train_ids(self) -> frozenset[str]:
        columns = (c.IMAGE_ID, c.SPLIT)
        batches = self.lake.batches(
            self.pipeline, c.SPLITS, self.snapshots[c.SPLITS], columns, _BATCH_ROWS
        )
        return frozenset(
            row[c.IMAGE_ID]
            for batch in batches
            for row in batch.to_pylist()
            if row[c.SPLIT] == c.TRAIN
        )


def record(
    lake: Lake, pipeline: str, version: str, digest: str, snapshots: Mapping[str, int]
) -> None:
    """Tags the snapshots that a version was trained on; a tagged snapshot is not expired.

    A version that has its tags keeps them: the same file may come out of a later snapshot too.

    Args:
        lake: Where the tables are.
        pipeline: The pipeline's name.
        version: The version.
        digest: SHA-256 of its model file.
        snapshots: Snapshot per table of `TAGGED`.

    Raises:
        DataError: A snapshot is gone, so nothing could tell any more what trained the model.
    """
    tag = f"{_prefix(version)}{digest[:_DIGITS]}"
    for table in TAGGED:
        found = lake.find(pipeline, table)
        if found is not None and tag in found.refs():
            continue
        if found is None or found.snapshot_by_id(snapshots[table]) is None:
            raise DataError(
                f"{pipeline}.{table} has no snapshot {snapshots[table]} any more, which version "
                f"{version} was trained on: train again"
            )
        lake.tag(pipeline, table, snapshots[table], tag)


def trained_on(lake: Lake, pipeline: str, version: str, model: str | None = None) -> Lineage:
    """Finds the snapshots that a version was trained on.

    Args:
        lake: Where the tables are.
        pipeline: The pipeline's name.
        version: The version.
        model: First digits of the model's digest, where the tables know several models under
            that number.

    Returns:
        The lineage.

    Raises:
        MissingInputError: No snapshot carries the version's tag, or several models' do.
    """
    found = {table: _tags(lake, pipeline, table, version) for table in TAGGED}
    models = sorted(
        digest
        for digest in set.intersection(*map(set, found.values()))
        if digest.startswith(model or "")
    )
    name = f"version {version} of {pipeline}"
    if not models:
        others = sorted(_versions(lake, pipeline), key=lambda one: (len(one), one))
        known = f"there are {', '.join(others)}" if others else "no version has left any"
        raise MissingInputError(f"no snapshot is tagged as what trained {name}: {known}")
    if len(models) > 1:
        raise MissingInputError(
            f"several models were {name}, {' and '.join(models)}: say which one with --model"
        )
    snapshots = {table: tags[models[0]] for table, tags in found.items()}
    return Lineage(lake, pipeline, version, models[0], snapshots)


def _prefix(version: str) -> str:
    return f"model-{version}-"


def _tags(lake: Lake, pipeline: str, table: str, version: str) -> dict[str, int]:
    """Snapshot per model digest."""
    found = lake.find(pipeline, table)
    refs = found.refs() if found else {}
    prefix = _prefix(version)
    return {
        tag.removeprefix(prefix): ref.snapshot_id
        for tag, ref in refs.items()
        if tag.startswith(prefix)
    }


def _versions(lake: Lake, pipeline: str) -> set[str]:
    found = lake.find(pipeline, c.IMAGES)
    tags = [tag.split("-") for tag in (found.refs() if found else {})]
    return {parts[1] for parts in tags if len(parts) == 3 and parts[0] == "model"}
