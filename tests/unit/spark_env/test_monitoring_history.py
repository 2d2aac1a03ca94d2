"""Windows, their results, and the rule of persistence."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.contract.monitoring import Span
from darkroom.monitoring.history import Alarm, History, WindowResult, alarm, to_judge
from darkroom.monitoring.windows import Window, bounds, last_ones, number_at
from tests.unit.spark_env.monitored_windows import FIRST, WEEKS, judged, window

STABLE, FEW, DRIFT = "stable", "few", "brightness"


def results(*weeks: str) -> list[WindowResult]:
    return [
        judged(number, *([] if week in (STABLE, FEW) else [week]), few=week == FEW)
        for number, week in enumerate(weeks)
    ]


@pytest.mark.parametrize(
    ("weeks", "raised"),
    [
        ((DRIFT,), False),
        ((DRIFT, DRIFT), True),
        ((DRIFT, STABLE, DRIFT), True),
        ((DRIFT, STABLE, STABLE, DRIFT), False),
        ((DRIFT, DRIFT, STABLE), False),
        ((DRIFT, DRIFT, FEW), False),
        ((DRIFT, FEW, FEW, DRIFT), True),
        ((STABLE, "features", DRIFT), True),
    ],
)
def test_drift_has_to_persist_and_to_be_in_the_latest_window(
    weeks: tuple[str, ...], raised: bool
) -> None:
    assert alarm(results(*weeks), 2, 3).raised is raised


def test_the_reason_says_what_drifted_when() -> None:
    said = [
        alarm(results(*weeks), 2, 3)
        for weeks in ((DRIFT, "features"), (DRIFT,), (DRIFT, STABLE), (DRIFT, FEW))
    ]

    assert said == [
        Alarm(
            True,
            "features, brightness drifted in 2 of the last 2 windows, the latest one "
            "(2026-11-23 to 2026-11-30) included",
        ),
        Alarm(
            False,
            "brightness drifted in the latest window (2026-11-16 to 2026-11-23); an alarm takes 2 "
            "of 3",
        ),
        Alarm(False, "the latest window (2026-11-23 to 2026-11-30): nothing drifted"),
        Alarm(False, "the latest window (2026-11-23 to 2026-11-30): 9 images, it takes 50"),
    ]


def test_a_window_judged_again_replaces_its_result_and_counts_once(tmp_path: Path) -> None:
    history = History.of(tmp_path, "3", "d" * 64, WEEKS)
    for one in results(STABLE, DRIFT, DRIFT):
        history.put(one)

    history.put(judged(1))

    assert history.results() == [judged(0), judged(1), judged(2, DRIFT)]
    assert history.folder == tmp_path / f"3-{'d' * 12}-7_days"
    assert alarm(history.results(), 2, 3).raised is False
    # Another model, another kind of windows: another history.
    assert History.of(tmp_path, "3", "e" * 64, WEEKS).results() == []
    assert History.of(tmp_path, "3", "d" * 64, Span(images=500)).results() == []


def test_only_what_is_new_is_judged_and_the_latest_with_it() -> None:
    known = results(STABLE, STABLE)
    first, second, third = window(0), window(1), window(2)
    labelled = window(0, labelled=5)

    def judge(windows: list[Window], basis: str = "b1", force: bool = False) -> list[Window]:
        return to_judge(windows, known, basis=basis, force=force)

    assert judge([first, second]) == []
    assert judge([first, second], force=True) == [second]
    assert judge([first, second, third]) == [third]
    assert judge([labelled, second]) == [labelled, second]
    assert judge([first, second], basis="b2") == [first, second]
    assert judge([], force=True) == []


def test_weeks_begin_on_mondays_and_follow_each_other() -> None:
    noon = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)

    assert number_at(noon, WEEKS) == FIRST
    assert number_at(noon, Span(images=9)) is None
    assert bounds(FIRST, WEEKS) == (
        dt.datetime(2026, 11, 16, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
    )
    assert bounds(FIRST, WEEKS)[1] == bounds(FIRST + 1, WEEKS)[0]  # type: ignore[index]


def test_a_window_of_images_says_when_they_were_scored() -> None:
    noon = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)

    once = replace(window(0), start=noon, end=noon + dt.timedelta(seconds=9))
    later = replace(once, end=noon + dt.timedelta(hours=1))

    assert once.shown == "2026-11-18 12:00"
    assert later.shown == "2026-11-18 12:00 to 2026-11-18 13:00"
    assert window(0).shown == "2026-11-16 to 2026-11-23"


def test_the_last_windows_are_judged_and_a_running_one_on_request() -> None:
    weeks = [window(0), window(1), window(2, finished=False)]

    assert last_ones(weeks, 1, unfinished=False) == [weeks[1]]
    assert last_ones(weeks, 2, unfinished=True) == weeks[1:]
    assert last_ones([], 3, unfinished=True) == []
