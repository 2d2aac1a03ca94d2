"""The report: self-contained, escaped, and with everything in it."""

from __future__ import annotations

import functools
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.contract import GateConfig, Stage, StageResult, StageStatus, Verdict
from darkroom.evaluation.comparing import Tolerance, compare
from darkroom.evaluation.gate import Rival, decide
from darkroom.evaluation.metrics import measure
from darkroom.evaluation.pictures import Shown, choose
from darkroom.evaluation.plots import Reliability, plain
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.report import ReportData, plot_files, render, write_report
from darkroom.evaluation.resampling import Bootstrap
from tests.unit.spark_env.judged import ANSWERS, EVIDENCE
from tests.unit.spark_env.simulated import held_out, says

HOSTILE = "<script>alert('x')</script>"
MARKUP = '"><img src=http://evil.example/x onerror=alert(1)>'
ESCAPED = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
GATE = GateConfig(thresholds={"accuracy": 0.85}, min_test_images=4, min_class_images=1)
QUICK = Bootstrap(resamples=100)

TRUTHS = ["yield", "yield", HOSTILE, "$formula"]
FACETS = {"brightness": ("dark", "dark", "bright", MARKUP), "source": ("/photos",) * 4}
CANDIDATE = says(
    held_out(TRUTHS, FACETS), ["yield", HOSTILE, HOSTILE, "yield"], [0.5, 0.9, 0.5, 0.75]
)
DRIFT = [
    {"wanted": f"the {of} as before", "observed": f"{n} bits", "met": met}
    for n, (of, met) in enumerate([("size", True), (HOSTILE, False)])
]
TRIAL = {"backbone": "embedded", "tried": "regParam=0.1 l1=0", "mean": 0.5, "std": 0.1}
BEST = {**TRIAL, "tried": "regParam=0.01 l1=0", "mean": 0.625}


