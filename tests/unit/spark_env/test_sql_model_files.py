"""What is read from a model's files before anybody calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from darkroom.contract import DataError
from darkroom.ml.model_files import ModelCard


def write(folder: Path, **changes: object) -> Path:
    values = {"labels": ["stop", "yield"], "height": 32, "width": 48} | changes
    file = folder / "model.json"
    file.write_text(json.dumps({name: v for name, v in values.items() if v is not None}))
    return file


def test_a_card_keeps_the_order_of_the_labels(tmp_path: Path) -> None:
    card = ModelCard.read(write(tmp_path, labels=["yield", "stop"], more="ignored"))

    assert card == ModelCard(labels=("yield", "stop"), height=32, width=48)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": None}, "does not describe a model (KeyError: 'labels')"),
        ({"labels": []}, "labels must be different, non-empty texts: ()"),
        ({"labels": ["stop", "stop"]}, "labels must be different, non-empty texts: "),
        ({"labels": ["stop", ""]}, "labels must be different, non-empty texts: "),
        ({"labels": ["stop", 1]}, "labels must be different, non-empty texts: "),
        ({"height": 0}, "height must be a whole number above 0, not 0"),
        ({"width": True}, "width must be a whole number above 0, not True"),
        ({"width": "48"}, "width must be a whole number above 0, not '48'"),
    ],
)
def test_an_unusable_card_is_refused(tmp_path: Path, changes: dict[str, object], text: str) -> None:
    with pytest.raises(DataError) as caught:
        ModelCard.read(write(tmp_path, **changes))

    assert text in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"labels"', '{"labels": 3}'])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "model.json"
    file.write_text(text)

    with pytest.raises(DataError, match="does not describe a model"):
        ModelCard.read(file)


def test_a_missing_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="FileNotFoundError"):
        ModelCard.read(tmp_path / "model.json")
