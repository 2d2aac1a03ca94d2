"""How a model's outputs become answers, without Spark or a network."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract import DataError
from darkroom.images import arrayToImageStruct
from darkroom.ml import inference
from darkroom.ml.answers import IMAGE_STORAGE
from darkroom.ml.engines import Engine, PreparedModel, TensorSpec
from darkroom.ml.ranking import first_objects, rank
from darkroom.ml.recognition.recognizer import detailing, recognizer, topping
from darkroom.sql.deployments import Deployment
from tests.unit.spark_env.pictures import photo

LABELS = ("stop", "yield", "left")


def test_answers_are_best_first() -> None:
    scores = [np.array([0.125, 0.625, 0.25], np.float32), None]

    assert rank(scores, LABELS).to_pylist() == [
        [
            {"label": "yield", "probability": 0.625},
            {"label": "left", "probability": 0.25},
            {"label": "stop", "probability": 0.125},
        ],
        None,
    ]


def test_of_equals_the_first_label_comes_first() -> None:
    (answer,) = rank([np.array([0.25, 0.25, 0.5], np.float32)], LABELS).to_pylist()

    assert [found["label"] for found in answer] == ["left", "stop", "yield"]


@pytest.mark.parametrize("scores", [[], [None], [None, None, None]])
def test_nothing_readable_gives_nulls(scores: list[None]) -> None:
    assert rank(scores, LABELS).to_pylist() == scores


@given(
    st.lists(
        st.none()
        | st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3).map(
            lambda row: np.array(row, np.float32)
        ),
        max_size=20,
    )
)
def test_answers_keep_their_place_and_every_label(scores: list[Any]) -> None:
    answers = rank(scores, LABELS).to_pylist()

    assert len(answers) == len(scores)
    for row, answer in zip(scores, answers, strict=True):
        assert (row is None) == (answer is None)
        if row is not None:
            found = [item["probability"] for item in answer]
            assert found == sorted(map(float, row), reverse=True)
            by_label = {item["label"]: item["probability"] for item in answer}
            assert by_label == dict(zip(LABELS, map(float, row), strict=True))


def test_a_model_with_other_outputs_than_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the model answers 2 scores for 3 labels$"):
        rank([np.array([0.5, 0.5], np.float32)], LABELS)


PREPARED = PreparedModel(
    Engine.OPENVINO,
    "m.xml",
    (TensorSpec("pixels", (24, 24, 3), "float32"),),
    (TensorSpec("scores", (3,), "float32"),),
)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The model says yield to every picture; the list grows whenever it is loaded."""
    found: list[Any] = []

    def load(model: PreparedModel) -> Any:
        found.append(model)
        scores = [0.25, 0.625, 0.125]
        return lambda arrays: {"scores": np.array([scores] * len(arrays["pixels"]), np.float32)}

    monkeypatch.setattr(inference, "load", load)
    return found


def answers_of(function: Any, batches: list[Any]) -> list[Any]:
    return [row for batch in function(iter(batches)) for row in batch.to_pylist()]


def best_of(rows: list[Any]) -> list[Any]:
    return [row and row[0]["label"] for row in rows]


