"""The report: self-contained, escaped, and with everything in it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.contract import GateConfig, Verdict
from darkroom.evaluation.gate import Baseline, decide
from darkroom.evaluation.metrics import Prediction, measure
from darkroom.evaluation.report import ReportData, most_confident_mistakes, render, write_report

HOSTILE = "<script>alert('x')</script>"
MARKUP = '"><img src=http://evil.example/x onerror=alert(1)>'


def prediction(number: int, truth: str, predicted: str, probability: float = 0.5) -> Prediction:
    return Prediction(
        image_id=f"id{number}",
        path=f"{truth}/{number}.png",
        truth=truth,
        predicted=predicted,
        probability=probability,
    )


PREDICTIONS = [
    prediction(0, "yield", "yield"),
    prediction(1, "yield", HOSTILE, 0.9),
    prediction(2, HOSTILE, HOSTILE),
    prediction(3, "$formula", "yield", 0.75),
]


def picture() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((300, 200, 3), 90, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def report(predictions: list[Prediction] = PREDICTIONS) -> ReportData:
    measured = measure(predictions)
    decision = decide(
        "c0ffee",
        measured.overall,
        gate=GateConfig(thresholds={"accuracy": 0.85}, min_test_images=4),
        test_images=len(predictions),
        untested_classes=(),
        baseline=None,
    )
    trial = {"backbone": "embedded", "tried": "regParam=0.1 l1=0", "mean": 0.5, "std": 0.1}
    best = {**trial, "tried": "regParam=0.01 l1=0", "mean": 0.625}
    return ReportData(
        pipeline="signs",
        run_id=HOSTILE,
        decision=decision,
        candidate=measured,
        champion=None,
        test_images=len(predictions),
        tuning={
            "metric": "accuracy",
            "mlflow_run_id": "abc",
            **best,
            "trials": [trial, best],
            "failed_trials": [{**trial, "error": "fold 1: MemoryError"}],
        },
        ingest={
            "images_snapshot": 11,
            "splits_snapshot": 22,
            "classes": {"yield": 3, HOSTILE: 1},
            "rejected": 51,
            "rejected_files": [{"path": MARKUP, "reason": "EMPTY", "detail": HOSTILE}],
        },
        mistakes=[(p, picture()) for p in most_confident_mistakes(predictions)],
    )


class Tags(HTMLParser):
    """Collects the tags of a page and what they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.targets: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "srcset", "action"}:
                self.targets.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def test_hostile_names_are_shown_but_never_markup() -> None:
    page = render(report())
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert tags.handlers == []
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "&#34;&gt;&lt;img src=http://evil.example/x" in page


def test_the_page_needs_nothing_but_itself() -> None:
    page = render(report())
    tags = Tags()
    tags.feed(page)
    assert tags.targets
    assert all(target.startswith("data:image/") for target in tags.targets)
    assert "default-src 'none'" in page
    assert re.findall(r"url\(|@import", page) == []


def test_the_page_has_the_verdict_its_reasons_and_every_part() -> None:
    page = render(report())
    assert report().decision.verdict is Verdict.FAIL
    assert '<div class="word">FAIL</div>' in page
    assert "<li>accuracy 0.5000 is below 0.85</li>" in page
    assert "There is no champion yet" in page
    assert "51 rejected, the first 1 are shown" in page
    trials = page[page.index("<h2>Trials") : page.index("<h2>Data")]
    assert re.findall(r"embedded( \(chosen\))?</td>\n.*?(0\.\d{4})", trials) == [
        (" (chosen)", "0.6250"),
        ("", "0.5000"),
    ]
    assert "<p>1 more failed, the first by: fold 1: MemoryError</p>" in trials
    assert page.index("(90.0 %)") < page.index("(75.0 %)")


def test_of_a_loss_the_lower_mean_comes_first() -> None:
    data = report()
    page = render(replace(data, tuning={**data.tuning, "metric": "log_loss"}))
    section = page[page.index("<h2>Trials") : page.index("<h2>Data")]
    assert re.findall(r">(0\.\d{4})</td><td class=\"number\">0.1000<", section) == [
        "0.5000",
        "0.6250",
    ]


def test_the_champion_stands_beside_the_candidate() -> None:
    right = [replace(p, predicted=p.truth) for p in PREDICTIONS]
    data = report()
    decision = decide(
        "c0ffee",
        data.candidate.overall,
        gate=GateConfig(thresholds={"accuracy": 0.1}, min_test_images=1),
        test_images=4,
        untested_classes=(),
        baseline=Baseline(
            version="7",
            metrics=measure(right).overall,
            only_candidate_right=0,
            only_champion_right=2,
        ),
    )
    page = render(replace(data, decision=decision, champion=measure(right)))
    assert "Champion 7" in page
    assert '<td class="number">1.0000</td>\n<td class="number">-0.5000</td>' in page
    assert "There is no champion yet" not in page


def test_classes_come_worst_first() -> None:
    page = render(report())
    section = page[page.index("Classes, worst first") : page.index("What is taken for what")]
    names = re.findall(r'<td class="name">(.*?)</td>', section)
    assert names == ["$formula", "yield", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"]


def test_the_most_confident_mistakes_are_chosen_in_one_order() -> None:
    some = [prediction(n, "a", "b", 0.5) for n in range(20)] + [prediction(99, "a", "b", 0.9)]
    right = [prediction(50, "a", "a", 1.0)]
    chosen = most_confident_mistakes(right + some[::-1])
    assert [p.image_id for p in chosen[:3]] == ["id99", "id0", "id1"]
    assert len(chosen) == 8


def test_a_perfect_model_has_no_mistakes_to_show() -> None:
    page = render(report([prediction(0, "a", "a"), prediction(1, "b", "b")]))
    assert "None: every test image is recognised." in page


@pytest.mark.parametrize("classes", [1, 40])
def test_any_number_of_classes_can_be_shown(classes: int) -> None:
    page = render(report([prediction(n, f"c{n}", f"c{n}") for n in range(classes)]))
    assert page.count("data:image/png") == 2


def test_without_test_images_there_is_no_matrix_but_a_verdict() -> None:
    page = render(report([]))
    assert "data:image/png" not in page
    assert "<li>accuracy could not be measured, which counts as a failure</li>" in page


def test_the_file_replaces_an_earlier_one(tmp_path: Path) -> None:
    write_report(report([]), tmp_path / "new")
    file = write_report(report(), tmp_path / "new")
    assert file == tmp_path / "new" / "index.html"
    assert file.read_text() == render(report())
    assert [path.name for path in file.parent.iterdir()] == ["index.html"]
