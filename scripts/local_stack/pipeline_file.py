"""Writes the file of a new pipeline, with thresholds that fit its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from darkroom.contract import (
    ConfigError,
    GateConfig,
    PipelineConfig,
    SplitConfig,
    TuningConfig,
    ValidationConfig,
    check_together,
)
from darkroom.contract.names import IDENTIFIER
from darkroom.contract.workspace import write_atomically
from darkroom_airflow.pipelines import read_pipeline
from local_stack.layout import PROJECT


@dataclass(frozen=True)
class SourceFolder:
    """A folder with one sub-folder per class.

    Attributes:
        path: The folder, absolute.
        files: Number of files per class.
    """

    path: Path
    files: Mapping[str, int]

    @classmethod
    def look_at(cls, given: str) -> SourceFolder:
        """Counts the files of each class.

        Raises:
            ConfigError: There is no such folder, it holds fewer than two classes, or no file.
        """
        path = (PROJECT / Path(given).expanduser()).absolute()
        if not path.is_dir():
            problem = "is a file" if path.exists() else "there is no such folder"
            raise ConfigError("SOURCE", given, f"{problem}: give one with a sub-folder per class")
        classes = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
        files = {p.name: sum(1 for f in p.rglob("*") if f.is_file()) for p in classes}
        if len(files) < 2:
            found = ", ".join(files) or "none"
            remedy = f"needs at least two sub-folders, one per class; found: {found}"
            raise ConfigError("SOURCE", given, remedy)
        if not any(files.values()):
            remedy = f"no file is in its {len(files)} sub-folders: put each class's images there"
            raise ConfigError("SOURCE", given, remedy)
        return cls(path, files)


def existing_or_new(folder: Path, name: str, source: SourceFolder | None) -> PipelineConfig:
    """The pipeline of that name; its file is written if there is none.

    Args:
        folder: Folder of the pipelines' files.
        name: The pipeline's name.
        source: Its images; may be None only where the file exists.

    Raises:
        ConfigError: The name, the file or a clash with another pipeline; nothing is written then.
    """
    if not IDENTIFIER.fullmatch(name):
        remedy = "use lower-case letters, digits and _, starting with a letter"
        raise ConfigError("PIPELINE", name, remedy)
    file = folder / f"{name}.yaml"
    if file.exists():
        config = read_pipeline(file)
        _check_against_others(folder, config)
        return config
    if source is None:
        raise ConfigError("SOURCE", None, f"there is no {file.name} yet: name the image folder")
    values = _values(name, source)
    config = PipelineConfig.from_mapping(values)
    _check_against_others(folder, config)
    write_atomically(file, _text(values, source))
    return config


def _check_against_others(folder: Path, config: PipelineConfig) -> None:
    for file in sorted(folder.glob("*.yaml")):
        if file.stem == config.name:
            continue
        try:
            other = read_pipeline(file)
        except ConfigError:
            # Airflow's first page says what is wrong with it; this pipeline runs without it.
            continue
        check_together([other, config])


def _values(name: str, source: SourceFolder) -> dict[str, Any]:
    smallest, total = min(source.files.values()), sum(source.files.values())
    folds = TuningConfig().folds
    chance = 1 / len(source.files)
    accuracy = round(chance + (1 - chance) / 2, 2)
    inside = source.path.is_relative_to(PROJECT)
    # Splits go by near-duplicate group, so the held-out share is not met to the image.
    held_out, of_class = (int(n * SplitConfig().test_share / 2) for n in (total, smallest))
    gate = GateConfig(thresholds={"accuracy": accuracy})
    return {
        "name": name,
        "description": f"Recognises {len(source.files)} classes of images",
        "function": f"recognize_{name}",
        "view": f"{name}_imgs",
        "source": {"path": str(source.path.relative_to(PROJECT) if inside else source.path)},
        "validation": {
            "min_images_per_class": max(
                folds, min(ValidationConfig().min_images_per_class, smallest // 2)
            )
        },
        "gate": {
            "thresholds": {"accuracy": accuracy, "macro_f1": round(accuracy * 0.9, 2)},
            "min_test_images": max(1, min(gate.min_test_images, held_out)),
            "min_class_images": max(1, min(gate.min_class_images, of_class)),
        },
    }


def _text(values: Mapping[str, Any], source: SourceFolder) -> str:
    total, classes = sum(source.files.values()), len(source.files)
    comment = (
        "# One pipeline. Every field, its meaning and its default: docs/configuration.md\n"
        f"# The thresholds were derived from {total} files in {classes} classes: half way between\n"
        "# guessing and perfection. Raise them once you know what your images allow.\n"
    )
    return comment + yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
