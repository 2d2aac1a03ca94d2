"""What a worker makes of a batch of files, and which arguments are refused; no Spark session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from darkroom.contract import ConfigError, DataError
from darkroom.images import imageStructToArray
from darkroom.ml.pictures import reading
from darkroom.ml.pictures.reading import ReadMode, createResizeImageUDF, readImages
from tests.unit.spark_env.pictures import noise, photo

BAD = photo(1, side=60)[:4000]


def decoded(
    batch: pa.RecordBatch,
    mode: ReadMode = ReadMode.PERMISSIVE,
    *,
    content: bool = False,
    extra: tuple[str, ...] = (),
) -> list[pa.RecordBatch]:
    names = [*reading._added_columns(mode, content), *extra]
    has_content = "content" in batch.schema.names
    source = reading._Source("path", "content" if has_content else None, mode, tuple(names))
    return list(reading._decoder(source)(iter([batch])))


def files(*contents: bytes | None) -> pa.RecordBatch:
    paths = [f"file:/{n}" for n in range(len(contents))]
    return pa.RecordBatch.from_pydict(
        {"path": paths, "content": pa.array(contents, pa.binary()), "n": range(len(contents))}
    )


def test_pixels_are_stored_blue_first() -> None:
    (batch,) = decoded(files(photo(3)))
    (row,) = batch.to_pylist()
    assert (row["origin"], row["reason"], row["detail"]) == ("file:/0", None, None)
    assert [row["image"][name] for name in ("origin", "height", "width", "nChannels", "mode")] == [
        "file:/0",
        24,
        24,
        3,
        16,
    ]
    np.testing.assert_array_equal(imageStructToArray(row["image"]), noise(3)[..., ::-1])


def test_permissive_keeps_every_row_in_order_and_says_why() -> None:
    (batch,) = decoded(files(photo(1), BAD, None, b"text", b""), content=True, extra=("n",))
    rows = batch.to_pylist()
    assert [row["n"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["image"] is None for row in rows] == [False, True, True, True, True]
    assert [row["reason"] for row in rows] == [None, "TRUNCATED", None, "NOT_AN_IMAGE", "EMPTY"]
    assert rows[3]["detail"] == "no known image format starts with bytes 74 65 78 74"
    assert [row["content"] for row in rows] == [photo(1), BAD, None, b"text", b""]


def test_dropmalformed_leaves_out_what_is_no_picture() -> None:
    (batch,) = decoded(files(BAD, photo(1), None, photo(2)), ReadMode.DROPMALFORMED, extra=("n",))
    assert batch.schema.names == ["origin", "image", "n"]
    assert batch.column("n").to_pylist() == [1, 3]


def test_failfast_names_the_first_file_and_the_reason() -> None:
    with pytest.raises(DataError) as caught:
        decoded(files(photo(1), BAD, b""), ReadMode.FAILFAST)
    assert str(caught.value) == "file:/1: TRUNCATED: image file is truncated"


def test_without_bytes_the_paths_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a b#.jpg").write_bytes(photo(6))  # a PNG, whatever its name says
    paths = [str(tmp_path / "a b#.jpg"), f"file:{tmp_path}/gone.png", None]
    (batch,) = decoded(pa.RecordBatch.from_pydict({"path": pa.array(paths, pa.string())}))
    rows = batch.to_pylist()
    np.testing.assert_array_equal(imageStructToArray(rows[0]["image"], "RGB"), noise(6))
    assert (rows[1]["reason"], rows[1]["detail"]) == (
        "UNREADABLE_FILE",
        f"cannot read file:{tmp_path}/gone.png: No such file or directory",
    )
    assert (rows[2]["image"], rows[2]["reason"]) == (None, None)


def test_decoded_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    size = noise(0).nbytes
    monkeypatch.setattr(reading, "BATCH_BYTES", 2 * size)
    batches = decoded(files(*(photo(n) for n in range(5))), extra=("n",))
    assert [batch.column("n").to_pylist() for batch in batches] == [[0, 1], [2, 3], [4]]


def test_decoding_is_lazy_within_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bytes] = []

    def decode(data: bytes) -> Any:
        opened.append(data)
        return noise(0)

    monkeypatch.setattr(reading, "decode_rgb", decode)
    monkeypatch.setattr(reading, "BATCH_BYTES", 1)
    source = reading._Source("path", "content", ReadMode.PERMISSIVE, ("origin", "image"))
    batches = reading._decoder(source)(iter([files(b"1", b"2", b"3")]))
    next(batches)
    assert opened == [b"1"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"path": ""}, "path = '': give a folder, a glob, a manifest, or a list of these"),
        ({"path": []}, "path = []: give a folder, a glob, a manifest, or a list of these"),
        (
            {"path": ["a", 1]},
            "path = ['a', 1]: give a folder, a glob, a manifest, or a list of these",
        ),
        (
            {"path": "a", "mode": "strict"},
            "mode = 'strict': use one of permissive, dropmalformed, failfast",
        ),
        (
            {"path": "a", "mode": None},
            "mode = None: use one of permissive, dropmalformed, failfast",
        ),
        (
            {"path": "a", "sampleRatio": 0},
            "sampleRatio = 0: give a number above 0 and at most 1",
        ),
        (
            {"path": "a", "sampleRatio": 1.5},
            "sampleRatio = 1.5: give a number above 0 and at most 1",
        ),
        (
            {"path": "a", "sampleRatio": True},
            "sampleRatio = True: give a number above 0 and at most 1",
        ),
        ({"path": "a", "seed": "x"}, "seed = 'x': give a whole number"),
        (
            {"path": "a", "numPartitions": 0},
            "numPartitions = 0: give a whole number above 0, or None",
        ),
    ],
)
def test_unusable_arguments_are_refused_before_spark_is_asked(
    arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        readImages(**arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize("size", [(1,), (0, 3), (2.0, 3), 64, "64"])
def test_sizes_are_checked(size: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        createResizeImageUDF(size)
    assert str(caught.value) == f"size = {size!r}: give (height, width), whole numbers above 0"
