"""Prints what a model version's makers wrote down, as JSON: ``read_lineage.py WORKSPACE MODEL N``.

The tags of the tables' snapshots, and the datasets of the version's MLflow run. Runs in the Spark
environment; MLflow's server need not run.
"""

import json
import sys
from pathlib import Path

from mlflow import MlflowClient

from darkroom.contract import Workspace
from darkroom.lake import Lake
from darkroom.registry.lineage import TAGGED

workspace, pipeline, version = Workspace(Path(sys.argv[1])), *sys.argv[2:]
lake = Lake(workspace)
tables = {name: lake.find(pipeline, name) for name in TAGGED}
client = MlflowClient(f"sqlite:///{workspace.mlflow / 'mlflow.db'}")
run_id = client.get_model_version(pipeline, version).run_id
assert run_id is not None
read = client.get_run(run_id).inputs
assert read is not None
content = {
    "tags": {
        name: {tag: ref.snapshot_id for tag, ref in table.refs().items() if tag != "main"}
        for name, table in tables.items()
        if table is not None
    },
    "datasets": {one.dataset.name: int(one.dataset.digest) for one in read.dataset_inputs},
}
sys.stdout.write(json.dumps(content))
