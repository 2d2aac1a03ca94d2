"""How good the embedded backbone's features are on pictures that it was not trained on.

Logistic regression on standardised inputs, five-fold cross-validated accuracy; for every kind of
input the best of three regularisation strengths counts, so that the baselines get their best.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Row
from darkroom.backbones import embedded
from darkroom.images import ImageRejectedError, decode_rgb, resize_rgb

STRENGTHS = (0.001, 0.01, 0.1)
RAW_SIDE = 32
"""Side of the raw-pixel baseline: at 64 it is slower and no better."""


class Pictures(NamedTuple):
    """Pixels (n, 64, 64, 3) uint8 RGB and labels (n,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.str_]


def measure(demo_folder: Path) -> Iterator[Row]:
    """Yields one row per data set and kind of input; value: accuracy, 0..1."""
    import keras

    keras.utils.set_random_seed(7)
    networks = {
        "embedded": keras.saving.load_model(embedded.MODEL_FILE, compile=False),
        "random_weights": embedded.build_embedded(),
    }
    for name, pictures in (("demo", _folder(demo_folder)), ("digits", _digits())):
        inputs = {"raw_pixels": _raw(pictures.pixels)}
        for kind, network in networks.items():
            inputs[kind] = network.predict(pictures.pixels.astype(np.float32), verbose=0)
        for kind, vectors in inputs.items():
            scores = _best_scores(vectors, pictures.labels)
            yield Row(
                name=f"embedded_features/{name}/{kind}",
                value=round(float(np.mean(scores)), 4),
                unit="acc",
                samples=[round(float(score), 4) for score in scores],
                note="accuracy of logistic regression, five folds",
            )


def _best_scores(vectors: NDArray[np.float32], labels: NDArray[np.str_]) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    heads = [LogisticRegression(C=strength, max_iter=200, tol=0.01) for strength in STRENGTHS]
    # Matrices this small are slower on two threads than on one.
    with threadpool_limits(1):
        trials: list[NDArray[np.float64]] = [
            cross_val_score(
                make_pipeline(StandardScaler(), head),
                vectors,
                labels,
                cv=folds,
            )
            for head in heads
        ]
    return max(trials, key=lambda scores: float(scores.mean()))


def _raw(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = np.stack([resize_rgb(picture, RAW_SIDE, RAW_SIDE) for picture in pixels])
    return small.reshape(len(small), -1).astype(np.float32)


def _folder(root: Path) -> Pictures:
    pixels, labels = [], []
    for file in sorted(root.glob("*/*")):
        try:
            picture = decode_rgb(file.read_bytes())
        except ImageRejectedError:
            continue
        pixels.append(resize_rgb(picture, embedded.INPUT_SIZE, embedded.INPUT_SIZE))
        labels.append(file.parent.name)
    return Pictures(np.stack(pixels), np.array(labels))


def _digits() -> Pictures:
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    side = embedded.INPUT_SIZE
    return Pictures(np.stack([resize_rgb(p, side, side) for p in rgb]), digits.target.astype(str))
