"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import pytest

from darkroom.evaluation.metrics import Measured, Prediction, measure, only_one_right


def predictions(pairs: str) -> list[Prediction]:
    """``ab`` is an image of class a that was taken for b."""
    return [
        Prediction(
            image_id=f"{n}", path=f"{n}.png", truth=pair[0], predicted=pair[1], probability=0.5
        )
        for n, pair in enumerate(pairs.split())
    ]


def test_the_numbers_of_a_small_confusion() -> None:
    measured = measure(predictions("aa aa aa ab bb ba bb cb"))
    # a: 3 of 4 found, 3 of 4 given; b: 2 of 3 found, 2 of 4 given; c: never found, never given
    assert measured.overall == pytest.approx(
        {
            "accuracy": 5 / 8,
            "macro_recall": (3 / 4 + 2 / 3 + 0) / 3,
            "macro_precision": (3 / 4 + 2 / 4 + 0) / 3,
            "macro_f1": (3 / 4 + 4 / 7 + 0) / 3,
        }
    )
    assert [(one.label, one.support) for one in measured.classes] == [("a", 4), ("b", 3), ("c", 1)]
    assert measured.classes[1].f1 == pytest.approx(4 / 7)
    assert measured.labels == ("a", "b", "c")
    assert measured.confusion == ((3, 1, 0), (1, 2, 0), (0, 1, 0))


def test_a_label_without_test_images_is_an_error_but_no_class() -> None:
    measured = measure(predictions("aa aa az bb"))
    assert [one.label for one in measured.classes] == ["a", "b"]
    assert measured.overall["macro_recall"] == pytest.approx((2 / 3 + 1) / 2)
    assert measured.labels == ("a", "b", "z")


def test_no_test_image_gives_no_metric() -> None:
    assert measure([]) == Measured(overall={}, classes=(), labels=(), confusion=())


def test_images_that_only_one_model_gets_right_are_counted_whatever_their_order() -> None:
    ours = predictions("aa ab bb bb ba")
    theirs = predictions("aa aa ba bb bb")
    assert only_one_right(ours, theirs[::-1]) == (1, 2)


def test_models_that_saw_other_images_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"^the two models were not given the same images$"):
        only_one_right(predictions("aa bb"), predictions("aa"))
