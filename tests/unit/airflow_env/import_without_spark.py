"""Imports all DAG files and plugin modules where every heavy library is missing."""

import importlib
import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

BLOCKED = {"tensorflow", "keras", "pyspark", "mlflow", "great_expectations"}
ALLOWED_OF_DARKROOM = ("darkroom.contract",)


class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        inner = name.startswith("darkroom.") and not name.startswith(ALLOWED_OF_DARKROOM)
        if name.partition(".")[0] in BLOCKED or inner:
            raise ImportError(f"{name} must not be imported on the Airflow side")
        return None


def main(project: Path) -> None:
    sys.meta_path.insert(0, Blocker())
    for name in (*BLOCKED, "darkroom.lake"):
        _must_be_missing(name)
    files = sorted((project / "plugins" / "darkroom_airflow").rglob("*.py"))
    for file in files:
        parts = file.relative_to(project / "plugins").with_suffix("").parts
        importlib.import_module(".".join(p for p in parts if p != "__init__"))

    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(project / "dags")
    if bag.import_errors:
        raise SystemExit(str(bag.import_errors))
    dag_files = len(list((project / "dags").glob("*.py")))
    sys.stdout.write(f"{len(bag.dags)} DAGs, {dag_files} DAG files, {len(files)} plugin modules\n")


def _must_be_missing(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        return
    raise SystemExit(f"{name} can be imported: this test shows nothing")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
