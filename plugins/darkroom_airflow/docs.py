"""What Airflow shows beside each DAG and task."""

from __future__ import annotations

from typing import Final

from darkroom.contract import PipelineConfig, Stage
from darkroom_airflow.links import file_url

STAGE_DOCS: Final = {
    Stage.INGEST: "Reads the image folder, refuses unusable files with a reason each, and stores "
    "the rest with their train/test split.",
    Stage.VALIDATE: "Checks the accepted images against the pipeline's expectations. **Report**: "
    "Great Expectations' Data Docs.",
    Stage.FEATURIZE: "Turns each image into a feature vector with one backbone; vectors that are "
    "already stored are not computed again.",
    Stage.TUNE: "Cross-validates classifiers on the features and exports the best one as one "
    "Keras model. **MLflow**: all trials.",
    Stage.EVALUATE: "Measures the candidate on held-out images, compares it with the champion and "
    "decides. **Report**: every number and reason.",
    Stage.REGISTER: "Registers the candidate in MLflow as `challenger`; skipped when there is "
    "nothing new to approve.",
    Stage.PROMOTE: "Moves the alias `champion` to the approved version and writes who, when and "
    "why to the ledger.",
    Stage.DEPLOY: "Makes the SQL function answer with the champion and queries it once.",
}

CHOICE_DOC: Final = "The backbones that this run was asked for; one featurize task each."

APPROVE_DOC: Final = (
    "Asks a person whether the challenger may become champion. An approval needs a reason; "
    "without an answer in time the request counts as rejected, and nothing changes."
)


def training_doc(config: PipelineConfig) -> str:
    """Markdown page of a training DAG."""
    thresholds = ", ".join(f"{name} ≥ {low:g}" for name, low in config.gate.thresholds.items())
    return f"""
### {config.description or config.name}

From a folder of labelled images to a model that waits for approval.

* Gate: {thresholds}, on at least {config.gate.min_test_images} held-out images
* Next: `{config.name}_promotion` starts by itself when a new challenger is registered
* A stage whose inputs have not changed returns its earlier result

Each task's XCom `summary` says in one line what it did; its links open reports and MLflow.
{_reports_line()}
"""


def promotion_doc(config: PipelineConfig) -> str:
    """Markdown page of a promotion DAG."""
    return f"""
### Approve and deploy: {config.description or config.name}

Starts when `{config.name}_training` registers a challenger, asks a person, and then makes
`SELECT {config.function}(image) FROM {config.view}` answer with the approved model.

Triggered by hand it asks again about the newest challenger.
No answer within {config.approval.timeout_hours:g} hours counts as *Reject*.
"""


def _reports_line() -> str:
    url = file_url("reports/")
    return f"\n[All reports]({url})\n" if url else ""
