"""The tables of docs/models.md and docs/parity.md say what the code and the measurements say."""

from __future__ import annotations

from pathlib import Path

from darkroom.backbones.keras_table import KERAS_TABLE
from darkroom.backbones.published import published_weights
from tests.integration.spark_env import parity_house as house

PROJECT = Path(__file__).parents[3]
HOW = {
    "caffe": "BGR, ImageNet's mean taken off",
    "tf": "-1 to 1",
    "torch": "ImageNet's mean and deviation",
    "inside": "in the network",
}


def models_table() -> str:
    lines = [
        "| name | input | width | unpooled | preprocessing | weights file |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in KERAS_TABLE.items():
        file = published_weights(name, top=False).file
        lines.append(
            f"| {name} | {entry.size} | {entry.length('avg'):,} | {entry.length('none'):,} "
            f"| {HOW[entry.preprocessing]} | `{file}` |"
        )
    return "\n".join(lines) + "\n"


def test_the_table_of_models_is_the_codes() -> None:
    assert models_table() in (PROJECT / "docs/models.md").read_text()


def test_every_measured_architecture_is_within_the_tolerance() -> None:
    results = house.read_results(PROJECT / "benchmarks/parity.json")
    assert set(results) == set(KERAS_TABLE)
    for name, parity in results.items():
        house.check(name, parity)


def test_the_table_of_parity_is_the_measurements() -> None:
    results = house.read_results(PROJECT / "benchmarks/parity.json")
    assert house.render(results) in (PROJECT / "docs/parity.md").read_text()
