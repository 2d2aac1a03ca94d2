"""Saving and loading of validators as pyspark.ml's are: metadata, estimator and evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.ml.tuning import CrossValidator, _ValidatorSharedReadWrite
from pyspark.ml.util import DefaultParamsReader, MLReader, MLWriter

_WRITTEN_BY_PYTHON = {"class": f"{CrossValidator.__module__}.{CrossValidator.__name__}"}
"""What pyspark.ml tells its two forms of metadata by; it takes other packages for Java's."""


class ValidatorWriter(MLWriter):
    """Saves a validator with its estimator, param maps and evaluator."""

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Writes the folder.

        Raises:
            ValueError: A stage cannot be saved.
        """
        _ValidatorSharedReadWrite.validateParams(self.instance)
        _ValidatorSharedReadWrite.saveImpl(path, self.instance, self.sparkSession)


class ValidatorReader(MLReader[Any]):
    """Loads what `ValidatorWriter` saved."""

    def __init__(self, cls: Callable[..., Any]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """Makes the validator."""
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        _, estimator, evaluator, maps = _ValidatorSharedReadWrite.load(
            path, self.sparkSession, metadata | _WRITTEN_BY_PYTHON
        )
        made = self.cls(estimator=estimator, estimatorParamMaps=maps, evaluator=evaluator)
        made._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(made, metadata, skipParams=["estimatorParamMaps"])
        return made