def picture() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((300, 200, 3), 90, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def report(
    said: Predictions = CANDIDATE, champion: Predictions | None = None, **changes: Any
) -> ReportData:
    measured = measure(said, QUICK)
    rival = None
    if champion is not None:
        tolerance = Tolerance(overall=0.0, slices=0.05, least_images=1)
        found = compare(said, champion, metrics=(), tolerance=tolerance, bootstrap=QUICK)
        rival = Rival(version="7", comparisons=found)
    evidence = replace(EVIDENCE, measured=measured, labels=said.labels, rival=rival)
    chosen = choose(said, champion)

    def shown(places: tuple[int, ...]) -> list[Shown]:
        return [
            Shown(
                path=said.images.paths[place],
                truth=said.images.truths[place],
                predicted=said.predicted[place],
                probability=float(said.confidence[place]),
                champion=champion.predicted[place] if champion else None,
                image=picture(),
            )
            for place in places
        ]

    return ReportData(
        pipeline="signs",
        run_id=HOSTILE,
        decision=decide("c0ffee", evidence, GATE),
        confidence=0.95,
        candidate=measured,
        champion=measure(champion, QUICK) if champion else None,
        reliability={"candidate": Reliability.of(said)},
        serving=ANSWERS,
        tuning={
            "metric": "accuracy",
            "mlflow_run_id": "abc",
            **BEST,
            "trials": [TRIAL, BEST],
            "failed_trials": [{**TRIAL, "error": "fold 1: MemoryError"}],
        },
        made={"git_commit": "c0ffee-dirty", "lock_digest": "d1ce"},
        ingest={
            "images_snapshot": 11,
            "splits_snapshot": 22,
            "classes": {"yield": 3, HOSTILE: 1},
            "rejected": 51,
            "rejected_files": [{"path": MARKUP, "reason": "EMPTY", "detail": HOSTILE}],
        },
        stages=[
            StageResult(
                stage=Stage.VALIDATE,
                status=StageStatus.DONE,
                summary=f"all 11 {HOSTILE}",
                outputs={"compared_with": 10, "drift": DRIFT},
                seconds=23.25,
            )
        ],
        validation_page="../../../data_docs/signs/runs/r/index.html",
        mistakes=shown(chosen.mistakes),
        lost=shown(chosen.lost),
        gained=shown(chosen.gained),
        **changes,
    )


@functools.cache
def page_of(champion: bool = False) -> str:
    """The page about `CANDIDATE`, made once."""
    return render(report(champion=report_champion() if champion else None))


class Tags(HTMLParser):
    """Collects the tags of a page, what they load and what they say to a screen reader."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.images_without_text = 0
        self.headings_without_scope = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        given = dict(attrs)
        self.loaded += [given[name] or "" for name in ("src", "srcset") if name in given]
        self.handlers += [name for name in given if name.startswith("on")]
        self.images_without_text += tag == "img" and not given.get("alt")
        self.headings_without_scope += tag == "th" and "scope" not in given


def section(page: str, title: str) -> str:
    """The part of a page below one heading."""
    start = page.index(f"<h2>{title}")
    return page[start : page.index("</section>", start)]


def test_hostile_names_are_shown_but_never_markup() -> None:
    tags = Tags(page_of())
    assert "script" not in tags.names
    assert tags.handlers == []
    page = page_of()
    assert ESCAPED in page
    assert "&#34;&gt;&lt;img src=http://evil.example/x" in page


def test_the_page_needs_nothing_but_itself() -> None:
    page = page_of()
    tags = Tags(page)
    assert tags.loaded
    assert all(target.startswith("data:image/") for target in tags.loaded)
    assert "default-src 'none'" in page
    assert re.findall(r"url\(|@import", page) == []


def test_a_screen_reader_can_tell_every_picture_and_every_column() -> None:
    tags = Tags(page_of(champion=True))
    assert tags.images_without_text == 0
    assert tags.headings_without_scope == 0
    assert tags.names.count("h1") == 1


def test_the_page_has_the_verdict_its_reasons_and_every_part() -> None:
    page = page_of()
    assert report().decision.verdict is Verdict.FAIL
    assert '<div class="word">FAIL</div>' in page
    assert "<li>accuracy 0.5000 is below 0.85</li>" in page
    assert "There is no champion yet" in page
    assert "51 rejected, the first 1 are shown" in page
    trials = section(page, "Trials")
    assert re.findall(r"regParam=([\d.]+) l1=0( \(chosen\))?</th>\n.*?(0\.\d{4})", trials) == [
        ("0.01", " (chosen)", "0.6250"),
        ("0.1", "", "0.5000"),
    ]
    assert "<p>1 more failed, the first by: fold 1: MemoryError</p>" in trials
    assert page.index("(90.0&nbsp;%)") < page.index("(75.0&nbsp;%)")
    data = section(page, "Data")
    assert f"all 11 {ESCAPED}" in data
    assert 'href="../../../data_docs/signs/runs/r/index.html"' in data
    assert "compared with images snapshot <code>10</code>" in data
    assert '<th scope="row">the size as before</th><td>0 bits</td><td>yes</td>' in data
    assert f"the {ESCAPED} as before</th><td>1 bits</td><td>no</td>" in data
    origin = section(page, "Where it comes from")
    assert "8.5 s in a new process, up to 812 MB" in origin
    assert "commit <code>c0ffee-dirty</code>" in origin
    assert "lock <code>d1ce</code>" in origin
    assert '<th scope="row">validate</th><td class="number">23.2</td>' in origin


def test_a_model_of_an_earlier_release_does_not_say_its_code() -> None:
    page = render(replace(report(), made={}))
    assert "commit <code>unknown</code>" in section(page, "Where it comes from")


def test_of_a_loss_the_lower_mean_comes_first() -> None:
    data = report()
    searched = replace(data, tuning={**data.tuning, "metric": "log_loss"})
    assert [(trial["name"], trial["mean"]) for trial in searched.trials] == [
        ("embedded regParam=0.1 l1=0", 0.5),
        ("embedded regParam=0.01 l1=0", 0.625),
    ]


def test_every_number_has_its_interval() -> None:
    data = report()
    accuracy = data.candidate.overall["accuracy"]
    metrics = section(page_of(), "Candidate on 4 test images")
    assert f'0.5000<span class="range">{accuracy.low:.3f} to {accuracy.high:.3f}</span>' in metrics
    half, slow = "50 ms<small>40 to 60 ms</small>", "95 % within 92 ms (60 to 100)"
    assert f"{half}<small>{slow}</small>" in page_of()


def report_champion() -> Predictions:
    """Right on every image but the last, on which the candidate errs too."""
    return says(CANDIDATE.images, [*TRUTHS[:3], "yield"], labels=CANDIDATE.labels)


def test_the_champion_stands_beside_the_candidate() -> None:
    page = page_of(champion=True)
    assert "There is no champion yet" not in page
    metrics = section(page, "Candidate and champion on 4 test images")
    assert "Champion 7" in metrics
    assert re.search(
        r'<td class="number wide">0\.7500<.*?<td class="number">-0\.2500<', metrics, re.S
    )
    disagreement = section(page, "Where candidate and champion disagree")
    lost, gained = disagreement.split("Only the candidate is right")
    assert f"candidate: <b>{ESCAPED}</b> (90.0&nbsp;%)\n<br>champion: <b>yield</b>" in lost
    assert "On no test image." in gained


def test_classes_and_slices_come_worst_first() -> None:
    page = page_of()
    classes = re.findall(r'<th scope="row">(.*?)</th>', section(page, "Classes, worst first"))
    assert classes == ["$formula", "yield", ESCAPED]
    slices = re.findall(r'<th scope="row">(.*?)<span', section(page, "Slices, worst first"))
    assert slices == [
        "&#34;&gt;&lt;img src=http://evil.example/x onerror=alert(1)&gt;",
        "dark",
        "bright",
    ]


def test_what_failed_comes_before_what_is_merely_bad() -> None:
    images = held_out(["hard"] * 100 + ["easy"] * 100)
    champion = says(images, ["hard"] * 40 + ["easy"] * 60 + ["easy"] * 100)
    candidate = says(images, ["hard"] * 45 + ["easy"] * 55 + ["hard"] * 30 + ["easy"] * 70)
    page = render(report(candidate, champion))
    rows = re.findall(r'<th scope="row">(.*?)</th>', section(page, "Classes, worst first"))
    assert rows == ["easy", "hard"]


def test_the_images_to_show_are_chosen_in_one_order() -> None:
    images = held_out(["a"] * 22)
    right = ["b"] * 21 + ["a"]
    sure = [0.6] * 20 + [0.9, 0.99]
    candidate = says(images, right, sure, labels=["a", "b"])
    chosen = choose(candidate, None)
    assert [images.image_ids[place] for place in chosen.mistakes[:3]] == ["id20", "id0", "id1"]
    assert len(chosen.mistakes) == 8
    both = choose(candidate, says(images, ["a"] * 21 + ["b"], labels=["a", "b"]))
    assert (both.lost[0], len(both.lost), both.gained) == (20, 6, (21,))
    assert both.places[-1] == 21


def test_a_perfect_model_has_no_mistakes_to_show() -> None:
    perfect = report(says(held_out(["a", "b"]), ["a", "b"]))
    assert "None: every test image is recognised." in render(perfect)


@pytest.mark.parametrize("classes", [1, 40])
def test_any_number_of_classes_can_be_shown(classes: int) -> None:
    names = [f"c{n}" for n in range(classes)]
    page = render(report(says(held_out(names), names)))
    # Three drawings, each for light and for dark pages.
    assert page.count("data:image/svg+xml") == 6


def test_without_test_images_there_is_no_matrix_but_a_verdict() -> None:
    data = report(says(held_out([]), [], labels=["a"]))
    page = render(data)
    assert "confusion" not in data.plots
    assert page.count("data:image/svg+xml") == 2
    assert "<li>accuracy could not be measured, which counts as a failure</li>" in page


def test_the_drawings_are_files_for_mlflow_too() -> None:
    files = plot_files(report())
    assert sorted(files) == ["confusion.png", "reliability.png", "tuning.png"]
    for content in files.values():
        with Image.open(io.BytesIO(content)) as image:
            assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_reliability_is_what_the_calibration_error_is_made_of() -> None:
    said = says(held_out(list("aaaaaa")), list("aaabab"), [0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    curve = Reliability.of(said)
    assert curve.confidence == pytest.approx([0.6, 0.9])
    assert curve.accuracy.tolist() == [0.5, 0.75]
    assert curve.images.tolist() == [2, 4]


def test_names_in_drawings_are_no_formulas() -> None:
    assert plain("$x$") == r"\$x\$"
    assert plain("a\nb") == "a?b"
    assert plain("x" * 30) == "x" * 19 + "…"


def test_the_file_replaces_an_earlier_one(tmp_path: Path) -> None:
    write_report(report(says(held_out([]), [], labels=["a"])), tmp_path / "new")
    file = write_report(report(), tmp_path / "new")
    assert file == tmp_path / "new" / "index.html"
    assert file.read_text() == page_of()
