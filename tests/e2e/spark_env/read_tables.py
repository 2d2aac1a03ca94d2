"""Prints what the tables of a pipeline hold, as JSON: ``read_tables.py WORKSPACE PIPELINE``.

Runs in the Spark environment; the vectors are rounded, for the order of additions is free.
"""

import json
import sys
from pathlib import Path

from darkroom.contract import Workspace
from darkroom.contract import columns as c
from darkroom.lake import Lake

lake = Lake(Workspace(Path(sys.argv[1])))
pipeline = sys.argv[2]


def rows(table: str, *names: str) -> list[list[str]]:
    return sorted([str(row[name]) for name in names] for row in lake.rows(pipeline, table))


vectors = {
    f"{row[c.IMAGE_ID]} {row[c.BACKBONE_KEY]}": [round(value, 2) for value in row[c.VECTOR]]
    for row in lake.rows(pipeline, c.FEATURES)
}
content = {
    c.IMAGES: rows(c.IMAGES, c.IMAGE_ID, c.PATH, c.LABEL),
    c.REJECTED_IMAGES: rows(c.REJECTED_IMAGES, c.PATH, c.REASON),
    c.SPLITS: rows(c.SPLITS, c.IMAGE_ID, c.SPLIT),
    c.FEATURES: rows(c.FEATURES, c.IMAGE_ID, c.BACKBONE_KEY),
    "vectors": vectors,
    c.LEDGER: rows(c.LEDGER, c.WHO, c.WHY, c.TO_VERSION),
}
sys.stdout.write(json.dumps(content))
