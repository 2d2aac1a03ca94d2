"""Class indices of labels: the part that needs no Spark session."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.contract import ConfigError, DataError
from darkroom.ml.training.labels import Classes, LabelError, LabelKind, classes_of


@pytest.mark.parametrize(
    ("kind", "found", "given", "labels", "label", "index"),
    [
        (LabelKind.STRING, ["b", "a"], None, ("a", "b"), "b", 1),
        (LabelKind.STRING, ["b"], ["z", "b"], ("z", "b"), "b", 1),
        (LabelKind.NUMBER, [2, 0], None, (0, 1, 2), 2, 2),
        (LabelKind.NUMBER, [0.0, 1.0], None, (0, 1), 1.0, 1),
        (LabelKind.NUMBER, [0], [0, 1, 2], (0, 1, 2), 0, 0),
        (LabelKind.ONE_HOT, [3], None, (0, 1, 2), [0, 0, 1], 2),
    ],
)
def test_classes(
    kind: LabelKind, found: list[Any], given: Any, labels: Any, label: Any, index: int
) -> None:
    classes = Classes(kind, classes_of("c", kind, found, given), rows=9)
    assert classes.labels == labels
    assert classes.indexer()(label) == index


@pytest.mark.parametrize(
    ("kind", "found", "message"),
    [
        (LabelKind.STRING, [], "labelCol 'c' holds no label: there is nothing to train on"),
        (LabelKind.STRING, ["a"], "labelCol 'c' holds one class, 'a': two are needed"),
        (LabelKind.NUMBER, [0, 1.5], "labelCol 'c' holds 1.5: numbers must be class indices 0, "),
        (LabelKind.NUMBER, [0.0, float("inf")], "labelCol 'c' holds inf: numbers must be class"),
        (LabelKind.NUMBER, [float("nan")], "labelCol 'c' holds nan: numbers must be class"),
        (
            LabelKind.ONE_HOT,
            [2, 3],
            "labelCol 'c' holds one-hot labels of different lengths: [2, 3]",
        ),
    ],
)
def test_unusable_labels(kind: LabelKind, found: list[Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        classes_of("c", kind, found, None)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (LabelKind.STRING, ["a", "a"], "classLabels = ['a', 'a']: give different texts, as in the"),
        (LabelKind.NUMBER, [1, 2], "classLabels = [1, 2]: the labels are class indices: give list"),
    ],
)
def test_unusable_given_classes(kind: LabelKind, given: list[Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        classes_of("c", kind, [0] if kind is LabelKind.NUMBER else ["a"], given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("kind", "labels", "label", "message"),
    [
        (LabelKind.STRING, ("a", "b"), "c", "label 'c' is none of the classes"),
        (LabelKind.ONE_HOT, (0, 1), [1, 0, 0], "one-hot label of length 3, not 2"),
        (LabelKind.ONE_HOT, (0, 1), [0.5, 0.5], "label [0.5, 0.5] is not one-hot"),
        (LabelKind.ONE_HOT, (0, 1), [0, 0], "label [0, 0] is not one-hot"),
    ],
)
def test_labels_of_no_class(kind: LabelKind, labels: Any, label: Any, message: str) -> None:
    with pytest.raises(LabelError) as caught:
        Classes(kind, labels, rows=1).indexer()(label)
    assert str(caught.value) == message
