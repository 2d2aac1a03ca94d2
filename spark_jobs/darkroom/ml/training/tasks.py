"""The Spark tasks of trainings: one network each, and nothing of it but words to the driver."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from darkroom.contract.workspace import write_atomically
from darkroom.ml.attempts import run_all
from darkroom.ml.engines import Engine, prepare
from darkroom.ml.training.folder import engines_beside
from darkroom.ml.training.rows import TrainingRows
from darkroom.ml.training.trial import Fitted, Trial, said, train

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import TaskContext
    from pyspark.sql import SparkSession

_ANSWER: Final = "trial long, value string, error string"


Report = Callable[[Fitted | str], None]
"""Is told how a training went, or why it failed."""


class Answer(NamedTuple):
    """What a task says: a JSON value, or why there is none."""

    value: str | None
    error: str | None


@dataclass(frozen=True)
class Work:
    """One training, as a task gets it. Driver and workers see all its files.

    Attributes:
        trial: What to train.
        rows: What to train on.
        network: File for the trained network, or None.
        engine: What the network is prepared for besides, or None.
        answer: File for what the task says, so that it is not lost with the job.
        checkpoint: File to go on from if it exists.
        keep_checkpoint: Whether it stays when the training is over.
        report: Is told the outcome, in the task, or None.
    """

    trial: Trial
    rows: TrainingRows
    network: Path | None
    engine: Engine | None
    answer: Path
    checkpoint: Path
    keep_checkpoint: bool
    report: Report | None


def train_in_tasks(spark: SparkSession, works: Sequence[Work]) -> list[Fitted | str]:
    """Trains each network in a task of its own.

    Args:
        spark: The session.
        works: All answers' files are different, and do not exist.

    Returns:
        For each how it went, or the reason of its failure, one line. A training whose worker is
        killed goes on from its checkpoint.
    """

    def run_job(numbers: Sequence[int]) -> dict[int, Answer]:
        def answer(place: int) -> Answer:
            work = works[numbers[place]]
            found = _train(work)
            if work.report is not None:
                work.report(_outcome(found))
            # Not lost with the job if a neighbour's worker is killed.
            write_atomically(work.answer, json.dumps(found))
            return found

        return dict(zip(numbers, run_tasks(spark, len(numbers), answer), strict=True))

    def stored(numbers: Sequence[int]) -> dict[int, Answer]:
        files = {n: works[n].answer for n in numbers}
        return {n: Answer(*json.loads(f.read_text())) for n, f in files.items() if f.exists()}

    answers, lost = run_all(range(len(works)), run_job, stored)
    return [_outcome(answers[n]) if n in answers else lost[n] for n in range(len(works))]


def run_tasks(
    spark: SparkSession, count: int, answer: Callable[[int], Answer], tasks: int | None = None
) -> list[Answer]:
    """Asks a function for as many answers, each in a task of its own.

    Args:
        spark: The session.
        count: Number of answers; the function gets the numbers 0 to count - 1.
        answer: Runs in a Python worker.
        tasks: How many tasks share them, if not each is one.

    Returns:
        The answers in order.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for n in batch.column(0).to_pylist():
                yield _row(n, answer(n))

    numbers = spark.range(0, count, 1, tasks or count)
    rows = sorted(numbers.mapInArrow(run, _ANSWER).collect(), key=lambda row: row["trial"])
    return [Answer(row["value"], row["error"]) for row in rows]


def this_task() -> TaskContext:
    """The Spark task that this process runs."""
    from pyspark import TaskContext

    task = TaskContext.get()
    assert task is not None
    return task


def _train(work: Work) -> Answer:
    task, target = this_task(), work.network
    # Spark may run a task twice: each attempt writes a file of its own.
    scratch = target and target.with_stem(f".{target.stem}-{task.taskAttemptId()}")
    try:
        fitted = train(work.trial, work.rows, scratch, task.cpus(), work.checkpoint)
        if scratch is not None and target is not None:
            if work.engine is not None:
                # Where TensorFlow runs already: the driver then finds all it needs without it.
                prepare(scratch, engines_beside(target), work.engine)
            os.replace(scratch, target)
    except Exception as error:
        if scratch is not None:
            scratch.unlink(missing_ok=True)
        return Answer(None, said(error))
    if not work.keep_checkpoint:
        work.checkpoint.unlink(missing_ok=True)
    return Answer(json.dumps(asdict(fitted)), None)


def _outcome(answer: Answer) -> Fitted | str:
    if answer.value is None:
        return str(answer.error)
    fitted: Mapping[str, Any] = json.loads(answer.value)
    return Fitted(**fitted)


def _row(n: int, answer: Answer) -> pa.RecordBatch:
    import pyarrow as pa

    value, error = (pa.array([item], pa.string()) for item in answer)
    return pa.RecordBatch.from_arrays(
        [pa.array([n], pa.int64()), value, error], names=["trial", "value", "error"]
    )
