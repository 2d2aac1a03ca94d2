"""One architecture in Spark and outside it: seeded weights, pictures, and how far answers differ.

The reference is Keras itself, called as its documentation says, on pixels that Pillow alone made;
nothing of darkroom takes part in it.
"""

from __future__ import annotations

import gc
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyspark.sql import SparkSession

from darkroom.backbones.catalog import resolve
from darkroom.backbones.keras_table import KERAS_TABLE
from darkroom.contract import Engine
from darkroom.ml.engines import load, prepare
from darkroom.ml.inference import predict_images

if TYPE_CHECKING:
    import keras
    import pyarrow as pa

SIDE = 96
"""Input height and width in pixels; the last feature maps are 3x3 then."""

SIDES = {"InceptionV3": 139, "InceptionResNetV2": 139}
"""Theirs shrink to 1x1 at 96."""

TOLERANCE = 1e-4
"""Largest tolerated difference, relative to the largest value of the vector."""

CLOSE = 1e-5
"""What most architectures keep."""

COSINE_TOLERANCE = 1e-3
"""Largest tolerated cosine distance from JPEG bytes to the answer."""

LEAST_SPREAD = 0.02
"""Vectors of different pictures differ by more than this; else the test could not fail."""

RESULTS_MARK = "<!-- written by make test-parity: -->"

EXACT, PHOTOGRAPHS = 3, 3
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What came of one architecture.

    Attributes:
        engine: What ran the featurizer and the predictor, in this order.
        features: Largest difference of a feature vector, relative to its largest value.
        top: The same of the class probabilities.
        cosine: Largest cosine distance of either from JPEG bytes.
        spread: Smallest difference between vectors of two pictures, relative likewise.
        width: Length of the feature vector.
        side: Height and width of the feature map at the architecture's own input size.
        seconds: What all of it took.
        versions: Of Keras and the engines.
    """

    engine: tuple[str, str]
    features: float
    top: float
    cosine: float
    spread: float
    width: int
    side: int
    seconds: float
    versions: str


def versions() -> str:
    """The libraries whose arithmetic is compared."""
    names = ("keras", "tensorflow", "openvino", "onnxruntime")
    return ", ".join(f"{name} {version(name)}" for name in names)


def measure(spark: SparkSession, name: str, scratch: Path, engine: Engine = Engine.AUTO) -> Parity:
    """Compares one architecture in Spark with Keras outside it.

    Args:
        spark: The session.
        name: Of keras.applications.
        scratch: An empty folder.
        engine: What runs it in Spark.

    Returns:
        The differences.
    """
    import keras

    started = time.perf_counter()
    side = SIDES.get(name, SIDE)
    keras.backend.clear_session()
    map_side = _full_map(name)
    weights, reference = _reference(name, side, scratch)
    gc.collect()
    frame = spark.createDataFrame(
        list(enumerate(exact_pictures(side) + photographs())), "n int, image binary"
    ).repartition(1)
    engines, errors, cosines = [], [], []
    for top, expected in ((False, reference[0]), (True, reference[1])):
        backbone = resolve(name, {name: str(weights)}, top=top)
        model_file = replace(backbone, height=side, width=side).model_file(scratch / "models")
        prepared = prepare(model_file, scratch / "engines", engine)
        rows = predict_images(frame, prepared).orderBy("n").collect()
        found = np.array([row["vector"] for row in rows], dtype=np.float32)
        assert found.shape == expected.shape == (len(rows), backbone.length)
        engines.append(str(prepared.engine))
        errors.append(_relative(found[:EXACT], expected[:EXACT]))
        cosines.append(_cosine(found, expected))
        keras.backend.clear_session()
    forget_models(spark)
    return Parity(
        engine=(engines[0], engines[1]),
        features=errors[0],
        top=errors[1],
        cosine=max(cosines),
        spread=min(_spread(vectors) for vectors in reference),
        width=reference[0].shape[1],
        side=map_side,
        seconds=round(time.perf_counter() - started, 1),
        versions=versions(),
    )


def check(name: str, parity: Parity) -> None:
    """What every architecture has to fulfil."""
    entry = KERAS_TABLE[name]
    assert (parity.width, parity.side) == (entry.width, entry.side)
    # First: with vectors that are all alike the rest would say nothing.
    assert parity.spread > LEAST_SPREAD
    assert parity.features <= TOLERANCE
    assert parity.top <= TOLERANCE
    assert parity.cosine < COSINE_TOLERANCE


def forget_models(spark: SparkSession) -> None:
    """Has the Python workers let go of what they loaded: the next one may be large."""
    cores = spark.sparkContext.defaultParallelism

    def forget(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        load.cache_clear()
        gc.collect()
        # Long enough for every worker to get a part.
        time.sleep(0.5)
        return batches

    spark.range(0, 2 * cores, 1, 2 * cores).mapInArrow(forget, "id long").collect()


def exact_pictures(side: int) -> list[bytes]:
    """PNGs of the input size: lossless and never resized, so their pixels are known."""
    random = np.random.default_rng(5)
    pictures = []
    for cells in (4, 12, side)[:EXACT]:
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        stream = io.BytesIO()
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(stream, "PNG")
        pictures.append(stream.getvalue())
    return pictures


def photographs() -> list[bytes]:
    """JPEGs of 500 x 375 pixels."""
    random = np.random.default_rng(6)
    pictures = []
    for cells in (5, 20, 60)[:PHOTOGRAPHS]:
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        stream = io.BytesIO()
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        pictures.append(stream.getvalue())
    return pictures


def reference_pixels(data: bytes, side: int) -> Array:
    """The documented reference: Pillow decodes, one bilinear resize."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    if picture.size != (side, side):
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.float32)


