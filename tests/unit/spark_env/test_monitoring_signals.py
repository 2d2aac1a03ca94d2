"""What is found of samples whose shift, or none, is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from darkroom.monitoring.history import WindowResult, alarm
from darkroom.monitoring.sampling import Sample
from darkroom.monitoring.signals import (
    SIGNALS,
    Compared,
    Files,
    Signal,
    binned,
    compare_all,
    corrected,
    label_detail,
)
from tests.unit.spark_env.monitored import FILES, LIMITS, world
from tests.unit.spark_env.monitored_windows import window


@pytest.fixture(scope="module")
def reference() -> Sample:
    return world(0)


def signal(compared: Compared, name: str) -> Signal:
    return next(one for one in compared.signals if one.name == name)


def test_ten_resamples_without_shift_raise_at_most_one_alarm(reference: Sample) -> None:
    compared = [compare_all(world(seed, 250), reference, FILES, LIMITS) for seed in range(1, 11)]

    assert all([one.name for one in found.signals] == list(SIGNALS) for found in compared)
    assert sum(bool(found.drifted) for found in compared) <= 1
    results = [
        WindowResult.of(window(number), found, None, "b", "run")
        for number, found in enumerate(compared)
    ]
    alarms = [alarm(results[: end + 1], 2, 3).raised for end in range(len(results))]
    assert not any(alarms)


def test_brighter_pictures_are_flagged_and_nothing_else(reference: Sample) -> None:
    found = compare_all(world(1, brighter=40), reference, FILES, LIMITS)

    assert found.drifted == ("brightness",)
    bright = signal(found, "brightness")
    assert bright.threshold is not None
    assert bright.value > bright.threshold
    assert bright.adjusted < 1e-6
    assert bright.detail.startswith("median 1")


def test_another_mix_of_classes_is_flagged(reference: Sample) -> None:
    found = compare_all(world(1, mix=(0.6, 0.1, 0.1, 0.1, 0.1)), reference, FILES, LIMITS)

    # Other classes also are other features: both say so, and nothing else does.
    assert found.drifted == ("predicted labels", "features")
    assert signal(found, "predicted labels").detail.startswith("bird: ")


def test_another_domain_is_flagged_by_its_features(reference: Sample) -> None:
    now = world(1, elsewhere=1.0)
    now.vectors[17] += 2.0

    found = compare_all(now, reference, FILES, LIMITS)

    assert found.drifted == ("features",)
    assert set(found.unusual) == set(now.ids)


def test_the_oddest_image_comes_first(reference: Sample) -> None:
    now = world(1)
    # A tenth of the images shows what was never seen.
    now.vectors[:40] = 8 + np.random.default_rng(5).normal(size=(40, 16)) / 4

    found = compare_all(now, reference, FILES, LIMITS)

    assert set(found.unusual[:40]) == set(now.ids[:40])


def test_more_mistakes_are_flagged_by_late_labels_alone(reference: Sample) -> None:
    worse = world(1, mistakes=0.15)

    found = compare_all(worse, reference, FILES, LIMITS)
    unlabelled = compare_all(world(1, mistakes=0.15, labelled=False), reference, FILES, LIMITS)

    assert found.drifted == ("live accuracy",)
    assert signal(found, "live accuracy").value == worse.right.mean()
    assert unlabelled.drifted == ()
    assert unlabelled.unmeasured == {"live accuracy": "0 now and 400 before, it takes 50"}


@pytest.mark.parametrize(("rejected", "drifted"), [(100, ("rejected files",)), (8, ()), (0, ())])
def test_more_rejected_files_are_flagged_and_fewer_are_not(
    reference: Sample, rejected: int, drifted: tuple[str, ...]
) -> None:
    files = (Files(400, rejected), Files(2_000, 40))

    assert compare_all(world(1), reference, files, LIMITS).drifted == drifted


def test_what_too_few_images_have_is_not_measured(reference: Sample) -> None:
    now = world(1)
    now.measures["contrast"][:380] = np.nan
    now = replace(now, vector_ids=now.vector_ids[:30], vectors=now.vectors[:30])

    found = compare_all(now, reference, FILES, LIMITS)

    assert found.unmeasured == {
        "features": "30 now and 400 before, it takes 50",
        "contrast": "20 now and 400 before, it takes 50",
    }
    assert found.unusual == ()


def test_p_values_are_corrected_for_their_number() -> None:
    signals = [
        Signal(name=name, value=0.0, threshold=None, p=p)
        for name, p in (("a", 0.004), ("b", 0.02), ("c", 0.004))
    ]

    found = corrected(signals, LIMITS)

    assert [one.adjusted for one in found] == pytest.approx([0.012, 0.02, 0.012])
    assert not any(one.drifted for one in found)
    assert [one.drifted for one in corrected(signals[:2], LIMITS)] == [True, False]


def test_numbers_are_counted_by_the_deciles_of_both_samples() -> None:
    now, before = binned(np.arange(10.0), np.arange(10.0, 20.0))

    assert now == {"0": 2, "1": 2, "2": 2, "3": 2, "4": 2}
    assert list(before.values()) == [0, 0, 0, 0, 0, 2, 2, 2, 2, 2]
    assert binned(np.ones(4), np.ones(3)) == ({"0": 0, "1": 4}, {"0": 0, "1": 3})


def test_the_label_that_changed_the_most_is_named() -> None:
    said = label_detail({"a": 5, "b": 5}, {"a": 9, "c": 1})

    assert said == "b: 50.0%, was 0.0%"
