"""Tensors between Arrow columns and NumPy, without Spark or a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.ml.answers import VECTOR_STORAGE, float_lists, vectors
from darkroom.ml.engines import TensorSpec
from darkroom.ml.tensors.arrow import RAGGED, lists_of, read_tensors

CUBE = pa.list_(pa.list_(pa.list_(pa.float64())))


def floats(*shape: int | None) -> TensorSpec:
    return TensorSpec("x", shape, "float32")


def dense(values: list[float] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {"type": 1, "size": None, "indices": None, "values": values}


def sparse(size: int, indices: list[int], values: list[float]) -> dict[str, Any]:
    return {"type": 0, "size": size, "indices": indices, "values": values}


@given(
    st.lists(
        st.none()
        | st.tuples(*[st.integers(1, 3)] * 3).map(
            lambda shape: np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
        ),
        max_size=8,
    ),
    st.integers(0, 3),
)
def test_rows_of_any_shape_come_out_as_they_went_in(rows: list[Any], skip: int) -> None:
    whole = pa.array([row if row is None else row.tolist() for row in rows], CUBE)
    column = read_tensors(whole.slice(skip))
    kept = rows[skip:]

    assert column.present.tolist() == [row is not None for row in kept]
    assert column.regular.tolist() == column.present.tolist()
    for n, row in enumerate(kept):
        if row is not None:
            spec = floats(None, None, None)
            assert column.shape(n, spec) == row.shape
            np.testing.assert_array_equal(column.stack([n], row.shape, "float32")[0], row)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([[1, 2], [3, 4]], None),
        ([[1, 2], [3]], RAGGED),
        ([[1, None], [3, 4]], RAGGED),
        ([[1, 2], None], RAGGED),
        ([[1, 2, 3], [4, 5, 6]], "its shape is (2, 3), the model takes (2, 2)"),
        ([], "its shape is (0, 0), the model takes (2, 2)"),
        ([[], []], "its shape is (2, 0), the model takes (2, 2)"),
    ],
)
def test_why_a_row_does_not_fit(row: Any, reason: str | None) -> None:
    neighbours = [[[9, 9], [9, 9]], row, None, [[8, 8], [8, 8]]]
    column = read_tensors(pa.array(neighbours, pa.list_(pa.list_(pa.float32()))))

    problems = column.fit(floats(2, 2))

    assert (problems[0], problems[1], problems[3]) == (None, reason, None)


def test_an_axis_without_size_takes_any_length() -> None:
    column = read_tensors(pa.array([[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], [[1.0]]]))

    assert column.fit(floats(None, 2)) == [
        None,
        None,
        "its shape is (1, 1), the model takes (None, 2)",
    ]


def test_flat_rows_take_a_fixed_shape() -> None:
    column = read_tensors(pa.array([[1.0, 2.0, 3.0, 4.0], [1.0]]))

    assert column.fit(floats(2, 2)) == [None, "its shape is (1,), the model takes (2, 2)"]
    assert column.stack([0], column.shape(0, floats(2, 2)), "float32").tolist() == [
        [[1, 2], [3, 4]]
    ]


def test_numbers_of_rank_0() -> None:
    column = read_tensors(pa.array([1, None, 3], pa.int32()))

    assert column.fit(floats())[::2] == [None, None]
    assert column.stack([0, 2], (), "float32").tolist() == [1, 3]
    assert column.stack([0, 2], column.shape(0, floats(1)), "float32").tolist() == [[1], [3]]


def test_whole_numbers_that_the_model_cannot_hold() -> None:
    column = read_tensors(pa.array([[1, 2], [3, 2**40], [-(2**31), 0]]))

    assert column.fit(TensorSpec("x", (2,), "int32")) == [
        None,
        "it holds a number that int32 cannot hold",
        None,
    ]


def test_texts() -> None:
    column = read_tensors(pa.array([["a", "b"], ["c", "d"]]))

    spec = TensorSpec("x", (2,), "string")
    assert column.fit(spec) == [None, None]
    assert column.stack([1, 0], (2,), "string").tolist() == [["c", "d"], ["a", "b"]]


@pytest.mark.parametrize(
    "rows",
    [
        [dense([1.0, 0.0, 2.0]), None, dense([3.0, 4.0, 5.0])],
        [sparse(3, [0, 2], [1.0, 2.0]), None, dense([3.0, 4.0, 5.0])],
    ],
)
def test_vectors_dense_and_sparse(rows: list[Any]) -> None:
    column = read_tensors(pa.array(rows, VECTOR_STORAGE))

    assert column.present.tolist() == [True, False, True]
    assert column.stack([0, 2], (3,), "float32").tolist() == [[1, 0, 2], [3, 4, 5]]


def test_outputs_of_every_rank_become_lists_of_that_depth() -> None:
    batch = np.arange(12, dtype=np.float32).reshape(2, 3, 2)

    assert lists_of(batch).to_pylist() == batch.tolist()
    assert lists_of(batch[:, 0, 0]).to_pylist() == [0, 6]
    assert lists_of(batch[:0]).type == pa.list_(pa.list_(pa.float32()))
    assert lists_of(np.zeros((2, 0, 3), np.float32)).to_pylist() == [[], []]
    assert lists_of(np.array([[255]], np.uint8)).type == pa.list_(pa.int16())


def test_answers_are_stored_as_sparks_vectors_are() -> None:
    column = vectors([np.array([[1.5, 2.0]], np.float32), None, np.array([3.0, 4.0], np.float32)])

    assert column.type == VECTOR_STORAGE
    assert column.to_pylist() == [dense([1.5, 2.0]), None, dense([3.0, 4.0])]


def test_answers_as_lists_are_in_row_major_order() -> None:
    column = float_lists([np.array([[1, 2], [3, 4]], np.float32), None, np.array([5], np.int64)])

    assert column.type == pa.list_(pa.float32())
    assert column.to_pylist() == [[1, 2, 3, 4], None, [5]]
    assert float_lists([None]).to_pylist() == [None]
    assert float_lists([]).to_pylist() == []
