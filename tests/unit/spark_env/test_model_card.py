"""What a model version's description says, and that nothing in it can speak for itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract import (
    Check,
    GateConfig,
    GateDecision,
    PipelineConfig,
    SourceConfig,
    Verdict,
)
from darkroom.registry.model_card import CardFacts, model_card

CONFIG = PipelineConfig(
    name="signs",
    description="Recognises signs",
    function="recognize_signs",
    view="signs_images",
    source=SourceConfig(path="unused"),
    gate=GateConfig(thresholds={"accuracy": 0.85}),
)
MADE = {
    "labels": ["stop", "yield"],
    "height": 48,
    "width": 64,
    "pixel_path": "2",
    "backbone": "embedded",
    "backbone_key": "k" * 64,
    "images_snapshot": 11,
    "splits_snapshot": 12,
    "git_commit": "c" * 40,
    "lock_digest": "d" * 64,
}
PASSED = Check(
    name="accuracy", verdict=Verdict.PASS, value=0.9123, threshold=0.85, reason="accuracy is fine"
)
UNSURE = Check(
    name="untested_classes",
    verdict=Verdict.INCONCLUSIVE,
    value=None,
    threshold=None,
    reason="class yield has no test image",
)


def card(
    *checks: Check,
    champion: str | None = None,
    report: str | None = None,
    run_id: str = "manual__1",
    **made: Any,
) -> str:
    decision = GateDecision(candidate="a" * 64, champion=champion, checks=checks)
    return model_card(
        CardFacts(
            config=CONFIG, decision=decision, made={**MADE, **made}, run_id=run_id, report=report
        )
    )


def test_a_card_says_what_how_good_and_made_from_what() -> None:
    decision = GateDecision(candidate="a" * 64, champion="3", checks=(PASSED, UNSURE))

    assert card(PASSED, UNSURE, champion="3", report="#/runs/1/index.html") == (
        f"""\
Recognises signs: 2 classes.

**INCONCLUSIVE** by the gate, beside champion version 3.

[Report](#/runs/1/index.html)

* class yield has no test image

### Use

```
SELECT recognize_signs(image) FROM signs_images
```

Input: an encoded picture (JPEG, PNG, ...), read as RGB 0-255, resized to 64 x 48 pixels \
\\(pixel path 2\\). Output: a probability per class.

Classes: stop, yield.

### Made from

* Network `embedded` with key `{"k" * 64}`
* Pictures of snapshot `11`, divided by snapshot `12`
* Code of commit `{"c" * 40}`, packages of lock `{"d" * 64}`
* Run `manual__1`, model `{"a" * 64}`, decision `{decision.digest}`

### How good it is

Measured on held-out pictures of the same sources as the training's: other cameras, places and
classes are not covered.

| check | value | needed | verdict |
|---|---|---|---|
| accuracy | 0.9123 | 0.85 | PASS |
| untested\\_classes | - | - | INCONCLUSIVE |
"""
    )


def test_a_first_model_without_a_report_says_so() -> None:
    text = card(PASSED)

    assert "**PASS** by the gate; there was no champion to compare with.\n" in text
    assert "[Report]" not in text


def test_what_the_files_do_not_say_is_unknown() -> None:
    made = {"labels": ["a", "b"], "height": 1, "width": 1}
    decision = GateDecision(candidate="a" * 64, champion=None, checks=(PASSED,))

    text = model_card(
        CardFacts(config=CONFIG, decision=decision, made=made, run_id="r", report=None)
    )

    assert "* Code of commit `unknown`, packages of lock `unknown`\n" in text
    assert "\\(pixel path unknown\\)" in text


def test_hostile_names_are_shown_as_they_are_written() -> None:
    labels = ["<script>alert(1)</script>", "[x](javascript:alert(1))", "a|b", "# c\n\n# d", "`e`"]

    text = card(PASSED, labels=labels, run_id="`</code>`<img src=x>")

    assert (
        "Classes: &lt;script&gt;alert\\(1\\)&lt;/script&gt;, "
        "\\[x\\]\\(javascript:alert\\(1\\)\\), a\\|b, \\# c \\# d, \\`e\\`.\n"
    ) in text
    assert "* Run `'</code>'<img src=x>`, model" in text


def test_many_classes_are_counted_and_not_listed() -> None:
    text = card(PASSED, labels=[f"c{number}" for number in range(1000)])

    assert text.startswith("Recognises signs: 1000 classes.\n")
    assert "c28, c29 and 970 more.\n" in text


def test_a_card_is_never_too_long_for_the_registry() -> None:
    long = "x" * 3000
    checks = [
        Check(name=f"{number}{long}", verdict=Verdict.FAIL, value=None, threshold=None, reason=long)
        for number in range(50)
    ]

    text = card(*checks, labels=[long + str(number) for number in range(100)])

    assert 4000 < len(text) <= 5000
    assert text.endswith("\n\n…\n")
    assert f"* Code of commit `{'c' * 40}`" in text


@given(st.text(), st.text())
def test_no_text_opens_a_tag_or_a_line(label: str, reason: str) -> None:
    check = Check(name="c", verdict=Verdict.FAIL, value=0.0, threshold=1.0, reason=reason)

    text = card(check, labels=[f"<{label}>", "b"])

    assert "<" not in text
    assert text.count("\n") == card(check.__class__(**{**vars(check), "reason": "r"})).count("\n")