def _full_map(name: str) -> int:
    """Height and width of the last feature map at the input size that Keras itself takes."""
    import keras

    size = KERAS_TABLE[name].size
    shape = (size, size, 3)
    network = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape)
    _, height, width, _ = network.output_shape
    assert height == width
    return int(height)


def _reference(name: str, side: int, scratch: Path) -> tuple[Path, tuple[Array, Array]]:
    """Seeded weights in a file, and (features, probabilities) by Keras with them."""
    import keras

    network = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3))
    preprocess = _module(name).preprocess_input
    noise = np.stack([reference_pixels(data, side) for data in exact_pictures(side) * 3])
    _randomise(network, preprocess(noise + np.random.default_rng(1).normal(0, 20, noise.shape)))
    file = scratch / f"{name}.weights.h5"
    network.save_weights(file)
    pictures = exact_pictures(side) + photographs()
    pixels = preprocess(np.stack([reference_pixels(data, side) for data in pictures]))
    features, source = _features(network)
    both = keras.Model(network.input, [source, network.output])
    vectors, probabilities = both.predict_on_batch(pixels)
    return file, (features(vectors), probabilities)


def _module(name: str) -> ModuleType:
    """The public module of keras.applications that has this architecture."""
    import keras

    defined_in: str = getattr(keras.applications, name).__module__
    module: ModuleType = getattr(keras.applications, defined_in.rpartition(".")[2])
    return module


def _map(network: keras.Model) -> Any:
    """The last feature map: what the whole classifier pools, or flattens."""
    kinds = [type(layer).__name__ for layer in network.layers]
    kind = "GlobalAveragePooling2D" if "GlobalAveragePooling2D" in kinds else "Flatten"
    return [layer for layer in network.layers if type(layer).__name__ == kind][-1].input


def _features(network: keras.Model) -> tuple[Callable[[Array], Array], Any]:
    heads = [layer for layer in network.layers if layer.name.endswith("head_layernorm")]
    if heads:
        # ConvNeXt normalizes what it pooled, with its top or without.
        return lambda vectors: vectors, heads[0].output
    return lambda maps: maps.mean(axis=(1, 2)), _map(network)


