"""Two versions beside each other: the numbers, the order of the pictures, and the page."""

from __future__ import annotations

import re
from pathlib import Path

from darkroom.contract import Disagreement, ShadowComparison
from darkroom.evaluation import shadow
from darkroom.evaluation.resampling import share_interval
from darkroom.evaluation.shadow import Answer, BothAnswers
from tests.unit.spark_env.pictures import photo

HOSTILE = "<script>alert(1)</script>"


def said(
    image_id: str,
    champion: str | None,
    challenger: str | None,
    sure: tuple[float, float] = (0.9, 0.9),
) -> BothAnswers:
    return BothAnswers(
        image_id=image_id,
        path=f"{image_id}.jpg",
        champion=Answer(label=champion, probability=sure[0] if champion else None),
        challenger=Answer(label=challenger, probability=sure[1] if challenger else None),
    )


def comparison(both: list[BothAnswers]) -> ShadowComparison:
    found = shadow.differing(both)
    low, high = share_interval(len(found), len(both), 0.95)
    return ShadowComparison(
        champion="1",
        challenger="2",
        challenger_digest="d" * 64,
        compared=len(both),
        differing=len(found),
        low=low,
        high=high,
        confidence=0.95,
        compared_at="2026-03-01T12:00:00+00:00",
        examples=shadow.examples(found, 5),
        page="reports/signs/shadow/version-2.html",
    )


def test_the_surest_disagreements_come_first_and_ties_by_id() -> None:
    both = [
        said("c", "stop", "yield", (0.9, 0.6)),
        said("b", "stop", "yield", (0.7, 0.8)),
        said("a", "stop", "yield", (0.6, 0.9)),
        said("e", "stop", "stop"),
        said("d", "stop", None),
    ]

    found = shadow.differing(both)

    assert [one.image_id for one in found] == ["b", "a", "c", "d"]
    assert shadow.examples(found, 1) == (
        Disagreement(path="b.jpg", champion="stop", challenger="yield"),
    )


def test_what_neither_version_could_use_is_not_compared() -> None:
    both = [said("a", None, None), said("b", "stop", None), said("c", "stop", "stop")]

    assert [one.image_id for one in shadow.answered(both)] == ["b", "c"]


def test_a_comparison_survives_its_file_and_says_itself_in_one_sentence() -> None:
    made = comparison([said("a", "stop", "yield"), *(said(str(n), "x", "x") for n in range(9))])

    assert ShadowComparison.from_json(made.to_json()) == made
    assert made.sentence == (
        "version 2 disagrees with version 1 on 1 of 10 images: 10.0 % (95% interval 1.8 % to "
        "40.4 %)"
    )
    assert comparison([]).sentence == "version 2 and version 1 have no answers in common"


def page_of(both: list[BothAnswers], pictures: dict[str, bytes], folder: Path) -> str:
    file = folder / "page.html"
    shadow.write_page("signs", comparison(both), shadow.differing(both), pictures, file)
    return file.read_text()


def test_the_page_shows_what_would_change_and_the_pictures(tmp_path: Path) -> None:
    both = [
        said("a", "stop", "yield"),
        said("b", "stop", "yield", (0.8, 0.5)),
        said("c", "stop", None),
        said("d", "stop", "stop"),
    ]

    page = page_of(both, {"a": photo(1), "b": b"no picture"}, tmp_path)

    changes = page.partition("What would change")[2].partition("</table>")[0]
    rows = re.findall(
        r'<td class="number">(\d+)</td>' + 2 * r'<td class="name">([^<]+)</td>', changes
    )
    assert rows == [("2", "stop", "yield"), ("1", "stop", "no answer")]
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert page.count("no picture") == 2
    assert "1: <b>stop (90.0\N{NO-BREAK SPACE}%)</b>" in page
    assert page.index("a.jpg") < page.index("b.jpg") < page.index("c.jpg")
    assert "d.jpg" not in page


def test_names_are_shown_as_they_are_written(tmp_path: Path) -> None:
    page = page_of([said(HOSTILE, HOSTILE, f"not {HOSTILE}")], {}, tmp_path)

    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_two_that_agree_have_a_page_as_well(tmp_path: Path) -> None:
    page = page_of([said("a", "stop", "stop")], {}, tmp_path)

    assert "The two versions agree on all of them." in page
