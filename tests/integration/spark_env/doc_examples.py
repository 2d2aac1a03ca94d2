"""Runs the Python examples of a page of docs/ in their order, as its reader would."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from tests.integration.spark_env import library_house as house

DOCS = Path(__file__).parents[3] / "docs"
LIBRARY_PAGE = DOCS / "library.md"
ESTIMATOR_PAGE = DOCS / "estimator.md"

LAST = "_last"
"""Name that gets the value of an example's last expression."""

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(
    page: Path, names: dict[str, Any], folder: Path, instead: Mapping[str, str] | None = None
) -> int:
    """Runs the examples of a page in one namespace and computes every DataFrame that they make.

    Args:
        page: The page.
        names: What the reader has already; gets what the examples define.
        folder: Stands for the root of the reader's disk: what the page calls /data and /models.
        instead: Texts of the page, each of which must be there, to what is run in their place.

    Returns:
        How many examples there are.
    """
    text = page.read_text()
    for old, new in {'"/data/': f'"{folder}/data/', '"/models/': f'"{folder}/models/'}.items():
        text = text.replace(old, new)
    for old, new in (instead or {}).items():
        assert old in text, f"{page.name} has no {old}"
        text = text.replace(old, new)
    # Spark sends functions of __main__ as they are, as it does those of a notebook's cells.
    names["__name__"] = "__main__"
    count = 0
    for code in _examples(page, text):
        before = dict(names)
        exec(code, names)
        for name, value in names.items():
            if isinstance(value, DataFrame) and before.get(name) is not value:
                value.collect()
        count += 1
    return count


def _examples(page: Path, text: str) -> Iterator[CodeType]:
    """The page's fenced blocks; a traceback names the page and the line."""
    for block in _BLOCK.finditer(text):
        tree = ast.parse(block[1])
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            kept = ast.Assign([ast.Name(LAST, ast.Store())], last.value)
            tree.body[-1] = ast.copy_location(ast.fix_missing_locations(kept), last)
        ast.increment_lineno(tree, text.count("\n", 0, block.start(1)))
        yield compile(ast.fix_missing_locations(tree), str(page), "exec")


def a_readers_files(spark: SparkSession, folder: Path) -> dict[str, Any]:
    """Makes the pictures, models, tables and DataFrames that docs/library.md takes for granted.

    Returns:
        The names that its examples use.
    """
    models = folder / "models"
    models.mkdir(parents=True)
    _save_models(models)
    _write_signs(folder / "data" / "signs", labels=2, count=6)
    scans = folder / "data" / "scans"
    scans.mkdir()
    np.save(scans / "1.npy", np.full((70, 70, 2), 3.0))
    pictures = [(house.picture(colour),) for colour in ("red", "teal")]
    spark.createDataFrame(pictures, "image binary").createOrReplaceTempView("traffic_imgs")
    return {
        "spark": spark,
        "scans": spark.createDataFrame([(f"file:{scans}/1.npy",), ("file:/gone.npy",)], ["uri"]),
        "frame": spark.createDataFrame([([1.0, 2.0, 3.0], [4.0, 6.0])], ["series", "features"]),
        "pairs": spark.createDataFrame([([1.0, 2.0], [3.0, 4.0])], ["left", "right"]),
    }


def a_trainers_files(spark: SparkSession, folder: Path) -> dict[str, Any]:
    """The same for docs/estimator.md."""
    # So many that no fold trains without one of the ten classes.
    _write_signs(folder / "data" / "signs", labels=10, count=16)
    return {"spark": spark}


def _write_signs(folder: Path, labels: int, count: int) -> None:
    """Writes pictures of one brightness per label into the folders label=0, label=1, ..."""
    for label in range(labels):
        (folder / f"label={label}").mkdir(parents=True)
        for n in range(count):
            shade = 250 * label // max(1, labels - 1)
            data = house.plain_picture((shade, shade, n), (9, 8))
            (folder / f"label={label}" / f"{n}.png").write_bytes(data)


def _save_models(folder: Path) -> None:
    import keras

    def average(name: str, *shape: int) -> tuple[Any, Any]:
        given = keras.Input(shape, name=name)
        return given, keras.layers.GlobalAveragePooling2D()(given)

    def softmax(units: int, x: Any) -> Any:
        return keras.layers.Dense(units, activation="softmax")(x)

    pixels, mean = average("pixels", house.SIDE, house.SIDE, 3)
    keras.Model(pixels, softmax(2, mean)).save(folder / "signs.keras")
    scan, mean = average("scan", 64, 64, 1)
    keras.Model(scan, mean).save(folder / "scans.keras")
    house.save_doubler(folder / "forecast.keras")
    pair = [keras.Input((2,), name=f"input_{name}") for name in "ab"]
    score = keras.layers.Dot(1, name="score")(pair)
    keras.Model(pair, score).save(folder / "matcher.keras")
    house.save_scorer(folder / "scorer")