def _randomise(network: keras.Model, batch: Array) -> None:
    """Seeded weights under which activations neither vanish nor explode, and answers vary."""
    random = np.random.default_rng(2)
    for weight in network.weights:
        weight.assign(_seeded(weight.path, tuple(weight.shape), random))
    for layer in network.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    norms = [layer for layer in network.layers if type(layer).__name__ == "BatchNormalization"]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        network(batch, training=True)
    _temper(network, batch)


def _seeded(path: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    name = path.rpartition("/")[2]
    if "kernel" in name:
        inputs = np.prod(shape[:2]) if "depthwise" in name else np.prod(shape[:-1])
        return random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / inputs))
    if name in {"gamma", "variable"} or "variance" in name:
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if name == "beta":
        # Around 0 rectifiers would cut half of everything, and a deep random network so cut
        # magnifies a rounding error a hundredfold, which no trained one does.
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if name == "count":
        return np.ones(shape, np.float32)
    return random.uniform(-0.2, 0.2, shape).astype(np.float32)


def _temper(network: keras.Model, batch: Array) -> None:
    """Scales the last layer so that the softmax is neither flat nor a single 1."""
    import keras

    last = [layer for layer in network.layers if hasattr(layer, "kernel")][-1]
    inputs = keras.Model(network.input, last.input).predict_on_batch(batch)
    kernel, *bias = last.get_weights()
    logits = inputs.reshape(len(inputs), -1) @ kernel.reshape(-1, kernel.shape[-1])
    last.set_weights([kernel * (2 / logits.std()), *bias])


def _relative(found: Array, expected: Array) -> float:
    return float((np.abs(found - expected).max(axis=1) / np.abs(expected).max(axis=1)).max())


def _cosine(found: Array, expected: Array) -> float:
    a, b = found.astype(np.float64), expected.astype(np.float64)
    products = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(max(0.0, (1 - products).max()))


def _spread(vectors: Array) -> float:
    scale = np.abs(vectors).max()
    gaps = [
        np.abs(vectors[i] - vectors[j]).max() / scale for i in range(len(vectors)) for j in range(i)
    ]
    return float(min(gaps))


def render(results: Mapping[str, Parity]) -> str:
    """The table of docs/parity.md."""
    errors = [error for each in results.values() for error in (each.features, each.top)]
    close = sum(error <= CLOSE for error in errors)
    lines = [
        f"{len(results)} architectures, {len(errors)} models: the largest difference is "
        f"{max(errors):.1e}, {close} of {len(errors)} are within {CLOSE:.0e}; the largest cosine "
        f"distance is {max(each.cosine for each in results.values()):.1e}.",
        "",
        "| architecture | engine | features | probabilities | cosine distance | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in sorted(results.items()):
        engine = " / ".join(dict.fromkeys(each.engine))
        lines.append(
            f"| {name} | {engine} | {each.features:.1e} | {each.top:.1e} | {each.cosine:.1e} "
            f"| {each.seconds:.0f} |"
        )
    used = sorted({each.versions for each in results.values()})
    return "\n".join([*lines, "", f"With {'; '.join(used)}."]) + "\n"


def write_page(file: Path, results: Mapping[str, Parity]) -> None:
    """Puts the table in place of what follows the marker in docs/parity.md."""
    text, _, _ = file.read_text().partition(RESULTS_MARK)
    file.write_text(f"{text}{RESULTS_MARK}\n\n{render(results)}")


def read_results(file: Path) -> dict[str, Parity]:
    """Reads what `write_result` wrote; nothing where there is no file."""
    if not file.exists():
        return {}
    found = json.loads(file.read_text())
    return {
        name: Parity(**{**values, "engine": tuple(values["engine"])})
        for name, values in found.items()
    }


def write_result(file: Path, name: str, parity: Parity) -> None:
    """Puts one architecture's result into a file, in order."""
    results = {**read_results(file), name: parity}
    lines = [f"  {json.dumps(key)}: {json.dumps(asdict(results[key]))}" for key in sorted(results)]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
