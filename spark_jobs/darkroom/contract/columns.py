"""Table and column names, spelled once."""

from __future__ import annotations

from typing import Final

IMAGES: Final = "images"
REJECTED_IMAGES: Final = "rejected_images"
SPLITS: Final = "splits"
FEATURES: Final = "features"
LEDGER: Final = "ledger"

SHARED_NAMESPACE: Final = "darkroom"
"""Namespace of the tables that belong to no single pipeline."""
FUNCTIONS: Final = "functions"

IMAGE_ID: Final = "image_id"
PATH: Final = "path"
LABEL: Final = "label"
IMAGE: Final = "image"
LENGTH: Final = "length"
MODIFIED_AT: Final = "modified_at"
FORMAT: Final = "format"
MODE: Final = "mode"
WIDTH: Final = "width"
HEIGHT: Final = "height"
BRIGHTNESS: Final = "brightness"
PERCEPTUAL_HASH: Final = "perceptual_hash"
RUN_ID: Final = "run_id"

REASON: Final = "reason"
DETAIL: Final = "detail"

GROUP_ID: Final = "group_id"
SPLIT: Final = "split"
TRAIN: Final = "train"
TEST: Final = "test"

BACKBONE: Final = "backbone"
BACKBONE_KEY: Final = "backbone_key"
VECTOR: Final = "vector"

FUNCTION: Final = "function"
PIPELINE: Final = "pipeline"
VIEW: Final = "view"
MODEL_NAME: Final = "model_name"
MODEL_VERSION: Final = "model_version"
MODEL_DIGEST: Final = "model_digest"
MODEL_PATH: Final = "model_path"
LABELS: Final = "labels"
DEPLOYED_AT: Final = "deployed_at"

WHO: Final = "who"
WHEN: Final = "at"
WHY: Final = "why"
FROM_VERSION: Final = "from_version"
TO_VERSION: Final = "to_version"
DECISION_DIGEST: Final = "decision_digest"

OBJECTS: Final = "objects"
PROBABILITY: Final = "probability"
