"""Metrics against numbers worked out by hand, and against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn

from darkroom.evaluation.metrics import ClassMetrics, Measured, measure
from darkroom.evaluation.predictions import HeldOut, Predictions
from darkroom.evaluation.resampling import Bootstrap, Estimate
from tests.unit.spark_env.simulated import held_out, says, spelled

QUICK = Bootstrap(resamples=200)


def by_label(measured: Measured) -> dict[str, ClassMetrics]:
    return {one.label: one for one in measured.classes}


def random_predictions(classes: int, images: int) -> Predictions:
    random = np.random.default_rng(5)
    labels = tuple(f"c{n}" for n in range(classes))
    truths = random.integers(classes, size=images)
    logits = random.normal(size=(images, classes))
    logits[np.arange(images), truths] += 1.5
    table = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(
        images=held_out([labels[n] for n in truths]),
        labels=labels,
        probabilities=table.astype(np.float32),
    )


def test_the_numbers_of_a_small_confusion() -> None:
    measured = measure(spelled("aa aa aa ab bb ba bb cb"), QUICK)
    # a: 3 of 4 found, 3 of 4 given; b: 2 of 3 found, 2 of 4 given; c: never found, never given
    expected = {
        "accuracy": 5 / 8,
        "macro_recall": (3 / 4 + 2 / 3 + 0) / 3,
        "macro_precision": (3 / 4 + 2 / 4 + 0) / 3,
        "macro_f1": (3 / 4 + 4 / 7 + 0) / 3,
    }
    assert {name: measured.values[name] for name in expected} == pytest.approx(expected)
    assert [(one.label, one.support) for one in measured.classes] == [("a", 4), ("b", 3), ("c", 1)]
    assert by_label(measured)["b"].f1.value == pytest.approx(4 / 7)
    assert measured.labels == ("a", "b", "c")
    assert measured.confusion.tolist() == [[3, 1, 0], [1, 2, 0], [0, 1, 0]]
    assert measured.images == 8


@pytest.mark.parametrize("classes", [2, 5])
def test_all_metrics_are_scikit_learns(classes: int) -> None:
    said = random_predictions(classes, 300)
    truth = said.images.truth_indices
    scores = said.probabilities.astype(float)
    scores /= scores.sum(axis=1, keepdims=True)
    averages = {"average": "macro", "zero_division": 0}
    auc = (
        sklearn.roc_auc_score(truth, scores[:, 1])
        if classes == 2
        else sklearn.roc_auc_score(truth, scores, multi_class="ovr")
    )
    expected = {
        "accuracy": sklearn.accuracy_score(truth, said.best),
        "macro_f1": sklearn.f1_score(truth, said.best, **averages),
        "macro_precision": sklearn.precision_score(truth, said.best, **averages),
        "macro_recall": sklearn.recall_score(truth, said.best, **averages),
        "auc": auc,
        "log_loss": sklearn.log_loss(truth, scores),
    }
    found = measure(said, QUICK).values
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_calibration_is_the_mean_gap_between_confidence_and_truth() -> None:
    # 0.9 and right in 3 of 4: a gap of 0.15; 0.6 and right in 1 of 2: a gap of 0.1
    images = held_out(list("aaaaaa"))
    said = says(images, list("aaabab"), [0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    assert measure(said, QUICK).values["ece"] == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)


def test_the_log_loss_of_a_class_that_the_model_has_not_is_large_but_finite() -> None:
    images = held_out(["a", "z"])
    said = says(images, ["a", "a"], 1.0, labels=["a", "b"])
    assert measure(said, QUICK).values["log_loss"] == pytest.approx(-np.log(1e-7) / 2)


def test_intervals_of_the_area_under_the_curve_are_those_of_resampling_it() -> None:
    said = random_predictions(2, 150)
    found = measure(said, Bootstrap(resamples=4000)).overall["auc"]
    truth, scores = said.images.truth_indices, said.probabilities[:, 1]
    random = np.random.default_rng(2)
    areas = []
    for _ in range(500):
        drawn = random.integers(150, size=150)
        areas.append(sklearn.roc_auc_score(truth[drawn], scores[drawn]))
    low, high = np.quantile(areas, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)


def test_every_number_lies_within_its_interval_and_all_right_is_not_taken_for_certain() -> None:
    measured = measure(random_predictions(4, 200), QUICK)
    estimates = [*measured.overall.values()]
    estimates += [one for c in measured.classes for one in (c.precision, c.recall, c.f1)]
    for one in estimates:
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.value <= one.high
        assert one.low < one.high
    perfect = measure(spelled("aa aa bb bb"), QUICK)
    accuracy = perfect.overall["accuracy"]
    assert [accuracy.low, accuracy.high] == pytest.approx([4 / (4 + 1.96**2), 1.0], abs=1e-4)
    recall = by_label(perfect)["a"].recall
    assert [recall.low, recall.high] == pytest.approx([2 / (2 + 1.96**2), 1.0], abs=1e-4)
    assert perfect.overall["macro_f1"] == Estimate(1.0, None, None)


def test_slices_have_their_accuracy() -> None:
    images = held_out(list("aaaaaa"), {"brightness": ("dark", "dark", "dark", "b", "b", "dark")})
    measured = measure(says(images, list("aabbaa"), labels=["a", "b"]), QUICK)
    assert [(s.dimension, s.name, s.images, s.accuracy.value) for s in measured.slices] == [
        ("brightness", "b", 2, 0.5),
        ("brightness", "dark", 4, 0.75),
    ]


def test_a_label_without_test_images_is_an_error_but_no_class() -> None:
    measured = measure(spelled("aa aa az bb"), QUICK)
    assert [one.label for one in measured.classes] == ["a", "b"]
    assert measured.values["macro_recall"] == pytest.approx((2 / 3 + 1) / 2)
    assert measured.labels == ("a", "b", "z")


def test_no_test_image_gives_no_metric_and_one_class_no_curve() -> None:
    nothing = measure(says(held_out([]), [], labels=["a"]), QUICK)
    assert (nothing.images, nothing.overall, nothing.classes) == (0, {}, ())
    assert "auc" not in measure(spelled("aa ab"), QUICK).overall


def test_the_same_seed_gives_the_same_intervals() -> None:
    said = random_predictions(3, 50)
    assert measure(said, QUICK).overall == measure(said, QUICK).overall
    assert measure(said, QUICK).overall != measure(said, Bootstrap(resamples=200, seed=8)).overall


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^every image needs a path, a class, and a value"):
        HeldOut(image_ids=("a",), paths=(), truths=("x",))
    with pytest.raises(ValueError, match=r"^1 images and 2 labels need as many probabilities"):
        Predictions(
            images=held_out(["a"]),
            labels=("a", "b"),
            probabilities=np.zeros((1, 3), np.float32),
        )
