"""Configuration of SQL names, views and scoring: what is accepted, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract import ConfigError, PipelineConfig, ViewConfig, ViewKind, check_together
from darkroom.contract.names import IDENTIFIER, functions_of


def pipeline(name: str = "signs", **fields: Any) -> PipelineConfig:
    values = {
        "name": name,
        "function": f"{name}_function",
        "view": f"{name}_photos",
        "source": {"path": "photos"},
        "gate": {"thresholds": {"accuracy": 0.9}},
    }
    return PipelineConfig.from_mapping(values | fields)


def test_views_are_a_path_or_a_path_with_a_kind() -> None:
    views = {
        "a": "/data/photos",
        "b": "s3a://lake/log.Parquet/",
        "c": {"path": "/data/table", "kind": "parquet"},
        "d": {"path": "odd.parquet", "kind": "images"},
    }

    mapped = pipeline(sql={"views": views}).sql.mapped

    assert mapped["a"] == ViewConfig(path="/data/photos")
    assert {name: view.shows for name, view in mapped.items()} == {
        "a": ViewKind.IMAGES,
        "b": ViewKind.PARQUET,
        "c": ViewKind.PARQUET,
        "d": ViewKind.IMAGES,
    }


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            {"views": {"x; DROP VIEW y": "/data"}},
            "sql.views = 'x; DROP VIEW y': use lower-case letters, digits and _, starting with a "
            "letter",
        ),
        ({"views": {"a": " "}}, "sql.views.a.path = ' ': give a folder, a file or a URI"),
        (
            {"views": {"a": {"path": "/d", "kind": "csv"}}},
            "sql.views.a.kind = 'csv': there is no such choice, known are images, parquet",
        ),
        (
            {"views": {"a": {"paths": "/d"}}},
            "sql.views.a.paths = '/d': there is no such field, did you mean path?",
        ),
        (
            {"views": {"signs_shadow_predictions": "/d"}},
            "sql.views = 'signs_shadow_predictions': pipeline signs has that view by itself: "
            "choose another name",
        ),
        (
            {"views": {"signs_predictions": "/d"}},
            "sql.views = 'signs_predictions': pipeline signs has that view by itself: choose "
            "another name",
        ),
    ],
)
def test_an_unusable_view_is_refused(sql: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline(sql=sql)

    assert str(caught.value) == text


def test_a_view_cannot_have_the_name_of_the_predictions() -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline(view="signs_predictions")

    assert str(caught.value) == (
        "view = 'signs_predictions': its predictions have that view: choose another name"
    )


@given(st.text(min_size=1, max_size=70))
def test_no_name_but_an_identifier_becomes_a_view(name: str) -> None:
    try:
        views = pipeline(sql={"views": {name: "/data"}}).sql.views
    except ConfigError:
        assert not IDENTIFIER.fullmatch(name)
    else:
        assert IDENTIFIER.fullmatch(next(iter(views)))


def test_a_function_stands_for_six() -> None:
    assert functions_of("f") == (
        *("f", "f_detail", "f_top"),
        *("f_challenger", "f_challenger_detail", "f_challenger_top"),
    )


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (
            {"function": "see"},
            {"function": "see_detail"},
            "function = 'see_detail': pipeline signs has a function see_detail as well: rename one",
        ),
        (
            {"sql": {"views": {"log": "/a"}}},
            {"sql": {"views": {"log": "/b"}}},
            "view = 'faces_photos': pipeline signs has a view log as well: rename one",
        ),
        (
            {},
            {"view": "signs_predictions"},
            "view = 'signs_predictions': pipeline signs has a view signs_predictions as well: "
            "rename one",
        ),
    ],
)
def test_pipelines_that_share_a_sql_name_are_refused(
    first: dict[str, Any], second: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_together([pipeline(**first), pipeline("faces", **second)])

    assert str(caught.value) == text


def test_scoring_runs_by_hand_unless_the_file_says_more() -> None:
    assert pipeline().scoring.schedule is None
    assert pipeline().scoring.after_deploy is False
    both = pipeline(scoring={"schedule": "0 4 * * *", "after_deploy": True}).scoring
    assert (both.schedule, both.after_deploy) == ("0 4 * * *", True)
