"""The page of a validation: what it says of data that are known."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom import pages
from darkroom.images import ImageRejectedError
from darkroom.validation.facts import Fact
from darkroom.validation.leaks import Leak, Leaks
from darkroom.validation.page import PageData, page_file, render, write_page
from darkroom.validation.pictures import Picture, Rejected, samples_per_class
from darkroom.validation.suites import Severity
from darkroom.validation.validator import Checked, Outcome
from tests.unit.spark_env.validation_facts import GOOD

HOSTILE = '"><img src=http://evil.example/x onerror=alert(1)>'


def checked(name: str, met: bool, severity: Severity, notes: str = "") -> Checked:
    return Checked(
        expectation=name,
        wanted=f"{name} wanted",
        observed=f"{name} observed",
        met=met,
        severity=severity,
        notes=notes,
    )


DATA = PageData(
    pipeline="signs",
    run_id=HOSTILE,
    outcome=Outcome(
        checked=(
            checked("good", True, Severity.ERROR, notes=HOSTILE),
            checked("weak", False, Severity.WARN),
            checked("bad", False, Severity.ERROR),
        ),
        pages={"facts": Path("/docs/validations/facts/r/facts.html")},
    ),
    suite=HOSTILE,
    facts=GOOD,
    ingest={"found": 60, "images_snapshot": 11, "splits_snapshot": 22},
    pictures=[],
    leaks=[],
    refused=GOOD.of(Fact.REJECTED),
    rejected=[],
)
FILE = page_file(Path("/docs"), "r")


def test_the_worst_comes_first_and_hostile_texts_are_no_markup() -> None:
    page = render(DATA, FILE)
    assert '<div class="word">FAIL with 1 warning</div>' in page
    table = page[page.index("<h2>Expectations") :]
    places = [table.index(f"{name} wanted") for name in ("bad", "weak", "good")]
    assert places == sorted(places)
    assert '<a href="../../validations/facts/r/facts.html">facts</a>' in page
    assert "<img" not in page
    assert page.count("&#34;&gt;&lt;img src=http://evil.example/x") == 3


def test_without_a_failure_the_verdict_is_a_pass() -> None:
    good = DATA.outcome.checked[0]
    page = render(replace(DATA, outcome=Outcome(checked=(good,), pages={})), FILE)
    assert '<div class="word">PASS</div>' in page
    assert "<p>All 1 expectations are met.</p>" in page


def test_pairs_are_shown_until_there_are_too_many() -> None:
    leaks = tuple(Leak(n, f"id{n:02}", f"other{n:02}", "train", "test") for n in range(20))
    known = Picture(image_id="id00", label="a", path="a/one.png", thumbnail=b"jpeg")
    facts = GOOD.but(Leaks(60, leaks).facts({"id00": "a/one.png"}))
    assert next(iter(facts.of(Fact.LEAK))) == "a/one.png (train) and other00 (test)"
    page = render(replace(DATA, leaks=leaks, pictures=[known], facts=facts), FILE)
    shown = page[page.index("Near-duplicates") : page.index("<h2>Classes")]
    assert shown.count('class="pair"') == 12
    assert re.findall(r'<img src="data:image/jpeg;base64,anBlZw==" alt="(\w+)"', shown) == ["id00"]
    assert shown.count("no picture") == 23
    assert "The first 20 of 60 pairs" in shown


def test_many_classes_have_a_picture_each_until_the_page_is_full() -> None:
    assert [samples_per_class(n) for n in (0, 1, 30, 31, 120, 1_000)] == [8, 8, 8, 7, 2, 1]
    classes = {f"c{n:03}": 1 for n in range(300)}
    pictures = [
        Picture(image_id=name, label=name, path=f"{name}.png", thumbnail=b"jpeg")
        for name in list(classes)[:240]
    ]
    page = render(replace(DATA, facts=GOOD.but({Fact.LABEL: classes}), pictures=pictures), FILE)
    assert page.count("<img") == 240
    assert "The first 240 of 300 classes." in page


def test_shares_are_compared_bin_by_bin() -> None:
    before = {
        Fact.LABEL_BEFORE: {"b": 1, "c": 3},
        Fact.BRIGHTNESS_BEFORE: {"16": 4},
        Fact.SIZE_BEFORE: {f"{n}": 1 for n in range(3, 60)},
    }
    page = render(replace(DATA, facts=GOOD.but(before)), FILE)
    compared = page[page.index("Compared with") : page.index("<h2>Classes")]
    rows = re.findall(
        r'<td class="name">(.*?)</td>.*?<td class="number">([\d.]+) %</td>'
        r'<td class="number soft">([\d.]+) %',
        compared,
        re.DOTALL,
    )
    assert rows[:6] == [
        ("a", "75.0", "0.0"),
        ("b", "25.0", "25.0"),
        ("c", "0.0", "75.0"),
        ("0 to 15", "50.0", "0.0"),
        ("16 to 31", "0.0", "100.0"),
        ("240 to 255", "50.0", "0.0"),
    ]
    assert rows[6] == ("262,144 to 524,287 pixels", "97.5", "1.8")
    assert "The 40 of 57 that differ most." in compared


def test_rejected_files_of_other_sources_are_told_apart() -> None:
    """The expectations count those of the run's own sources; the table has all."""
    file = Rejected(reason="EMPTY", path=HOSTILE, detail="why", label=None, thumbnail=None)
    assert "sources that this run did not have" not in render(DATA, FILE)
    page = render(replace(DATA, refused={"EMPTY": 9, "DUPLICATE": 8}, rejected=[file]), FILE)
    section = page[page.index("<h2>Rejected files") :]
    assert "17, with those of sources that this run did not have." in section
    assert "EMPTY: 9" in section
    assert "DUPLICATE: 8" in section
    assert section.count("&#34;&gt;&lt;img src=http://evil.example/x") == 1


def test_every_run_is_listed_newest_first(tmp_path: Path) -> None:
    good = replace(DATA, outcome=Outcome(checked=DATA.outcome.checked, pages={}))
    for age, run in ((50, "first"), (10, "second & last")):
        write_page(good, page_file(tmp_path, run))
        os.utime(page_file(tmp_path, run), (1_700_000_000 - age,) * 2)
    write_page(good, page_file(tmp_path, "now"))
    listed = (tmp_path / "index.html").read_text()
    assert re.findall(r'<a href="(.*?)">(.*?)</a>', listed) == [
        ("runs/now/index.html", "now"),
        ("runs/second%20%26%20last/index.html", "second &amp; last"),
        ("runs/first/index.html", "first"),
    ]


def encoded(width: int, height: int, image_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    pixels = np.full((height, width, 3), (200, 30, 90), np.uint8)
    Image.fromarray(pixels).save(stream, image_format)
    return stream.getvalue()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("size", "small"),
    [((2_000, 1_000), (96, 48)), ((3, 900), (1, 96)), ((20, 10), (20, 10))],
)
def test_a_thumbnail_keeps_its_shape_and_is_never_enlarged(
    size: tuple[int, int], small: tuple[int, int], known: bool
) -> None:
    data = pages.thumbnail(encoded(*size, "JPEG"), 96, size if known else None)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("JPEG", small)
    middle = np.asarray(image)[small[1] // 2, small[0] // 2].astype(int)
    assert abs(middle - (200, 30, 90)).max() < 12


def test_what_cannot_be_decoded_has_no_thumbnail() -> None:
    with pytest.raises(ImageRejectedError):
        pages.thumbnail(encoded(40, 40)[:60], 96)
