"""Configuration: what is accepted, and the exact text of every refusal."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract import ConfigError, PipelineConfig, WeightsFile, check_together
from darkroom.contract.config import with_overrides
from darkroom.contract.names import BACKBONES, IDENTIFIER

SMALLEST: dict[str, Any] = {
    "name": "signs",
    "function": "recognize",
    "view": "photos",
    "source": {"path": "photos"},
    "gate": {"thresholds": {"accuracy": 0.9}},
}


def changed(**overrides: Any) -> dict[str, Any]:
    """The smallest configuration with some dotted fields (``__`` for the dot) replaced."""
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return with_overrides(copy.deepcopy(SMALLEST), dotted)


def test_smallest_configuration_gets_the_defaults() -> None:
    config = PipelineConfig.from_mapping(SMALLEST)
    assert config.features.backbones == ("embedded",)
    assert config.tuning.folds == 3
    assert config.gate.thresholds == {"accuracy": 0.9}
    assert config.schedule is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("photos", "tree"),
        ("lists/signs.CSV", "manifest"),
        ("s3a://bucket/signs.parquet", "manifest"),
        ("hdfs://name/photos.d", "tree"),
    ],
)
def test_a_sources_kind_is_guessed_from_its_path(path: str, kind: str) -> None:
    config = PipelineConfig.from_mapping(changed(source__path=["other", path]))
    assert config.source.paths == ("other", path)
    assert config.source.kind_of(path) == kind
    flat = PipelineConfig.from_mapping(changed(source__path=path, source__kind="flat"))
    assert flat.source.kind_of(path) == "flat"


def test_weights_are_a_path_or_a_path_with_a_digest() -> None:
    given = {"ResNet50": "a.h5", "VGG16": {"uri": "s3://b/c.h5", "sha256": "aB" * 32}}
    weights = PipelineConfig.from_mapping(changed(features__weights=given)).features.weights
    with_digest = WeightsFile(uri="s3://b/c.h5", sha256="aB" * 32)
    assert weights == {"ResNet50": "a.h5", "VGG16": with_digest}


def test_integers_are_accepted_where_numbers_are_wanted() -> None:
    config = PipelineConfig.from_mapping(changed(gate__thresholds={"accuracy": 1}))
    assert config.gate.thresholds["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            changed(features__backbones=["resnet5"]),
            "features.backbones = 'resnet5': unknown backbone, "
            "did you mean ResNet50 or ResNet152 or ResNet50V2?",
        ),
        (
            changed(features__engine="openvno"),
            "features.engine = 'openvno': no such engine, did you mean openvino?",
        ),
        (
            changed(gate__thresholds={"acuracy": 0.9}),
            "gate.thresholds = 'acuracy': no such metric, did you mean accuracy or auc?",
        ),
        (
            changed(gate__thresholds={}),
            "gate.thresholds = {}: name at least one, for example accuracy: 0.9",
        ),
        (
            changed(gate__thresholds={"log_loss": -1}),
            "gate.thresholds.log_loss = -1.0: must be at least 0, and finite",
        ),
        (
            changed(gate__thresholds={"log_loss": math.inf}),
            "gate.thresholds.log_loss = inf: must be at least 0, and finite",
        ),
        (
            changed(gate__thresholds={"accuracy": math.nan}),
            "gate.thresholds.accuracy = nan: must lie between 0 and 1",
        ),
        (
            changed(gate__max_slice_regression=1),
            "gate.max_slice_regression = 1.0: must be at least 0 and below 1",
        ),
        (
            changed(gate__confidence=95),
            "gate.confidence = 95.0: must be at least 0.5 and below 1",
        ),
        (
            changed(gate__min_class_images=0),
            "gate.min_class_images = 0: must be at least 1",
        ),
        (
            changed(gate__slices=["brightnes"]),
            "gate.slices = 'brightnes': no such slice, did you mean brightness?",
        ),
        (
            changed(gate__slices=["metadata."]),
            "gate.slices = 'metadata.': no such slice, known are source, size, brightness, "
            "metadata.<column of the manifest>",
        ),
        (
            changed(gate__slices=["size", "size"]),
            "gate.slices = 'size': is given twice: remove one",
        ),
        (
            changed(gate__max_latency_ms=0),
            "gate.max_latency_ms = 0.0: give a number above 0, or leave it out",
        ),
        (
            changed(gate__max_memory_mb=math.nan),
            "gate.max_memory_mb = nan: give a number above 0, or leave it out",
        ),
        (
            changed(gate__thresholds={"accuracy": 90}),
            "gate.thresholds.accuracy = 90.0: must lie between 0 and 1",
        ),
        (
            changed(tunning={}),
            "tunning = {}: there is no such field, did you mean tuning or function?",
        ),
        (
            changed(approval__policy="two_persons"),
            "approval.policy = 'two_persons': there is no such choice, did you mean two_person?",
        ),
        (
            changed(approval__approvers=["ada", "ada"]),
            "approval.approvers = 'ada': is given twice: remove one",
        ),
        (
            changed(approval__approvers=[" "]),
            "approval.approvers = ' ': give the id of an Airflow user",
        ),
        (
            changed(approval__policy="two_person", approval__approvers=["ada"]),
            "approval.approvers = ['ada']: name at least approval.people = 2 users, or none",
        ),
        (changed(approval__people=1), "approval.people = 1: must be at least 2"),
        (
            changed(approval__policy="two_person", approval__in_registry=True),
            "approval.in_registry = True: MLflow does not say who set a tag: leave out two_person "
            "and approvers, or this",
        ),
        (
            changed(approval__approvers=["ada"], approval__in_registry=True),
            "approval.in_registry = True: MLflow does not say who set a tag: leave out two_person "
            "and approvers, or this",
        ),
        (
            changed(approval__timeout_hours=0),
            "approval.timeout_hours = 0.0: give a number of hours above 0",
        ),
        (
            changed(approval__notifiers=[{"notifier": "Letter"}]),
            "approval.notifiers = 'Letter': give the dotted path of a class, package.module.Class",
        ),
        (
            changed(approval__notifiers=[{"notifier": "a.b", "argument": {}}]),
            "approval.notifiers[0].argument = {}: there is no such field, did you mean arguments?",
        ),
        (changed(watch__revert="yes"), "watch.revert = 'yes': give true or false"),
        (changed(source={}), "source.path = None: this field is required"),
        (
            changed(source__path=" "),
            "source.path = ' ': give a folder with one sub-folder per class",
        ),
        (changed(source__path=[]), "source.path = []: give at least one folder or manifest"),
        (changed(source__path=["a", "a"]), "source.path = 'a': is given twice: remove one"),
        (changed(source__path=["a", 1]), "source.path[1] = 1: give text"),
        (
            changed(source__path="a\0b"),
            "source.path = 'a\\x00b': give a folder with one sub-folder per class",
        ),
        (
            changed(source__kind="manifset"),
            "source.kind = 'manifset': there is no such choice, did you mean manifest?",
        ),
        (
            changed(source__on_missing="drop"),
            "source.on_missing = 'drop': there is no such choice, known are keep, delete",
        ),
        (
            changed(source__root="photos"),
            "source.root = 'photos': only a manifest has a root, and 'photos' is none: leave it "
            "out",
        ),
        (
            changed(source__path="m.csv", source__root=" "),
            "source.root = ' ': give a folder, or leave it out",
        ),
        (
            changed(split__validation_share=0.8),
            "split.validation_share = 0.8: give 0 or more, and less than the 0.8 that "
            "split.test_share leaves",
        ),
        (
            changed(split__duplicate_distance=12),
            "split.duplicate_distance = 12: give a number of bits from 0 to 11",
        ),
        (
            changed(tuning__metric="acuracy"),
            "tuning.metric = 'acuracy': there is no such choice, did you mean accuracy or auc?",
        ),
        (changed(tuning__heads=[]), "tuning.heads = []: give at least one value to try"),
        (
            changed(tuning__heads=["mlpp"]),
            "tuning.heads = 'mlpp': there is no such choice, did you mean mlp?",
        ),
        (
            changed(tuning__hidden_units=[8]),
            "tuning.hidden_units = (8,): only the head mlp has it: add mlp to tuning.heads or "
            "leave it out",
        ),
        (
            changed(tuning__heads=["mlp"], tuning__elastic_net_params=[0.5]),
            "tuning.elastic_net_params = (0.5,): only the head logistic_regression has it: add "
            "logistic_regression to tuning.heads or leave it out",
        ),
        (
            changed(tuning__heads=["mlp"], tuning__hidden_units=[0]),
            "tuning.hidden_units = 0: must be at least 1",
        ),
        (
            changed(tuning__reg_params={"min": 0.1, "max": 1}),
            "tuning.reg_params = '0.1..1': a grid needs a list of values: give one, or set "
            "tuning.search",
        ),
        (
            changed(tuning__reg_params={"min": 0, "max": 1}, tuning__search="random"),
            "tuning.reg_params.min = 0.0: must be above 0, or set log: false",
        ),
        (
            changed(
                tuning__reg_params={"min": 2, "max": 1},
                tuning__search="random",
                tuning__trials=1,
            ),
            "tuning.reg_params.min = 2.0: must be below max = 1",
        ),
        (
            changed(tuning__heads=["mlp"], tuning__learning_rates=[0.0]),
            "tuning.learning_rates = 0.0: must be above 0, or nothing is learnt",
        ),
        (
            changed(tuning__reg_params=[float("inf")]),
            "tuning.reg_params = inf: give a finite number",
        ),
        (
            changed(tuning__search="random"),
            "tuning.trials = None: say how many, for tuning.search is random",
        ),
        (
            changed(tuning__search="random", tuning__trials=0),
            "tuning.trials = 0: must be at least 1",
        ),
        (
            changed(tuning__trials=3),
            "tuning.trials = 3: a grid tries every combination: leave it out, or set tuning.search",
        ),
        (changed(tuning__folds=True), "tuning.folds = True: give a whole number"),
        (changed(tuning__folds=1), "tuning.folds = 1: must be at least 2"),
        (changed(tuning__reg_params=0.1), "tuning.reg_params = 0.1: give a list"),
        (changed(tuning__reg_params=["a"]), "tuning.reg_params[0] = 'a': give a number"),
        (changed(tuning__reg_params=[]), "tuning.reg_params = []: give at least one value to try"),
        (
            changed(tuning__reg_params=[0.1, 0.1]),
            "tuning.reg_params = 0.1: is given twice: remove one",
        ),
        (
            changed(name="Traffic Signs"),
            "name = 'Traffic Signs': use lower-case letters, digits and _, starting with a letter",
        ),
        (
            changed(function="f(); DROP TABLE x"),
            "function = 'f(); DROP TABLE x': "
            "use lower-case letters, digits and _, starting with a letter",
        ),
        (
            changed(validation__min_images_per_class=2),
            "validation.min_images_per_class = 2: must be at least tuning.folds = 3: "
            "each fold needs an image",
        ),
        (
            changed(split__test_share=1),
            "split.test_share = 1.0: give a number between 0 and 1",
        ),
        (
            changed(features__weights={"ResNet5": "a.h5"}),
            "features.weights.ResNet5 = 'a.h5': only classifiers of keras.applications take a "
            "weights file, 'ResNet5' is none: did you mean ResNet50 or ResNet152 or ResNet50V2?",
        ),
        (
            changed(features__weights={"ResNet50": {"uri": "a.h5", "sha256": "12"}}),
            "features.weights.ResNet50.sha256 = '12': give 64 hexadecimal digits",
        ),
        (
            changed(features__weights={"ResNet50": {"uri": "a.h5", "md5": "12"}}),
            "features.weights.ResNet50.md5 = '12': there is no such field, known are uri, sha256",
        ),
        (changed(features__weights={"ResNet50": 3}), "features.weights.ResNet50 = 3: give text"),
        (
            changed(features__weights={"ResNet50": None}),
            "features.weights.ResNet50 = None: give text",
        ),
        (
            changed(features__weights={"ResNet50": " "}),
            "features.weights.ResNet50.uri = ' ': give a path or a URI",
        ),
        (changed(tuning="fast"), "tuning = 'fast': give a mapping of fields"),
    ],
)
def test_refusals_name_field_value_and_remedy(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PipelineConfig.from_mapping(values)
    assert str(caught.value) == message


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_any_parsed_document_is_accepted_or_refused_in_one_way(values: object) -> None:
    try:
        PipelineConfig.from_mapping(values)
    except ConfigError as error:
        refusal = error
    else:
        return
    assert refusal.field


@given(st.text())
def test_identifiers_are_safe_to_put_into_sql(text: str) -> None:
    if IDENTIFIER.fullmatch(text):
        assert text.isascii()
        assert text.replace("_", "a").isalnum()


def test_two_pipelines_must_not_share_a_function() -> None:
    first = PipelineConfig.from_mapping(SMALLEST)
    second = PipelineConfig.from_mapping(changed(name="faces", view="faces_imgs"))
    with pytest.raises(ConfigError) as caught:
        check_together([first, second])
    assert str(caught.value) == (
        "function = 'recognize': used by 2 pipelines (signs, faces): rename one"
    )


def test_different_pipelines_live_together() -> None:
    first = PipelineConfig.from_mapping(SMALLEST)
    second = PipelineConfig.from_mapping(changed(name="faces", view="b", function="c"))
    check_together([first, second])


def test_overrides_leave_the_original_alone() -> None:
    original = copy.deepcopy(SMALLEST)
    merged = with_overrides(original, {"source.path": "elsewhere", "tuning.folds": 5})
    assert merged["source"]["path"] == "elsewhere"
    assert merged["tuning"] == {"folds": 5}
    assert original == SMALLEST


def test_an_override_through_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^name\.x = 1: name is not a group of fields$"):
        with_overrides(SMALLEST, {"name.x": 1})


def test_every_known_backbone_has_its_row_in_the_keras_table() -> None:
    from darkroom.backbones.keras_table import KERAS_TABLE

    assert {"embedded", *KERAS_TABLE} == set(BACKBONES)
