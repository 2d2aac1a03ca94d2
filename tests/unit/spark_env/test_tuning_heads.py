"""A fitted head against the minimum of the written objective; what a fold may lack."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from darkroom.contract import HeadKind
from darkroom.tuning.head import Head
from darkroom.tuning.head_fits import Examples, HeadFit, fit_head
from darkroom.tuning.points import Point

IMPORTED = """
import sys
import darkroom.tuning.head_fits
print([name for name in ("keras", "mlflow", "pyspark", "tensorflow") if name in sys.modules])
"""


def clouds(classes: int, images: int = 90) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Overlapping classes; features far from 0, of very different scales, the last one constant."""
    random = np.random.default_rng(classes)
    truths = random.integers(0, classes, images)
    vectors = random.normal(0, 1, (images, 4)) + np.eye(max(classes, 4))[truths][:, :4]
    return (vectors * [0.1, 1, 20, 0] + [5, 0, -300, 7]).astype(np.float32), truths


def minimum(vectors: Any, truths: Any, classes: int, reg_param: float) -> NDArray[np.float64]:
    """Probabilities at the minimum, found in float64 from the definition of the objective."""
    centred = vectors[:, :3].astype(np.float64) - vectors[:, :3].mean(axis=0, dtype=np.float64)
    standard = centred / centred.std(axis=0, ddof=1)

    def logits(flat: Any) -> Any:
        return standard @ flat[classes:].reshape(3, classes) + flat[:classes]

    def objective(flat: Any) -> float:
        scores = logits(flat)
        loss = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(truths)), truths]
        return float(loss.mean() + reg_param / 2 * (flat[classes:] ** 2).sum())

    found = minimize(objective, np.zeros(4 * classes), tol=1e-10, options={"maxiter": 2000})
    odds = np.exp(logits(found.x))
    shares: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
    return shares


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("reg_param", [0.0, 0.01, 1.0, 30.0])
def test_a_head_is_the_minimum_of_its_objective(classes: int, reg_param: float) -> None:
    vectors, truths = clouds(classes)
    fit = HeadFit(classes=classes, point=Point(reg_param), max_iterations=500)
    head = fit_head(vectors, truths, fit)
    expected = minimum(vectors, truths, classes, reg_param)
    np.testing.assert_allclose(head.probabilities(vectors), expected, atol=2e-4)
    np.testing.assert_array_equal(head.kernel[3], np.zeros(classes))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_crushing_regularisation_leaves_the_shares_of_the_classes(classes: int) -> None:
    vectors, truths = clouds(classes)
    fit = HeadFit(classes=classes, point=Point(1e6), max_iterations=20)
    shares = np.bincount(truths) / len(truths)
    found = fit_head(vectors, truths, fit).probabilities(vectors)
    np.testing.assert_allclose(found, np.tile(shares, (len(truths), 1)), atol=1e-4)


def test_fitting_twice_gives_the_same_bits_and_changes_no_input() -> None:
    vectors, truths = clouds(3)
    before = vectors.tobytes(), truths.tobytes()
    fit = HeadFit(classes=3, point=Point(0.01), max_iterations=50)
    first, second = (fit_head(vectors, truths, fit) for _ in range(2))
    assert (first.kernel.tobytes(), first.bias.tobytes()) == (
        second.kernel.tobytes(),
        second.bias.tobytes(),
    )
    assert (vectors.tobytes(), truths.tobytes()) == before


def test_a_class_without_an_image_is_never_predicted() -> None:
    vectors, truths = clouds(2)
    fit = HeadFit(classes=4, point=Point(0.01), max_iterations=50)
    head = fit_head(vectors, truths * 2, fit)
    shares = head.probabilities(vectors)
    np.testing.assert_array_equal(shares[:, [1, 3]], np.zeros((len(truths), 2)))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert set(head.predict(vectors)) == {0, 2}
    alone = fit_head(vectors, np.full(len(truths), 3), fit).probabilities(vectors)
    np.testing.assert_array_equal(alone, np.tile([0.0, 0.0, 0.0, 1.0], (len(truths), 1)))


def test_of_equally_likely_classes_the_first_is_predicted() -> None:
    head = Head(kernel=np.zeros((2, 3)), bias=np.array([0.0, 1.0, 1.0]))
    assert head.predict(np.ones((1, 2), np.float32)).tolist() == [1]


def test_a_fold_is_scored_by_what_the_others_teach() -> None:
    """Fold 0 says that 1 is right of 0, fold 1 the contrary: each is all wrong about the other."""
    examples = Examples(
        vectors=np.array([[0], [1], [0], [1]], np.float32),
        truths=np.array([0, 1, 1, 0]),
        folds=np.array([0, 0, 1, 1]),
    )
    fit = HeadFit(classes=2, point=Point(0.1), max_iterations=20)
    assert [fit.without_fold(examples, fold)["accuracy"] for fold in (0, 1)] == [0.0, 0.0]
    same = Examples(vectors=examples.vectors, truths=np.array([0, 1, 0, 1]), folds=examples.folds)
    scores = fit.without_fold(same, 1)
    assert (scores["macro_f1"], scores["auc"]) == (1.0, 1.0)
    assert 0 < scores["log_loss"] < np.log(2)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", [HeadKind.LINEAR_SVM, HeadKind.MLP])
def test_other_heads_learn_and_are_the_same_twice(kind: HeadKind, classes: int) -> None:
    vectors, truths = clouds(classes, images=240)
    point = Point(0.001, 0.0, kind, 8 if kind is HeadKind.MLP else 0, 0.01)
    fit = HeadFit(classes=classes + 1, point=point, max_iterations=200, seed=3)
    first, second = (fit_head(vectors, truths, fit) for _ in range(2))
    assert first.kernel.tobytes() == second.kernel.tobytes()
    shares = first.probabilities(vectors)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares[:, classes], 0)
    logistic = fit_head(
        vectors, truths, HeadFit(classes=classes, point=Point(0.001), max_iterations=200)
    )
    (ours, theirs) = (float((head.predict(vectors) == truths).mean()) for head in (first, logistic))
    assert ours >= theirs - 0.05
    loss = -np.log(shares[np.arange(len(truths)), truths]).mean()
    assert loss < 0.95 * np.log(classes)


def test_a_support_vector_machine_decides_as_scikit_learns() -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    vectors, truths = clouds(3)
    point = Point(0.02, 0.0, HeadKind.LINEAR_SVM)
    head = fit_head(vectors, truths, HeadFit(classes=3, point=point, max_iterations=500))
    known = make_pipeline(StandardScaler(), LinearSVC(C=1 / (0.02 * len(truths)), dual=False))
    np.testing.assert_array_equal(
        head.predict(vectors), known.fit(vectors.astype(float), truths).predict(vectors)
    )


def test_a_worker_that_fits_imports_no_heavy_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
