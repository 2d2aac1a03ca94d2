"""The report of a monitoring run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.contract import MonitoringConfig
from darkroom.monitoring.history import WindowResult, alarm
from darkroom.monitoring.page import PageData, Shown, render, write_page
from darkroom.validation.pictures import Picture
from tests.unit.spark_env.monitored_windows import judged

HOSTILE = "<script>alert(1)</script>"


def shown(label: str | None, thumbnail: bytes | None = b"jpeg") -> Shown:
    picture = Picture(image_id="i", label=label, path=f"a/{HOSTILE}.png", thumbnail=thumbnail)
    return Shown(picture, HOSTILE if label else None)


def data(*results: WindowResult) -> PageData:
    return PageData(
        pipeline="signs",
        run_id="manual__1",
        model="signs version 3",
        settings=MonitoringConfig(),
        confidence=0.95,
        alarm=alarm(results, 2, 3),
        results=results,
        reference_images=90,
        reference=[shown(None, None)],
        recent=[shown("stop")],
        unusual=True,
    )


@pytest.mark.parametrize(
    ("results", "word"),
    [
        ([judged(0, "brightness"), judged(1, "brightness")], 'FAIL">\n<div class="word">Drift per'),
        ([judged(0, "brightness")], 'INCONCLUSIVE">\n<div class="word">Drift, not persistent yet'),
        ([judged(0)], 'PASS">\n<div class="word">No drift'),
        ([judged(0, few=True)], 'INCONCLUSIVE">\n<div class="word">Too few images'),
    ],
)
def test_the_verdict_comes_first(results: list[WindowResult], word: str) -> None:
    assert f'<section class="verdict {word}' in render(data(*results))


def test_each_signal_has_its_numbers_and_its_windows() -> None:
    page = render(data(judged(0), judged(1, "brightness", few=True), judged(2, "brightness")))

    table = page[page.index("<h2>Signals") : page.index("<h2>Windows")]
    assert re.findall(r'<td class="name">([a-z ]+)', table) == [
        "brightness",
        "size",
        "live accuracy",
    ]
    assert '<td class="number">0.3000</td>\n<td class="number wide">0.0500</td>' in table
    assert '<td class="number wide">1e-09</td><td class="number wide">1e-08</td>' in table
    assert "0 now and 90 before, it takes 50" in table
    # Three windows; of the first two one did not have it, and one was not judged.
    bars = re.search(r"brightness.*?</svg>", table, re.DOTALL)
    assert bars is not None
    assert bars[0].count("<rect") == 3
    assert bars[0].count('class="drifted"') == 1
    assert "90.0 %<small>80.0 to 95.0 % (95.0 % interval) on 60 labelled images; was 97.0 %" in page


def test_names_are_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    hostile = replace(judged(0, "brightness"), reason=HOSTILE)

    file = write_page(data(hostile), tmp_path / "run")

    page = file.read_text()
    assert file == tmp_path / "run" / "index.html"
    assert "<script" not in page
    assert "a/<wbr>&lt;script&gt;alert(1)&lt;/<wbr>script&gt;.png</span>" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
