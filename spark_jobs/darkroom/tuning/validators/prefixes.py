"""What trials of a grid have in common: transformers before the first difference run once.

The transformers of a pipeline learn nothing from a fold, so their output is the same in all of
them. Trials form a tree: they stay together as long as they set the same Params on one stage after
the other. A frame is kept where they part, and where the first stage that has to be fitted begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from pyspark import StorageLevel
from pyspark.ml import Estimator, Model, Pipeline, PipelineModel, Transformer
from pyspark.ml.param import Param, Params
from pyspark.ml.util import MetaAlgorithmReadWrite
from pyspark.ml.wrapper import JavaParams
from pyspark.sql.types import BinaryType, StructType

from darkroom.ml.pictures.stage import ImageTransformer
from darkroom.tuning.spark_fits import partitions_for
from darkroom.tuning.validators.feature_files import transformed

if TYPE_CHECKING:
    from pyspark.ml.evaluation import Evaluator
    from pyspark.sql import DataFrame

FEWEST_PARTITIONS: Final = 2

ParamMap = Mapping["Param[Any]", Any]


@dataclass(frozen=True)
class Branch:
    """Trials that differ in fitted stages only.

    Attributes:
        places: Their places in the grid.
        maps: Their param maps, in the same order.
        frame: The dataset with the outputs of all transformers that could run ahead; kept.
        estimator: What remains to be fitted on it.
        shared: The transformers that have run, by their place in the pipeline.
        stages: Number of stages of the whole pipeline; 0 if the estimator is none.
    """

    places: Sequence[int]
    maps: Sequence[ParamMap]
    frame: DataFrame
    estimator: Estimator[Any]
    shared: Mapping[int, Transformer] = field(default_factory=dict)
    stages: int = 0

    def whole(self, fitted: Any) -> Model:
        """The model that fitting the whole estimator would have given."""
        if not self.stages:
            return cast(Model, fitted)
        rest = iter(fitted.stages if isinstance(self.estimator, Pipeline) else [fitted])
        stages = [self.shared[n] if n in self.shared else next(rest) for n in range(self.stages)]
        return PipelineModel(stages)


def branches(
    estimator: Estimator[Any],
    maps: Sequence[ParamMap],
    frame: DataFrame,
    evaluator: Evaluator,
    kept: ExitStack,
    features: str | None = None,
) -> list[Branch]:
    """Runs what trials share.

    Args:
        estimator: A pipeline, or any other estimator, of which nothing can run ahead.
        maps: The grid.
        frame: What every stage reads.
        evaluator: Reads the predictions.
        kept: Lets go of the frames when it is closed.
        features: Folder of vectors that outlive the search, or None.

    Returns:
        Every place of the grid in exactly one branch. A column of pictures that no later stage and
        no evaluator names is not kept.
    """
    everything = range(len(maps))
    if not isinstance(estimator, Pipeline):
        return [Branch(everything, maps, _keep(frame, kept), estimator)]
    tree = _Tree(estimator.getStages(), maps, evaluator, kept, features)
    return tree.grow(everything, frame, {})


def _keep(frame: DataFrame, kept: ExitStack) -> DataFrame:
    """Persists a frame as pyspark.ml's validators do, unless it is already."""
    if frame.storageLevel != StorageLevel.NONE:
        return frame
    persisted = frame.persist(StorageLevel.MEMORY_AND_DISK_DESER)
    kept.callback(persisted.unpersist)
    return persisted


def _packed(frame: DataFrame, kept: ExitStack) -> DataFrame:
    """Puts small partitions together, which a network over pictures likes and a head does not.

    A head is fitted in hundreds of jobs, and a job takes the longer the more tasks it has. Two are
    left as they are: what pyspark.ml sums in two partitions is the same bits every time, and in
    more it is not.
    """
    attributes = (field.metadata.get("ml_attr", {}) for field in frame.schema.fields)
    width = sum(attribute.get("num_attrs", 0) for attribute in attributes)
    if not width:
        return frame
    wanted = max(FEWEST_PARTITIONS, partitions_for(frame.count(), width))
    if frame.rdd.getNumPartitions() <= wanted:
        return frame
    return _keep(frame.coalesce(wanted), kept)


