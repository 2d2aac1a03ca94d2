"""A stage over a column that counts the rows it is run on."""

from __future__ import annotations

from typing import Any

from pyspark.accumulators import Accumulator
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from darkroom.ml.engines import PreparedModel
from darkroom.ml.pictures.stage import ImageTransformer, Output

RUNS: dict[str, Accumulator[int]] = {}
"""By output column the rows that stages were run on; a test puts its accumulators here."""


class Scaler(ImageTransformer):
    """From a number x and a Param ``scale`` to the vector (x * scale, x)."""

    scale: Param[float] = Param(Params._dummy(), "scale", "factor", TypeConverters.toFloat)

    def __init__(self, read: str = "x", write: str = "features") -> None:
        super().__init__()
        self._setDefault(scale=1.0)
        self._set(inputCol=read, outputCol=write)

    def _prepare(self) -> tuple[PreparedModel, Output]:
        raise NotImplementedError

    def _transform(self, dataset: DataFrame) -> DataFrame:
        scale, runs = self.getOrDefault(self.scale), RUNS[self.getOutputCol()]

        def run(x: Any) -> Any:
            runs.add(1)
            number = x if isinstance(x, float) else float(x[0])
            return Vectors.dense(number * scale, number)

        made = F.udf(run, VectorUDT(), useArrow=False).asNondeterministic()
        return dataset.withColumn(self.getOutputCol(), made(self.getInputCol()))
