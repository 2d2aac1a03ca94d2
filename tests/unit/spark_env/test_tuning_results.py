"""Stored fits: found again by all that they depend on, whole or not at all."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from darkroom.tuning.fits import checked
from darkroom.tuning.head import Head
from darkroom.tuning.results import FitResult, ResultStore, content_key

DONE = FitResult(scores={"accuracy": 0.1 + 0.2, "log_loss": 1e-17}, seconds=1.25)


def test_what_was_stored_is_found_bit_by_bit(tmp_path: Path) -> None:
    store, key = ResultStore(tmp_path / "new"), content_key(rows="a", fold=1)
    assert store.get(key) is None
    store.put(key, DONE)
    assert store.get(key) == DONE
    assert ResultStore(tmp_path / "new").get(key) == DONE
    assert store.get(content_key(rows="a", fold=2)) is None
    assert content_key(fold=1, rows="a") == key


def test_failures_are_forgotten_and_results_are_not(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.put("good", DONE)
    store.put("bad", FitResult(error="MemoryError"))
    assert store.get("bad") == FitResult(error="MemoryError")
    for key in ("good", "bad", "never"):
        store.forget_failure(key)
    assert (store.get("good"), store.get("bad")) == (DONE, None)


def test_heads_are_stored_without_pickle(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    plain = Head(np.array([[0.1, 1 / 3]]), np.array([-np.inf, 2.0]))
    deep = Head(*(np.arange(n, dtype=float) for n in (3, 2, 4, 5)))
    assert store.get_head("plain") is None
    for key, head in {"plain": plain, "deep": deep}.items():
        store.put_head(key, head)
        found = store.get_head(key)
        assert found is not None
        for name, value in vars(head).items():
            np.testing.assert_array_equal(getattr(found, name), value)
    assert not list(tmp_path.rglob(".*"))


def test_a_score_that_is_no_number_is_a_failure() -> None:
    assert checked(DONE) is DONE
    failed = checked(FitResult(scores={"accuracy": 0.5, "log_loss": math.nan}, seconds=2.0))
    assert failed == FitResult(error="log_loss is nan", seconds=2.0)
