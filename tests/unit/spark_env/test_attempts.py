"""Which jobs are tried when workers are lost, without Spark; with it: test_tuning_search.py."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pyspark.errors import PySparkException

from darkroom.ml.attempts import run_all


class Jobs:
    """Items below 0 kill their worker so many times; of a killed job the first item is stored."""

    def __init__(self, kills: int, message: str = "SparkException: lost:") -> None:
        self.tried: list[list[int]] = []
        self._kills = kills
        self._message = message

    def run(self, items: Sequence[int]) -> dict[int, str]:
        self.tried.append(list(items))
        if self._kills and min(items) < 0:
            self._kills -= 1
            raise PySparkException(self._message)
        return {item: f"done {item}" for item in items}

    def stored(self, items: Sequence[int]) -> dict[int, str]:
        return {item: f"stored {item}" for item in items[:1] if item > 0}


def test_a_job_is_enough_where_no_worker_is_lost() -> None:
    jobs = Jobs(kills=9)
    assert run_all([1, 2], jobs.run, jobs.stored) == ({1: "done 1", 2: "done 2"}, {})
    assert jobs.tried == [[1, 2]]


def test_what_was_stored_is_not_tried_again() -> None:
    jobs = Jobs(kills=1)
    found, lost = run_all([1, -2, 3], jobs.run, jobs.stored)
    assert found == {1: "stored 1", -2: "done -2", 3: "done 3"}
    assert lost == {}
    assert jobs.tried == [[1, -2, 3], [-2, 3]]


def test_what_kills_its_worker_alone_is_lost_and_spares_the_others() -> None:
    jobs = Jobs(kills=9)
    found, lost = run_all([-2, 3, 4], jobs.run, jobs.stored)
    assert found == {3: "done 3", 4: "done 4"}
    assert lost == {-2: "its worker was lost: lost"}
    assert jobs.tried == [[-2, 3, 4], [-2, 3, 4], [-2], [3], [4]]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "Job aborted: Lost task (TID 26): SparkException: Worker exited (crashed):\nEOF",
            "Worker exited (crashed)",
        ),
        (
            "PythonException: Traceback (most recent call last):\n  File x\nKeyError: 'y'\n\tat z",
            "KeyError: 'y'",
        ),
    ],
)
def test_the_reason_is_one_line(message: str, reason: str) -> None:
    jobs = Jobs(kills=3, message=message)
    assert run_all([-1], jobs.run, jobs.stored)[1] == {-1: f"its worker was lost: {reason}"}
