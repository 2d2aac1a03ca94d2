"""How a model's outputs become answers, without Spark or a network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract import DataError
from darkroom.ml import inference
from darkroom.ml.engines import Engine, PreparedModel, TensorSpec
from darkroom.ml.ranking import rank
from darkroom.sql.deployments import Deployment
from darkroom.sql.functions import recognizer
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


def run(batches: list[pa.Array], monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], int]:
    """Runs a recognizer whose model says yes to every picture; counts how often it is loaded."""
    loads = []
    prepared = PreparedModel(
        Engine.OPENVINO,
        "m.xml",
        (TensorSpec("pixels", (24, 24, 3), "float32"),),
        (TensorSpec("scores", (3,), "float32"),),
    )

    def load(model: PreparedModel) -> Any:
        loads.append(model)
        return lambda arrays: {"scores": np.array([[0, 1, 0]] * len(arrays["pixels"]), np.float32)}

    monkeypatch.setattr(inference, "load", load)
    answers: Iterator[pa.Array] = recognizer("f", prepared, LABELS)(iter(batches))
    return [batch.to_pylist() for batch in answers], len(loads)


def test_nulls_never_load_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [pa.array([None, None], pa.binary()), pa.nulls(1), pa.array([], pa.binary())]

    answers, loads = run(batches, monkeypatch)

    assert (answers, loads) == ([[None, None], [None], []], 0)


def test_every_batch_is_answered_in_its_own_length(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [
        pa.array([photo(1), None, b"no picture"], pa.binary()),
        pa.array([photo(2)], pa.large_binary()),
    ]

    answers, _ = run(batches, monkeypatch)

    assert [[row and row[0]["label"] for row in batch] for batch in answers] == [
        ["yield", None, None],
        ["yield"],
    ]


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.list_(pa.uint8())])
def test_another_type_than_binary_is_refused_clearly(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError) as caught:
        run([pa.nulls(1, kind)], monkeypatch)

    assert str(caught.value) == (
        f"f(image): image must be BINARY, the bytes of an encoded picture, not {kind}"
    )


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
