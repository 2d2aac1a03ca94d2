"""Stands in for spark-submit: leaves the result that a stage would leave, in milliseconds.

``FAKE_SCENARIO`` names a JSON file: per stage, fields of its `StageResult` to replace, or
``"crash": code`` to end without a result. Each call is added to ``<scenario>.calls``. A command of
``lake.py`` does nothing else; a scenario may have it crash too.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from darkroom.contract import (
    Check,
    GateDecision,
    Stage,
    StageResult,
    StageStatus,
    Verdict,
    Workspace,
)
from darkroom.contract.workspace import write_atomically

DECISION = GateDecision(
    candidate="d1",
    champion=None,
    checks=(
        Check(
            name="accuracy",
            verdict=Verdict.PASS,
            value=0.93,
            threshold=0.85,
            reason="accuracy 0.93 is at least 0.85",
        ),
    ),
)


def outputs(stage: Stage, options: dict[str, list[str]]) -> dict[str, object]:
    one = {name: values[0] for name, values in options.items()}
    known: dict[Stage, dict[str, object]] = {
        Stage.INGEST: {
            "found": 3,
            "accepted": 2,
            "rejected": 1,
            "rejected_files": [
                {"path": "stop/half.jpg", "reason": "TRUNCATED", "detail": "ends at byte 9"}
            ],
        },
        Stage.FEATURIZE: {"backbone": one.get("--backbone")},
        Stage.TUNE: {"mlflow_run_id": "run1"},
        Stage.EVALUATE: {
            "verdict": DECISION.verdict,
            "metrics": {"accuracy": 0.93},
            "test_images": 200,
            "champion_version": None,
            "decision": DECISION.to_json(),
            "decision_digest": DECISION.digest,
        },
        Stage.REGISTER: {
            "model_name": "signs",
            "version": "1",
            "model_digest": "d1",
            "decision_digest": DECISION.digest,
            "already_champion": False,
        },
        Stage.PROMOTE: {"version": one.get("--version"), "reason": one.get("--reason")},
        Stage.ROLLBACK: {"version": one.get("--version") or "1", "previous_version": "2"},
        Stage.WATCH: {"champion": "1", "reverted_from": None},
        Stage.DEPLOY: {
            "query": "SELECT path, recognize(image) AS objects FROM imgs",
            "rows": [{"path": "stop/1.jpg", "objects": [{"label": "stop", "probability": 0.987}]}],
        },
        Stage.SCORE: {"version": "1", "scored": 2},
        Stage.SHADOW: {"champion": "1", "challenger": "2", "compared": 2, "differing": 1},
        Stage.MONITOR: {
            "judged": 1,
            "model_digest": "d1",
            "window_number": 7,
            "alarm": True,
            "reason": "brightness drifted",
        },
    }
    return known.get(stage, {})


def noted(what: str, arguments: list[str], own: int) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Notes a call, whose own arguments start there; returns its options and its scenario."""
    options: dict[str, list[str]] = {}
    rest = [a for a in arguments[own:] if a != "--force"]
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        options.setdefault(name, []).append(value)
    scenario_file = Path(os.environ["FAKE_SCENARIO"])
    with scenario_file.with_suffix(".calls").open("a") as calls:
        call = {
            "stage": what,
            "spark": arguments[: next(i for i, a in enumerate(arguments) if a.endswith(".py"))],
            "options": options,
            "force": "--force" in arguments,
            "launched_at": os.environ["DARKROOM_LAUNCHED_AT"],
            "cwd": str(Path.cwd()),
        }
        calls.write(json.dumps(call) + "\n")
    print(f"fake {what} at work", flush=True)  # noqa: T201
    return options, json.loads(scenario_file.read_text()).get(what, {})


def main(arguments: list[str]) -> int:
    application = next(i for i, a in enumerate(arguments) if a.endswith(".py"))
    entrypoint = Path(arguments[application]).name
    if entrypoint == "sql_gateway.py":
        time.sleep(3600)  # it serves until it is told to end
    if entrypoint == "lake.py":
        _, scenario = noted(arguments[application + 1], arguments, application + 2)
        return int(scenario.get("crash", 0))
    stage = next(s for s in Stage if s.entrypoint == entrypoint)
    options, scenario = noted(stage, arguments, application + 1)
    scenario_file = Path(os.environ["FAKE_SCENARIO"])
    if "sleep" in scenario:
        child = subprocess.Popen(["sleep", str(scenario["sleep"])], start_new_session=True)
        scenario_file.with_suffix(".pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(scenario["sleep"])
    if "crash" in scenario:
        return int(scenario["crash"])
    place = Workspace(Path(options["--workspace"][0]))
    folder = place.run(Path(options["--config"][0]).stem, options["--run-id"][0])
    for line in scenario.get("progress", []):
        write_atomically(folder.progress_file(stage), line)
        time.sleep(0.5)
    values = {"status": "done", "summary": f"{stage} is done", **scenario}
    result = StageResult(
        stage=stage,
        status=StageStatus(values["status"]),
        summary=values["summary"],
        outputs={**outputs(stage, options), **values.get("outputs", {})},
        report=values.get("report"),
        permanent=values.get("permanent", False),
        seconds=0.25,
    )
    folder.write(result, options.get("--backbone", [None])[0])
    return int(values.get("exit", 4 if result.status is StageStatus.FAILED else 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
