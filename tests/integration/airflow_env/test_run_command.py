"""``make run`` through a real Airflow: what it prints, leaves and asks of spark-submit."""

import pytest

from darkroom.contract import Stage
from tests.integration.airflow_env.conftest import World

# tests/e2e/test_chain.py does the same with real stages, each time.
pytestmark = [pytest.mark.integration, pytest.mark.long]


def test_a_run_stops_at_the_approval_and_the_next_one_answers_it(world: World) -> None:
    code, out, err = world.run("run", "--pipeline", "signs")

    assert (code, err) == (0, "")
    stages = [line.split()[0] for line in out.splitlines() if " s  " in line]
    assert stages == [
        "ingest", "validate", "featurize", "featurize", "tune", "evaluate", "register"
    ]  # fmt: skip
    assert "  TRUNCATED       stop/half.jpg\n                  ends at byte 9\n" in out
    assert "accuracy  0.93   0.85    PASS" in out
    assert "**Verdict: PASS** (no champion yet, 200 held-out images)" in out
    assert "  make run PIPELINE=signs APPROVE=yes" in out
    assert all(len(line) <= 80 or "SELECT" in line or "|" in line for line in out.splitlines())
    assert "\x1b[" not in out
    assert world.spark.calls(Stage.PROMOTE) == []
    assert {c["options"]["--backbone"][0] for c in world.spark.calls(Stage.FEATURIZE)} == {
        "embedded",
        "MobileNetV2",
    }
    assert world.processes() == []

    code, out, err = world.run("run", "--pipeline", "signs", "--approve")

    assert (code, err) == (0, "")
    assert 'Answered "Approve" as user demo' in out
    assert "stop/1.jpg  stop 0.987" in out
    (promote,) = world.spark.calls(Stage.PROMOTE)
    asked = {name: values[0] for name, values in promote["options"].items()}
    training_run = world.spark.calls(Stage.REGISTER)[0]["options"]["--run-id"][0]
    assert asked["--version"] == "1"
    assert asked["--model-digest"] == "d1"
    assert asked["--approved-by"] == "demo"
    assert asked["--reason"] == "approved on the command line (APPROVE=yes)"
    assert asked["--requested-run-id"] == training_run
    # One question for two training runs: the second registered nothing new.
    assert len(world.spark.calls(Stage.REGISTER)) == 2
    assert len(world.spark.calls(Stage.DEPLOY)) == 1
    assert world.processes() == []