def struct(pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    return arrayToImageStruct(pixels, channelOrder="RGB")._asdict()


def test_nulls_never_load_a_model(loads: list[Any]) -> None:
    batches = [pa.array([None, None], pa.binary()), pa.nulls(1), pa.array([], pa.binary())]

    assert answers_of(recognizer("f", PREPARED, LABELS), batches) == [None, None, None]
    assert loads == []


def test_every_row_is_answered_in_its_place(loads: list[Any]) -> None:
    batches = [
        pa.array([photo(1), None, b"no picture"], pa.binary()),
        pa.array([photo(2)], pa.large_binary()),
    ]

    answers = answers_of(recognizer("f", PREPARED, LABELS), batches)

    assert best_of(answers) == ["yield", None, None, "yield"]


def test_a_picture_is_bytes_or_a_struct_or_a_path(loads: list[Any], tmp_path: Path) -> None:
    (tmp_path / "sign.jpg").write_bytes(photo(1))
    pixels = np.zeros((5, 7, 3), np.uint8)
    structs = pa.array([struct(pixels), None], IMAGE_STORAGE)
    paths = pa.array([str(tmp_path / "sign.jpg"), str(tmp_path / "none.jpg"), None])
    recognize = recognizer("f", PREPARED, LABELS)

    assert best_of(answers_of(recognize, [pa.array([photo(1)])])) == ["yield"]
    assert best_of(answers_of(recognize, [structs])) == ["yield", None]
    assert best_of(answers_of(recognize, [paths])) == ["yield", None, None]


@pytest.mark.parametrize("kind", [pa.int64(), pa.list_(pa.uint8()), pa.struct([("a", pa.int8())])])
def test_what_can_be_no_picture_is_refused_clearly(kind: Any, loads: list[Any]) -> None:
    with pytest.raises(TypeError) as caught:
        answers_of(recognizer("f", PREPARED, LABELS), [pa.nulls(1, kind)])

    assert str(caught.value) == (
        "f(image): image must be BINARY (an encoded picture), Spark's image struct, or STRING "
        f"(the path or URI of a picture), not {kind}"
    )


def test_details_say_whose_answer_it_is_and_why_there_is_none(loads: list[Any]) -> None:
    images = pa.array([photo(1), b"no picture", None], pa.binary())

    good, bad, none = answers_of(detailing("f_detail", PREPARED, LABELS, "7"), [images])

    assert (good["objects"][0]["label"], good["model_version"], good["error"]) == (
        "yield",
        "7",
        None,
    )
    assert (bad["objects"], bad["model_version"]) == (None, "7")
    assert "NOT_AN_IMAGE" in bad["error"]
    assert none is None


def test_top_answers_as_many_objects_as_each_row_asks_for(loads: list[Any]) -> None:
    images = pa.array([photo(1), photo(2), photo(3), photo(4), None, b"no picture"], pa.binary())
    counts = pa.array([1, 2, 99, None, 1, 1], pa.int32())

    answers = answers_of(topping("f_top", PREPARED, LABELS), [(images, counts)])

    assert [row and [item["label"] for item in row] for row in answers] == [
        ["yield"],
        ["yield", "stop"],
        ["yield", "stop", "left"],
        *(None, None, None),
    ]


@pytest.mark.parametrize(
    ("counts", "error", "text"),
    [
        (pa.array([0]), ValueError, "f_top(image, k): k must be 1 or more, not 0"),
        (pa.array([-3]), ValueError, "f_top(image, k): k must be 1 or more, not -3"),
        (pa.array(["2"]), TypeError, "f_top(image, k): k must be a whole number, not string"),
        (pa.array([1.0]), TypeError, "f_top(image, k): k must be a whole number, not double"),
    ],
)
def test_a_wrong_count_is_refused_clearly(
    counts: pa.Array, error: type[Exception], text: str, loads: list[Any]
) -> None:
    with pytest.raises(error) as caught:
        answers_of(topping("f_top", PREPARED, LABELS), [(pa.array([photo(1)]), counts)])

    assert str(caught.value) == text


@given(
    st.lists(
        st.tuples(st.none() | st.just([0.5, 0.25, 0.125]), st.none() | st.integers(1, 5)),
        max_size=20,
    )
)
def test_the_first_objects_are_those_of_python_slices(rows: list[tuple[Any, Any]]) -> None:
    scores = [row and np.array(row, np.float32) for row, _ in rows]
    counts = [count for _, count in rows]
    ranked = rank(scores, LABELS)

    found = first_objects(ranked, counts).to_pylist()

    assert found == [
        None if count is None or answer is None else answer[:count]
        for answer, count in zip(ranked.to_pylist(), counts, strict=True)
    ]


@pytest.mark.parametrize("field", ["function", "pipeline", "view"])
@pytest.mark.parametrize("name", ["x; DROP TABLE y", "a`b", "", "X", "1a", None, "a" * 64])
def test_a_name_that_no_configuration_could_have_is_refused(field: str, name: Any) -> None:
    values: dict[str, Any] = {
        "function": "f",
        "pipeline": "p",
        "view": "v",
        "model_name": "p",
        "model_version": "1",
        "model_digest": "d",
        "model_path": "models/d",
        "labels": ["stop"],
        "deployed_at": dt.datetime.now(dt.UTC),
        "run_id": "r",
    }

    with pytest.raises(DataError) as caught:
        Deployment.from_row(values | {field: name})

    assert str(caught.value) == (
        f"table darkroom.functions holds {field} {name!r}: not a name that a configuration could "
        "have; deploy the pipeline again"
    )
