"""The group ``monitoring`` of a pipeline: what is accepted, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.contract import ConfigError, PipelineConfig
from darkroom.contract.monitoring import Span


def monitoring(**fields: Any) -> Any:
    values = {
        "name": "signs",
        "function": "see",
        "view": "photos",
        "source": {"path": "photos"},
        "gate": {"thresholds": {"accuracy": 0.9}},
        "monitoring": fields,
    }
    return PipelineConfig.from_mapping(values).monitoring


@pytest.mark.parametrize(
    ("text", "span", "shown"),
    [
        ("7 days", Span(days=7), "7 days"),
        ("1 day", Span(days=1), "1 day"),
        (" 500  images ", Span(images=500), "500 images"),
    ],
)
def test_a_window_is_so_many_days_or_images(text: str, span: Span, shown: str) -> None:
    found = monitoring(window=text).span

    assert found == span
    assert str(found) == shown


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"window": "a week"},
            "monitoring.window = 'a week': give a number of days or of images, such as 7 days or "
            "500 images",
        ),
        (
            {"window": "0 days"},
            "monitoring.window = '0 days': give a number of days or of images, such as 7 days or "
            "500 images",
        ),
        (
            {"window": "40 images"},
            "monitoring.window = '40 images': must be at least monitoring.min_images = 50",
        ),
        ({"min_images": 9}, "monitoring.min_images = 9: must be at least 10"),
        ({"of_windows": 0}, "monitoring.of_windows = 0: must be at least 1"),
        (
            {"alarm_after": 4},
            "monitoring.alarm_after = 4: must lie between 1 and monitoring.of_windows = 3",
        ),
        (
            {"alarm_after": 0},
            "monitoring.alarm_after = 0: must lie between 1 and monitoring.of_windows = 3",
        ),
        ({"tolerated": 1.0}, "monitoring.tolerated = 1.0: must be at least 0 and less than 1"),
        (
            {"tolerated": float("nan")},
            "monitoring.tolerated = nan: must be at least 0 and less than 1",
        ),
        (
            {"false_alarms": 0.0001},
            "monitoring.false_alarms = 0.0001: must be at least 0.001 and less than 1",
        ),
        ({"labels": " "}, "monitoring.labels = ' ': give a CSV or Parquet file, or leave it out"),
        (
            {"windw": "7 days"},
            "monitoring.windw = '7 days': there is no such field, did you mean window or "
            "of_windows?",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        monitoring(**fields)

    assert str(caught.value) == text