@dataclass(frozen=True)
class _Tree:
    stages: Sequence[Any]
    maps: Sequence[ParamMap]
    evaluator: Evaluator
    kept: ExitStack
    features: str | None

    def grow(
        self, places: Sequence[int], frame: DataFrame, shared: Mapping[int, Transformer]
    ) -> list[Branch]:
        """Runs the next transformer that can run ahead, once per value that the trials give it."""
        ready = next((n for n in range(len(self.stages)) if self._ready(n, frame, shared)), None)
        if ready is None:
            return [self._branch(places, frame, shared)]
        groups = self._grouped(self.stages[ready], places)
        if len(groups) > 1 and shared:
            frame = _keep(frame, self.kept)
        found = []
        for changes, members in groups:
            stage = self.stages[ready].copy(dict(changes))
            made = transformed(stage, frame, self.features)
            found += self.grow(members, made, {**shared, ready: stage})
        return found

    def _ready(self, n: int, frame: DataFrame, shared: Mapping[int, Transformer]) -> bool:
        stage = self.stages[n]
        if n in shared or not isinstance(stage, Transformer):
            return False
        waiting = [self.stages[m] for m in range(n) if m not in shared]
        if not waiting:
            return True
        # Past a stage that has to be fitted, such as a StringIndexer, goes only what is known to
        # read one column alone, and one that is there already; a trial may name another column.
        return (
            isinstance(stage, ImageTransformer)
            and all(map(_reads_named_columns, waiting))
            and stage.isSet(stage.inputCol)
            and not any(stage.inputCol in one for one in self.maps)
            and stage.getInputCol() in frame.columns
        )

    def _grouped(
        self, stage: Params, places: Sequence[int]
    ) -> list[tuple[dict[Param[Any], Any], list[int]]]:
        """Trials by what they set on one stage, in the order of the grid."""
        own = MetaAlgorithmReadWrite.getUidMap(stage)
        groups: list[tuple[dict[Param[Any], Any], list[int]]] = []
        for place in places:
            changes = {p: value for p, value in self.maps[place].items() if p.parent in own}
            for known, members in groups:
                if known == changes:
                    members.append(place)
                    break
            else:
                groups.append((changes, [place]))
        return groups

    def _branch(
        self, places: Sequence[int], frame: DataFrame, shared: Mapping[int, Transformer]
    ) -> Branch:
        rest = [stage for n, stage in enumerate(self.stages) if n not in shared]
        maps = [self.maps[place] for place in places]
        lean = frame.drop(*self._pictures_read_out(frame, rest, maps, shared.values()))
        return Branch(
            places=places,
            maps=maps,
            frame=_packed(_keep(lean, self.kept), self.kept) if shared else _keep(lean, self.kept),
            # Alone, a stage may fit all param maps at a time.
            estimator=rest[0] if len(rest) == 1 else Pipeline(stages=rest),
            shared=shared,
            stages=len(self.stages),
        )

    def _pictures_read_out(
        self,
        frame: DataFrame,
        rest: Sequence[Any],
        maps: Sequence[ParamMap],
        shared: Any,
    ) -> list[str]:
        """Columns of pictures that nothing reads any more: they would be most of what is kept."""
        readers = [*rest, self.evaluator]
        if not all(isinstance(reader, JavaParams) for reader in readers):
            return []  # A stage written in Python may read what it does not name.
        values = [value for reader in readers for value in reader.extractParamMap().values()]
        named = " ".join(map(str, [*values, *(value for one in maps for value in one.values())]))
        return [
            stage.getInputCol()
            for stage in shared
            if isinstance(stage, ImageTransformer)
            and stage.getInputCol() not in named
            and isinstance(frame.schema[stage.getInputCol()].dataType, BinaryType | StructType)
        ]


def _reads_named_columns(stage: Params) -> bool:
    """Whether a stage reads only columns that it names one by one."""
    return isinstance(stage, JavaParams) and any(
        stage.hasParam(name) for name in ("inputCol", "inputCols")
    )
