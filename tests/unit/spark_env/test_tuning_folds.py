"""What cannot be cross-validated is refused before anything is trained; scores by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from darkroom.contract import DataError
from darkroom.tuning.folds import check_metric, check_trainable
from darkroom.tuning.scoring import score_of, scores_of


def test_images_that_fill_all_folds_are_accepted() -> None:
    check_trainable(["a", "b"], {("a", 0): 2, ("a", 1): 1, ("b", 0): 3}, 2)


@pytest.mark.parametrize(
    ("counts", "folds", "message"),
    [
        (
            {("a", 0): 5, ("a", 1): 5, ("a", 2): 5, ("b", 0): 1, ("b", 2): 1},
            3,
            "class 'b' has 2 train images, fewer than tuning.folds = 3: add images of it or "
            "remove the class, or lower tuning.folds to 2",
        ),
        (
            {("a", 0): 5, ("a", 1): 5, ("b", 0): 1},
            2,
            "class 'b' has 1 train image, fewer than tuning.folds = 2: add images of it or "
            "remove the class",
        ),
        (
            {("a", 0): 5, ("a", 1): 5},
            2,
            "class 'b' has 0 train images, fewer than tuning.folds = 2: add images of it or "
            "remove the class",
        ),
        (
            {("a", 0): 5, ("b", 0): 5, ("b", 2): 1},
            3,
            "fold 1 of 3 got no train image, for near-duplicates stay in one fold: add images "
            "that differ, or lower tuning.folds",
        ),
    ],
)
def test_too_few_images_are_refused(
    counts: dict[tuple[str, int], int], folds: int, message: str
) -> None:
    with pytest.raises(DataError) as refused:
        check_trainable(["a", "b"], counts, folds)
    assert str(refused.value) == message


@pytest.mark.parametrize(("labels", "found"), [([], "none"), (["stop"], "stop")])
def test_one_class_is_refused(labels: list[str], found: str) -> None:
    with pytest.raises(DataError) as refused:
        check_trainable(labels, {(label, 0): 9 for label in labels}, 2)
    assert str(refused.value) == (
        f"a classifier needs at least 2 classes, found {found}: add class folders"
    )


@given(
    st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(1, 5), min_size=1)
)
def test_scores_from_counts_are_scikit_learns(confusion: dict[tuple[int, int], int]) -> None:
    truth = [t for (t, _), n in confusion.items() for _ in range(n)]
    predicted = [p for (_, p), n in confusion.items() for _ in range(n)]
    macro = {"average": "macro", "zero_division": 0}
    assert score_of("accuracy", confusion) == pytest.approx(accuracy_score(truth, predicted))
    for metric, theirs in (
        ("macro_f1", f1_score),
        ("macro_precision", precision_score),
        ("macro_recall", recall_score),
    ):
        assert score_of(metric, confusion) == pytest.approx(theirs(truth, predicted, **macro))


def test_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^no such metric: 'auc'$"):
        score_of("auc", {(0, 0): 1})


def test_scores_from_probabilities_are_scikit_learns() -> None:
    random = np.random.default_rng(1)
    truths, second = random.integers(0, 2, 40), random.uniform(0, 1, 40)
    shares = np.stack([1 - second, second], axis=1)
    scores = scores_of(truths, shares)
    assert scores["log_loss"] == pytest.approx(log_loss(truths, shares))
    assert scores["auc"] == pytest.approx(roc_auc_score(truths, second))
    assert scores["accuracy"] == np.mean((second > 0.5) == truths)


def test_only_what_is_defined_is_scored() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert "auc" not in scores_of(np.array([0, 0]), sure)
    assert "auc" not in scores_of(np.array([0, 1]), np.full((2, 3), 1 / 3))
    # What was held to be impossible is not infinitely bad.
    assert scores_of(np.array([0, 1]), sure)["log_loss"] == pytest.approx(-np.log(1e-15) / 2)
    broken = scores_of(np.array([0, 1]), np.array([[1.0, 0.0], [np.nan, np.nan]]))
    assert np.isnan(list(broken.values())).all()


def test_the_auc_is_for_two_classes_in_every_fold() -> None:
    check_metric("auc", ["a", "b"], {("a", 0): 2, ("b", 0): 1, ("a", 1): 1, ("b", 1): 3})
    check_metric("accuracy", ["a", "b", "c"], {})
    with pytest.raises(DataError) as refused:
        check_metric("auc", ["a", "b", "c"], {})
    assert str(refused.value) == (
        "tuning.metric = 'auc' is for two classes, these images have 3: take log_loss or macro_f1"
    )
    with pytest.raises(DataError) as refused:
        check_metric("auc", ["a", "b"], {("a", 0): 2, ("b", 0): 1, ("a", 1): 1})
    assert str(refused.value) == (
        "tuning.metric = 'auc' needs both classes in every fold, and fold 1 has no 'b': add images "
        "of it that differ, or lower tuning.folds"
    )
